"""Every command in the README and the docs works, and every link in them leads to a file."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.settings_table import variables
from tests.support.stack import ROOT, Stack

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = {name for names in re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE) for name in names.split()}
# `$(ARGS)` is make's, `$$NAME` and `$${NAME:-…}` are the recipe's own.
MAKE_VARIABLES = set(re.findall(r"\$(?:\(|\$\{?)([A-Z]+)\b", MAKEFILE))
IMPORTS = {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}
# Programs whose lines in shell blocks other tests run, or that are not ours.
OTHER_PROGRAMS = {"git", "cd", "npx", "docker", "helm"}


def without_tested_blocks(text: str) -> str:
    """Return a page without the blocks that test_readme.py runs as they stand."""
    return re.sub(r"<!-- (\w+):begin -->.*?<!-- \1:end -->", "", text, flags=re.DOTALL)


def shell_lines(text: str) -> list[str]:
    """Return the commands of the shell blocks, without comments and with continued lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if shlex.split(line, comments=True)]


def inline_commands(text: str) -> list[str]:
    """Return the code spans that are commands: `make X`, `python -m X`, with variables before them or not."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    spans = (" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose))
    return [span for span in spans if re.match(r"([A-Z_]+=\S* )*(make [a-z-]|\S*python3? -m )", span)]


def commands() -> list[tuple[str, str]]:
    """Return each documented command once, with the page where it stands first."""
    found: dict[str, str] = {}
    for page in PAGES:
        text = without_tested_blocks(page.read_text())
        for command in (*shell_lines(text), *inline_commands(text)):
            found.setdefault(shlex.join(shlex.split(command, comments=True)), str(page.relative_to(ROOT)))
    return [(page, command) for command, page in found.items()]


def clean_environment(**variables: str) -> dict[str, str]:
    """Return the environment without the variables of a surrounding `make test ARGS=…`."""
    inherited = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", *MAKE_VARIABLES}
    return {name: value for name, value in os.environ.items() if name not in inherited} | IMPORTS | variables


def test_the_collection_finds_commands_of_both_kinds() -> None:
    found = [command for _, command in commands()]

    assert "make run" in found
    assert any(command.startswith("python -m ") for command in found)


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_documented_command_exists(page: str, command: str) -> None:
    words = shlex.split(command)
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)

    if words[0] == "make":
        check_make(words[1:])
    elif words[1:2] == ["-m"]:
        check_module(words[2:])
    else:
        assert words[0] in OTHER_PROGRAMS, f"{page}: nothing tests {command!r}"


def check_make(words: list[str]) -> None:
    """Check that the targets are the Makefile's, that something reads each variable, and that make agrees."""
    targets = {word for word in words if "=" not in word and not word.startswith("-")}
    named = {word.partition("=")[0] for word in words if "=" in word and not word.startswith("-")}
    dry_run = subprocess.run(["make", "-n", *words], cwd=ROOT, env=clean_environment(), capture_output=True, text=True)

    assert targets <= TARGETS
    assert named <= MAKE_VARIABLES | set(variables())
    assert dry_run.returncode == 0, dry_run.stderr


def check_module(words: list[str]) -> None:
    """Check that the module is a program, and that it prints its help where it reads its command line."""
    spec = importlib.util.find_spec(words[0])
    assert spec is not None
    if spec.submodule_search_locations:
        spec = importlib.util.find_spec(f"{words[0]}.__main__")
        assert spec is not None
    source = Path(str(spec.origin)).read_text()
    assert 'if __name__ == "__main__"' in source
    if "argparse" in source:
        program = [sys.executable, "-m", words[0], "--help"]
        shown = subprocess.run(program, cwd=ROOT, env=clean_environment(), capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize(
    "command",
    [
        "make status",
        "make logs",
        "make logs SERVICE=order",
        "make psql SERVICE=order ARGS='-c TABLE\\ orders'",
        "make token ROLE=seller,buyer NAME=someone",
        "make outbox",
        "make attempts",
        "make attempts RETRY=all",
        "make check-books",
        "make check-books SINCE=beginning",
        "make report FROM=2026-11-01 TO=2026-11-30",
        "make check-media",
        "make repair-ratings",
        "make repair-ratings ARGS=--dry-run",
    ],
)
def test_a_command_for_a_running_stack_succeeds(command: str, stack: Stack) -> None:
    environment = clean_environment(PORT=str(stack.ports.edge), DATA_DIR=str(stack.data_dir))

    ended = subprocess.run(shlex.split(command), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.strip()


def test_the_index_of_decisions_has_each_record_with_its_title_and_date() -> None:
    folder = ROOT / "docs" / "adr"
    index = re.findall(
        r"^\| \[(\d+)\]\((.+)\) \| (.+) \| .+ \| (\S+) \|$", (folder / "README.md").read_text(), re.MULTILINE
    )

    records = []
    for path in sorted(folder.glob("0*.md")):
        heading = re.match(r"# (\d+)\. (.+)\n\nDate: (\S+)\n", path.read_text())
        assert heading, path
        records.append((heading[1], path.name, heading[2], heading[3]))
    assert index == records


def links() -> list[tuple[str, str]]:
    """Return each relative link of the pages, with its page."""
    return [
        (str(page.relative_to(ROOT)), target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())
        if "://" not in target
    ]


@pytest.mark.parametrize(("page", "target"), links())
def test_a_link_leads_to_a_file(page: str, target: str) -> None:
    assert (ROOT / page).parent.joinpath(target).exists()
