"""Which stacks may run beside each other."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from tests.support.certificates import certificate_file
from tests.support.eventually import eventually
from tests.support.ports import stack_port
from tests.support.stack import Stack, processes_of
from tests.support.story import Market

SECONDS = 20


def test_two_stacks_run_beside_each_other_and_know_nothing_of_each_other(stack: Stack, folder: Path) -> None:
    certificate = certificate_file(folder.parent / "certificate.pem")
    other = Stack(folder, workers=1, certificate=certificate).start()
    try:
        gig = Market.of(other).gig()

        assert httpx.get(f"{stack.url}/api/gigs/{gig['id']}").status_code == 404
        foreign = {"authorization": f"Bearer {other.token('webdev_pro', 'seller')}"}
        assert httpx.get(f"{stack.url}/api/orders", headers=foreign).status_code == 401

        # The other one speaks TLS, by its own word, and follows its certificate.
        assert f"Edge        {other.url}" in other.output.read_text()
        assert f"curl -sk {other.url}/api/gigs" in other.output.read_text()
        before = ssl.get_server_certificate(("127.0.0.1", other.ports.edge))
        certificate_file(certificate)
        eventually(lambda: ssl.get_server_certificate(("127.0.0.1", other.ports.edge)) != before, SECONDS)
        with other.client() as client:
            assert client.get("/api/categories").status_code == 200
    finally:
        other.stop()


def test_a_taken_port_is_named_before_anything_starts(stack: Stack, folder: Path) -> None:
    with pytest.raises(RuntimeError, match=str(stack.ports.edge)):
        Stack(folder, port=stack.ports.edge).start()

    assert processes_of(folder) == []


def test_a_folder_in_use_is_named_before_anything_starts(stack: Stack) -> None:
    second = Stack(stack.data_dir, port=stack_port())
    second.output = stack.output.with_name("second.log")

    with pytest.raises(RuntimeError, match=str(stack.data_dir)):
        second.start()
