"""`make restore`: each text that somebody gives reaches the request, as it was written."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.local import __main__ as commands
from deploy.local.backup.restore import Request
from deploy.local.settings import StackSettings
from tests.support.stack import ROOT

TEXTS = ("BACKUP", "TO", "ARCHIVE", "TIMELINE", "MEDIA", "FILES")


def test_make_hands_each_text_to_the_command_as_it_was_written(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    python.chmod(0o755)
    given = {name: f"/srv/$old {name}" for name in TEXTS}
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}

    words = ["make", "-s", "-o", "install", "restore", f"BIN={tmp_path}", *(f"{name}={given[name]}" for name in TEXTS)]
    made = subprocess.run(words, cwd=ROOT, env=own, capture_output=True, text=True, check=False)

    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == [
        *("-m", "deploy.local", "restore"),
        *(f"--{name.lower()}={given[name]}" for name in TEXTS),
    ]


def test_each_option_reaches_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []

    def restore(_: StackSettings, request: Request) -> int:
        asked.append(request)
        return 0

    options = ["--backup=/b", "--to=2026-11-29 12:00:00Z", "--archive=/a", "--timeline=3", "--media=/m", "--files=/f"]
    monkeypatch.setattr(commands, "restore", restore)
    monkeypatch.setattr(sys, "argv", ["deploy.local", "restore", *options])

    assert commands.main() == 0

    moment = datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert asked == [Request("/b", moment, "/a", 3, Path("/m"), Path("/f"))]
