"""The commands and examples of docs/clients.md work as they stand, against a stack on another port."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from tests.support.stack import ROOT, Stack
from tests.support.story import Market

PAGE = (ROOT / "docs" / "clients.md").read_text()
NODE = shutil.which("node")
GRPCURL = shutil.which("grpcurl")


def lines(mark: str, page: str = PAGE) -> list[str]:
    """Return the commands between two marks of the page."""
    block = page.split(f"<!-- {mark}:begin -->")[1].split(f"<!-- {mark}:end -->")[0]
    return [line for each in re.findall(r"```sh\n(.*?)```", block, re.DOTALL) for line in each.splitlines()]


def run(line: str, stack: Stack, before: str = "") -> str:
    """Run a command of the page on the ports of a stack, after the line `before`. Return what it prints."""
    base = stack.ports.base - 10_000
    line = re.sub(r"127\.0\.0\.1:(1\d{4})", lambda found: f"127.0.0.1:{int(found[1]) + base}", line)
    line = line.replace("127.0.0.1:8080", f"127.0.0.1:{stack.ports.edge}")
    environment = {**os.environ, "PORT": str(stack.ports.edge), "DATA_DIR": str(stack.data_dir)}
    ended = subprocess.run(
        ["bash", "-c", f"{before}\n{line}"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def some_gig(stack: Stack) -> str:
    """Make a gig, so that there is one to find. Return its id."""
    return str(Market.of(stack).gig()["id"])


@pytest.mark.usefixtures("some_gig")
def test_the_lines_of_curl(stack: Stack) -> None:
    search, missing, orders = (run(line, stack) for line in lines("curl"))

    assert '"results":[{"id":' in search
    assert '"code": "NOT_FOUND"' in missing or '"code":"NOT_FOUND"' in missing
    assert '"results":' in orders


def test_the_client_with_fetch(stack: Stack) -> None:
    """Node is on the machines of CI; elsewhere it is no dependency of the project."""
    if NODE is None:
        assert os.environ.get("CI") != "true", "CI has to install node"
        pytest.skip("there is no node on this machine")

    (printed,) = (run(line, stack) for line in lines("node"))

    assert re.search(r"^made: Fetch example, with a picture at http\S+\.(png|webp)$", printed, re.MULTILINE)
    assert "found: Fetch example from 19.99\n" in printed
    assert "ordered: PENDING; again with the same key: true\n" in printed
    assert re.search(r"^refused: 400 INVALID_ARGUMENT .*packageId", printed, re.MULTILINE)


@pytest.mark.usefixtures("some_gig")
def test_the_client_in_python(stack: Stack) -> None:
    (printed,) = (run(line, stack) for line in lines("python"))

    assert re.search(r"^.+, by \S+: \d+ packages$", printed, re.MULTILINE)
    assert re.search(r"^ordered: [0-9a-f-]{36}, .*; again with the same key: True$", printed, re.MULTILINE)
    assert re.search(r"^refused: INVALID_ARGUMENT .*'packageId'", printed, re.MULTILINE)


@pytest.mark.usefixtures("some_gig")
def test_the_lines_of_buf_curl(stack: Stack) -> None:
    certificate, *commands = lines("buf")
    methods, found, orders = (run(line, stack, certificate) for line in commands)

    assert "marketplace.gig.v1.GigService/SearchGigs" in methods
    assert '"results"' in found
    assert orders.strip().startswith("{")


@pytest.mark.skipif(
    GRPCURL is None, reason="grpcurl is in no package registry; test_readme.py runs its lines with buf curl"
)
def test_the_lines_of_grpcurl(stack: Stack) -> None:
    certificate, search, orders, _ = lines("grpcurl", (ROOT / "README.md").read_text())

    assert run(search, stack, certificate).strip()
    assert run(orders, stack, certificate).strip()
