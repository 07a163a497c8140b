"""The support of tests itself: ports that nobody else gets, folders that do not stay, and waiting."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.ports import Ports
from tests.support.eventually import eventually
from tests.support.folders import temporary_folder
from tests.support.ports import free_ports

CLAIM = """
import sys
from tests.support.ports import stack_port
print(*[stack_port() for _ in range(60)], flush=True)
sys.stdin.read()
"""

KILLED = """
import os
from tests.support.folders import temporary_folder
folder = temporary_folder()
print(folder.name, flush=True)
os._exit(1)
"""


@contextmanager
def a_claiming_process() -> Iterator[set[int]]:
    """Run a process that claims many ports for stacks and holds them. Yield the first port of each one's block."""
    with subprocess.Popen([sys.executable, "-c", CLAIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield {Ports(int(port)).base for port in process.stdout.readline().split()}
        process.communicate()


def test_two_processes_of_tests_get_different_ports() -> None:
    with a_claiming_process() as one, a_claiming_process() as other:
        assert len(one) == len(other) == 60
        assert one.isdisjoint(other)


def test_a_single_port_is_given_once() -> None:
    ports = free_ports(120)

    assert len(set(ports)) == 120
    assert max(ports) < 32768


def test_the_folder_of_a_killed_process_is_removed_by_the_next() -> None:
    left_behind = (
        "import os; from tests.support.folders import temporary_folder as f; k = f(); print(k.name, flush=True)"
    )
    command = [sys.executable, "-c", f"{left_behind}; os._exit(1)"]
    folder = Path(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip())
    assert folder.is_dir()

    with temporary_folder() as own:
        assert not folder.exists()
        assert Path(own).is_dir()


def test_waiting_returns_the_first_truthy_value_or_fails_with_the_last() -> None:
    values = iter([0, "", 7, 8])

    assert eventually(lambda: next(values), seconds=5, every=0.001) == 7
    with pytest.raises(AssertionError, match="still \\[\\]"):
        eventually(list, seconds=0.01)
