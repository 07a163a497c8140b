"""The block that `make run` prints: all addresses, the folder, and commands that work as they are pasted."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from deploy.local.banner import banner
from deploy.local.layout import Layout
from deploy.local.settings import StackSettings
from tests.support.stack import ROOT, Stack


def test_it_names_what_a_newcomer_needs(tmp_path: Path) -> None:
    shown = banner(StackSettings(), Layout.of(tmp_path), 1.0)

    for path in ("", "/docs", "/openapi.json", "/mcp"):
        assert f" http://127.0.0.1:8080{path}\n" in shown
    assert "It is for development" in shown
    assert f"  Certificate {tmp_path}/tls/developer " in shown
    assert f"to wipe it: stop, then rm -rf {tmp_path}" in shown
    assert f"seed DATA_DIR={tmp_path}\n" in shown


def test_it_names_only_what_is_there(tmp_path: Path) -> None:
    settings = StackSettings(
        edge_docs="off",
        edge_mcp="off",
        internal_tls="off",
        user_jwks="https://login.example",
        user_jwt_issuer="issuer",
        user_jwt_audience="audience",
    )

    bare = banner(settings, Layout.of(tmp_path), 1.0)

    for absent in ("/docs", "/openapi.json", "/mcp", "seed", "token ROLE", "Certificate"):
        assert absent not in bare


def test_another_port_stands_in_the_command_of_the_seed(tmp_path: Path) -> None:
    shown = banner(StackSettings(port=9090), Layout.of(tmp_path), 1.0)

    assert f"seed PORT=9090 DATA_DIR={tmp_path}\n" in shown


def test_the_first_command_of_a_running_stack_makes_a_gig(stack: Stack) -> None:
    shown = stack.output.read_text()
    command = re.search(r"^  (curl -s .*?)^$", shown, re.DOTALL | re.MULTILINE)
    assert command

    made = subprocess.run(["bash", "-c", command[1]], capture_output=True, text=True, timeout=60, env=os.environ)

    assert '"status":"ACTIVE"' in made.stdout, made.stdout + made.stderr


def test_the_command_of_the_seed_is_one_of_make(stack: Stack) -> None:
    command = re.search(r"^  (make .* seed .*)$", stack.output.read_text(), re.MULTILINE)
    assert command

    shown = subprocess.run(["bash", "-c", f"{command[1]} -n"], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert "deploy.local.seed" in shown.stdout, shown.stderr
