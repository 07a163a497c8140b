"""A text that somebody gives to make reaches the command as it is, whatever characters are in it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import jwt
import pytest

from tests.support.stack import ROOT

NAMES = [
    "O'Brien",
    'Ann "the gig" Lee',
    "a; echo hi",
    "x$b$$(HOME)`id`",
    "100% & more",
    "ab#c",
    "--help",
    "back\\slash",
]


def make_token(data_dir: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `make token` without an installation."""
    command = ["make", "-s", "-o", "install", "token", "ROLE=seller", f"DATA_DIR={data_dir}", *words]
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, cwd=ROOT, env=own | environment, capture_output=True, text=True, check=False)


def name_in(token: str) -> str:
    """Return the name in a token."""
    name: str = jwt.decode(token.strip(), options={"verify_signature": False})["preferred_username"]
    return name


@pytest.mark.parametrize("name", NAMES)
def test_a_name_arrives_as_it_is_written(name: str, tmp_path: Path) -> None:
    made = make_token(tmp_path, f"NAME={name}")

    assert made.returncode == 0, made.stderr
    assert name_in(made.stdout) == name


def test_a_name_from_the_environment_arrives_too(tmp_path: Path) -> None:
    made = make_token(tmp_path, NAME="O'$Brien")

    assert name_in(made.stdout) == "O'$Brien"


@pytest.mark.parametrize("name", ["", "x" * 51, "a\u202eb", "null\x07"])
def test_a_name_that_the_services_would_refuse_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    made = make_token(tmp_path, f"NAME={name}")

    assert made.returncode != 0
    assert made.stdout == ""
    assert "token: a name of 1 to 50 printable characters is needed" in made.stderr
