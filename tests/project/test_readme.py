"""The README says what is true: its settings are all there are, and its commands work as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from deploy.local.settings import StackSettings
from edge.settings import EdgeSettings
from gig_service.settings import ImageSettings
from gig_service.settings import Settings as GigSettings
from order_service.settings import Settings as OrderSettings
from review_service.settings import Settings as ReviewSettings
from tests.support.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BUF = Path(sys.executable).with_name("buf")

# In the order of README's tables: the stack's own come first, and a variable stands once.
OF_SERVICES: list[type[BaseSettings]] = [GigSettings, ImageSettings, OrderSettings, ReviewSettings]
KINDS: list[type[BaseSettings]] = [StackSettings, EdgeSettings, *OF_SERVICES]


def settings_rows() -> Iterator[tuple[str, str]]:
    """Every variable with the row that the README must have."""
    seen = set()
    for kind in KINDS:
        for field, info in kind.model_fields.items():
            if field.upper() not in seen:
                seen.add(field.upper())
                yield field.upper(), row(field.upper(), info)


def row(name: str, info: FieldInfo) -> str:
    """A row of the README's table."""
    nothing = info.default is PydanticUndefined or info.default is None
    default = "" if nothing else f"`{info.default}`"
    return f"| `{name}` | {default} | {info.description} |"


ROWS = dict(settings_rows())


@pytest.mark.parametrize("name", ROWS)
def test_every_setting_has_its_row(name: str) -> None:
    assert ROWS[name] in README.splitlines()


def test_no_row_is_of_a_setting_that_is_gone() -> None:
    assert set(re.findall(r"^\| `([A-Z0-9_]+)` \|", README, re.MULTILINE)) == set(ROWS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__module__)
def test_every_setting_is_described(kind: type[BaseSettings]) -> None:
    assert all(info.description for info in kind.model_fields.values())


def between(mark: str) -> str:
    """The shell commands between two marks of the README."""
    text = README.split(f"<!-- {mark}:begin -->")[1].split(f"<!-- {mark}:end -->")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


def environment_of(stack: Stack) -> dict[str, str]:
    return {**os.environ, "PORT": str(stack.ports.edge), "DATA_DIR": str(stack.data_dir)}


def test_the_story_works_as_it_is_pasted(stack: Stack) -> None:
    script = "set -eu\n" + between("story")

    told = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment_of(stack), capture_output=True, text=True, timeout=60
    )

    assert told.returncode == 0, told.stderr
    assert '"code"' not in told.stdout + told.stderr, "an error was answered"
    assert '"newAverageRating":5' in told.stdout
    assert '"status":"COMPLETED"' in told.stdout
    assert re.search(r'"thumbnail":"http[^"]+\.webp"', told.stdout)


def grpcurl_lines() -> list[str]:
    return [line for line in between("grpcurl").splitlines() if line.startswith("grpcurl ")]


def test_there_is_a_grpcurl_line_for_each_service() -> None:
    called = [line.rsplit("/", 1)[0].rsplit(".", 1)[-1] for line in grpcurl_lines()]

    assert called == ["GigService", "OrderService", "ReviewService"]


@pytest.mark.parametrize("line", grpcurl_lines())
def test_a_grpcurl_line_works_by_reflection(line: str, stack: Stack) -> None:
    """grpcurl is not to be had as a package; buf's curl speaks the same protocol with the same words."""
    base = stack.ports.base - 10000
    line = re.sub(r"127\.0\.0\.1:(\d+)", lambda address: f"127.0.0.1:{int(address[1]) + base}", line)
    expanded = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {line}"], cwd=ROOT, env=environment_of(stack), capture_output=True, text=True
    ).stdout.splitlines()
    options, address, method = expanded[2:-2], expanded[-2], expanded[-1]
    data = options[options.index("-d") + 1] if "-d" in options else "{}"
    header = ["-H", options[options.index("-H") + 1]] if "-H" in options else []

    called = subprocess.run(
        [
            BUF,
            "curl",
            "--protocol",
            "grpc",
            "--http2-prior-knowledge",
            *header,
            "-d",
            data,
            f"http://{address}/{method}",
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

    told = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True).stdout

    assert {line.split()[0] for line in told.splitlines() if line.strip()} == phony


if __name__ == "__main__":
    print("\n".join(ROWS.values()))
