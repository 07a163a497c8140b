"""The examples of docs/mcp.md work as they are pasted."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import anyio
import pytest

from tests.support.stack import ROOT, Stack

PAGE = (ROOT / "docs" / "mcp.md").read_text()


def block(mark: str) -> str:
    """Return the code between these marks."""
    [code] = re.findall(rf"<!-- {mark}:begin -->\n```\w+\n(.*?)```\n<!-- {mark}:end -->", PAGE, re.DOTALL)
    return str(code)


def test_the_official_client_finds_gigs(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(compile(block("client"), "docs/mcp.md", "exec"), names)  # it is our own page

    anyio.run(names["main"], stack.url, stack.token("dana", "buyer"))

    printed = capsys.readouterr().out
    assert printed.startswith("False {")
    assert "results" in json.loads(printed.removeprefix("False "))


def test_a_message_by_hand_is_answered(stack: Stack) -> None:
    command = block("message").replace("http://127.0.0.1:8080", stack.url)

    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)

    assert "categories" in json.loads(ended.stdout)["result"]["content"][0]["text"]
