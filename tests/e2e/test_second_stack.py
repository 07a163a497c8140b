"""Two stacks beside each other, and a taken port. The second stack speaks TLS and keeps anonymous reads."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.certificates import certificate_file
from tests.support.eventually import eventually
from tests.support.ports import stack_port
from tests.support.stack import Stack, processes_of
from tests.support.story import Market, ok, whole_story

SECONDS = 20


@pytest.fixture(scope="module")
def other(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start a second stack. It speaks TLS, and keeps anonymous reads as long as `make run` does."""
    certificate = certificate_file(tmp_path_factory.mktemp("certificate") / "certificate.pem")
    running = Stack(workers=1, certificate=certificate, EDGE_CACHE="on")
    try:
        yield running.start()
    finally:
        running.stop()


def test_two_stacks_run_beside_each_other_and_know_nothing_of_each_other(stack: Stack, other: Stack) -> None:
    gig = Market.of(other).gig()

    assert httpx.get(f"{stack.url}/api/gigs/{gig['id']}").status_code == 404
    foreign = {"authorization": f"Bearer {other.token('webdev_pro', 'seller')}"}
    assert httpx.get(f"{stack.url}/api/orders", headers=foreign).status_code == 401


def test_a_stack_with_a_certificate_says_so_and_follows_it(other: Stack) -> None:
    assert f"Edge        {other.url}" in other.output.read_text()
    assert f"curl -sk {other.url}/api/gigs" in other.output.read_text()

    before = ssl.get_server_certificate(("127.0.0.1", other.ports.edge))
    assert other.certificate
    certificate_file(other.certificate)

    eventually(lambda: ssl.get_server_certificate(("127.0.0.1", other.ports.edge)) != before, SECONDS)
    with other.client() as client:
        assert client.get("/api/categories").status_code == 200


def test_the_whole_story_passes_where_anonymous_reads_are_kept(other: Stack) -> None:
    whole_story(other)


def test_a_seller_sees_a_change_at_once_and_anyone_else_within_seconds(other: Stack) -> None:
    market = Market.of(other)
    gig = market.gig()
    page = f"/gig/{gig['id']}"
    old = [ok(market.anyone.get(page)) for _ in range(2)][-1]
    assert old["title"] == gig["title"]

    read = market.seller.get(page)
    changed = {key: gig[key] for key in ("description", "categoryId", "tags")} | {"title": "Another title"}
    ok(market.seller.put(page, json=changed, headers={"If-Match": read.headers["etag"]}))

    assert ok(market.seller.get(page))["title"] == "Another title"
    assert ok(market.anyone.get(page, headers={"Cache-Control": "no-cache"}))["title"] == "Another title"
    eventually(lambda: ok(market.anyone.get(page))["title"] == "Another title")
    assert market.anyone.get(page).headers["cache-control"] == "public, max-age=5"


def test_a_taken_port_is_named_before_anything_starts(stack: Stack, folder: Path) -> None:
    with pytest.raises(RuntimeError, match=str(stack.ports.edge)):
        Stack(folder, port=stack.ports.edge).start()

    assert processes_of(folder) == []


def test_a_folder_in_use_is_named_before_anything_starts(stack: Stack) -> None:
    second = Stack(stack.data_dir, port=stack_port())
    second.output = stack.output.with_name("second.log")

    with pytest.raises(RuntimeError, match=str(stack.data_dir)):
        second.start()
