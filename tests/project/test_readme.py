"""The README's table of settings is complete, and its commands work as they are pasted."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from deploy.settings_table import SETTINGS_CLASSES, with_table
from tests.support.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BUF = Path(sys.executable).with_name("buf")


def test_the_table_of_settings_is_that_of_the_code() -> None:
    assert with_table(README) == README, "the README's table of settings is stale: run make generate"


@pytest.mark.parametrize("settings", SETTINGS_CLASSES, ids=lambda settings: settings.__module__)
def test_every_setting_is_described(settings: type[BaseSettings]) -> None:
    assert all(field.description for field in settings.model_fields.values())


def between(mark: str) -> str:
    """Return the shell commands between two marks of the README."""
    text = README.split(f"<!-- {mark}:begin -->")[1].split(f"<!-- {mark}:end -->")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


def environment_of(stack: Stack) -> dict[str, str]:
    return {**os.environ, "PORT": str(stack.ports.edge), "DATA_DIR": str(stack.data_dir)}


def lines_with(text: str, part: str) -> list[str]:
    return [line for line in text.splitlines() if part in line]


def test_the_story_works_as_it_is_pasted(stack: Stack) -> None:
    script = "set -eu\n" + between("story")

    ended = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment_of(stack), capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 0, ended.stderr
    assert '"code"' not in ended.stdout + ended.stderr, "an error was answered"
    assert '"newAverageRating":5' in ended.stdout
    assert '"status":"COMPLETED"' in ended.stdout
    assert re.search(r'"status": ?"IN_PROGRESS"', ended.stderr), "the order of an offer has begun"
    asked, moved = (json.loads(line) for line in lines_with(ended.stdout, '"package":"Website with a shop"')[:2])
    assert asked["extension"]["days"] == 5
    assert datetime.fromisoformat(moved["dueDate"]) - datetime.fromisoformat(asked["dueDate"]) == timedelta(days=5)
    [history] = lines_with(ended.stdout, '"action":"accept_extension"')
    assert [file["name"] for file in json.loads(history)["events"][-1]["files"]] == ["website.jpg"]
    assert str((ROOT / "docs" / "website.jpg").stat().st_size) in ended.stdout.split()
    assert ended.stdout.count('"reviewId"') == 2
    assert re.search(r'"thumbnail":"http[^"]+\.webp"', ended.stdout)


def grpcurl_lines() -> list[str]:
    return [line for line in between("grpcurl").splitlines() if line.startswith("grpcurl ")]


def test_there_is_a_grpcurl_line_for_each_service() -> None:
    called = [line.rsplit("/", 1)[0].rsplit(".", 1)[-1] for line in grpcurl_lines()]

    assert called == ["GigService", "OrderService", "ReviewService"]


@pytest.mark.parametrize("line", grpcurl_lines())
def test_a_grpcurl_line_works_by_reflection(line: str, stack: Stack) -> None:
    """Run the line with `buf curl`, which has the same options and protocol; grpcurl is in no package registry."""
    base = stack.ports.base - 10000
    line = re.sub(r"127\.0\.0\.1:(\d+)", lambda address: f"127.0.0.1:{int(address[1]) + base}", line)
    certificate = between("grpcurl").splitlines()[0]
    expanded = subprocess.run(
        ["bash", "-c", f"{certificate}\nprintf '%s\\n' {line}"],
        cwd=ROOT,
        env=environment_of(stack),
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    options, address, method = expanded[1:-2], expanded[-2], expanded[-1]
    tls = [part for name in ("cacert", "cert", "key") for part in (f"--{name}", options[options.index(f"-{name}") + 1])]
    data = options[options.index("-d") + 1] if "-d" in options else "{}"
    header = ["-H", options[options.index("-H") + 1]] if "-H" in options else []

    called = subprocess.run(
        [
            BUF,
            "curl",
            "--protocol",
            "grpc",
            *tls,
            *header,
            "-d",
            data,
            f"https://{address}/{method}",
        ],
        capture_output=True,
        text=True,
        timeout=30,
    )

    expected = "not_found" if "ListReviews" in method else ""
    assert (called.returncode == 0) == (not expected), shlex.join(expanded) + called.stderr
    assert expected in called.stderr


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE))
    phony = {name for names in targets for name in names.split()} - {"install", "install-dev"}

    shown = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True).stdout

    assert {line.split()[0] for line in shown.splitlines() if line.strip()} == phony
