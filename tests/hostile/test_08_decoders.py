"""A decoder has open files and nothing else: no environment, network, file system, capabilities, or user of others."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
import seccompy

from tests.support.stack import Stack
from tests.support.story import Market, ok
from tests.support.uploads import a_jpeg, upload


def status_of(process: psutil.Process) -> dict[str, str]:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


@pytest.fixture(scope="module")
def decoder(stack: Stack) -> psutil.Process:
    """Return a decoder of the stack that has decoded a picture."""
    market = Market.of(stack)
    ok(upload(market.seller, market.gig()["id"], a_jpeg()), 201)
    (keeper,) = [
        child
        for child in stack.processes()["gig-images"].children(recursive=True)
        if "gig_service.images.keeper" in " ".join(child.cmdline()) and child.children()
    ]
    return keeper.children()[0]


def test_a_decoder_and_its_keeper_have_no_environment(decoder: psutil.Process) -> None:
    for process in (decoder, decoder.parent()):
        assert process is not None
        assert Path(f"/proc/{process.pid}/environ").read_bytes() == b""


def test_a_decoder_has_no_capabilities_and_cannot_get_any(decoder: psutil.Process) -> None:
    status = status_of(decoder)

    assert [int(status[field], 16) for field in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [0] * 4
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == ("2" if seccompy.supported() else "0")


@pytest.mark.skipif(os.geteuid() != 0, reason="without root all processes have one user")
def test_a_decoder_has_a_user_of_its_own(stack: Stack, decoder: psutil.Process) -> None:
    others = {uid for name, process in stack.processes().items() for uid in process.uids() if name != "decoder"}

    assert set(decoder.uids()).isdisjoint(others | {0})
    assert set(decoder.gids()).isdisjoint({0})
    assert status_of(decoder)["Groups"] == ""


def test_a_decoder_has_no_network_and_no_file_but_its_socket(stack: Stack, decoder: psutil.Process) -> None:
    files = sorted(file.readlink().as_posix().split(":")[0] for file in Path(f"/proc/{decoder.pid}/fd").iterdir())

    assert files == ["/dev/null"] * 3 + ["socket"]
    service = stack.processes()["gig-images"]
    assert Path(f"/proc/{decoder.pid}/ns/net").readlink() != Path(f"/proc/{service.pid}/ns/net").readlink()
