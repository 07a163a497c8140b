"""The commands of docs/events.md work as they are pasted."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.support.stack import ROOT, Stack
from tests.support.story import Market

PAGE = (ROOT / "docs" / "events.md").read_text()


def commands(mark: str) -> list[str]:
    """Return the lines between these marks."""
    blocks = re.findall(rf"<!-- {mark}:begin -->\n```sh\n(.*?)```\n<!-- {mark}:end -->", PAGE, re.DOTALL)
    return "".join(blocks).splitlines()


def run(command: str, stack: Stack, **variables: str) -> str:
    """Return what the command prints within some seconds, on the port of the stack."""
    environment = {**os.environ, **variables, "DATA_DIR": str(stack.data_dir), "PORT": str(stack.ports.edge)}
    pasted = command.replace("127.0.0.1:8080", f"127.0.0.1:{stack.ports.edge}").replace("curl ", "curl -s -m 5 ", 1)
    ended = subprocess.run(["bash", "-c", pasted], cwd=ROOT, env=environment, capture_output=True, text=True)
    return ended.stdout


@pytest.mark.parametrize("command", commands("watch"))
def test_a_watch_begins(command: str, stack: Stack) -> None:
    with stack.client("dana", "buyer") as buyer:
        market = Market.of(stack)
        gig = market.gig()
        order = {"packageId": gig["packages"][0]["id"], "paymentMethod": "sandbox"}
        placed = buyer.post("/api/orders", json=order).json()["orderId"]

    assert run(command, stack, ORDER=placed).startswith(": watching")


@pytest.mark.parametrize("command", commands("feed"))
def test_the_feed_answers(command: str, stack: Stack) -> None:
    command = command.replace("wait=30", "wait=1")

    assert '"next":"' in run(command, stack, NEXT="0")
