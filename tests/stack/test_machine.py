"""`make doctor` also looks at the machine: Python, memory, and processes that an earlier stack has left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.layout import Layout
from deploy.local.lock import PreflightError
from deploy.local.machine import leftovers, memory, python_version
from deploy.local.settings import StackSettings
from tests.support.stack import ROOT, Stack

MIB = 2**20


def test_an_old_python_is_named_with_the_cure() -> None:
    assert python_version((3, 13, 1)) == "3.13.1"
    with pytest.raises(PreflightError, match=r"3\.10\.4 is too old.*make run PYTHON=python3\.11"):
        python_version((3, 10, 4))


def test_too_little_memory_for_the_workers_is_named_with_the_cure() -> None:
    many = StackSettings(gig_workers=7, order_workers=7, review_workers=7)

    assert memory(StackSettings(), 1200 * MIB) == "1.2 GiB free, about 1.1 needed"
    with pytest.raises(PreflightError, match=r"only 1200 MiB are free.*23 processes.*GIG_WORKERS=1"):
        memory(many, 1200 * MIB)


def test_a_process_that_an_earlier_stack_has_left_is_named_with_the_cure(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path)
    assert leftovers(layout) == "no process of an earlier stack"
    program = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()", "gig_service"]

    with subprocess.Popen(program, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as left:
        assert left.stdout
        left.stdout.readline()
        with pytest.raises(PreflightError, match=f"kill {left.pid}$"):
            leftovers(layout)
        left.communicate()


def test_the_doctor_shows_every_check_and_the_second_stack(stack: Stack) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}
    environment |= {"PORT": str(stack.ports.edge), "DATA_DIR": str(stack.data_dir)}

    shown = subprocess.run(
        [sys.executable, "-m", "deploy.local", "doctor"], env=environment, capture_output=True, text=True, timeout=60
    )

    results = {line[8:20].strip(): line.split()[0] for line in shown.stdout.splitlines()}
    assert shown.returncode == 1
    assert {name for name, result in results.items() if result == "FAILED"} - {"memory"} == {
        "ports",
        "leftovers",
        "lock",
    }
    assert {"data folder", "disk", "PostgreSQL", "Envoy", "users", "Python", "memory"} <= results.keys()
    assert shown.stdout.count("make run ") >= 2
    # One process of the stack takes all others with it.
    supervisord = next(line for line in shown.stdout.splitlines() if " leftovers " in line)
    assert re.search(r": kill \d+$", supervisord)
