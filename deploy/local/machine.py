"""The checks of `make doctor` that a start does not need: the machine's Python and memory, and leftover processes."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.layout import Layout
from deploy.local.lock import PreflightError
from deploy.local.memory import free_bytes
from deploy.local.ports import STREAMING
from deploy.local.preflight import Check
from deploy.local.settings import StackSettings

_OLDEST_PYTHON = (3, 11)
# What PostgreSQL and Envoy take, and each process of a service beside them (measured at rest, with some room).
_SHARED_MIB, _PROCESS_MIB = 300, 100
_PROGRAMS = ("_service", "deploy.local")


def machine_checks(settings: StackSettings, layout: Layout) -> list[Check]:
    """Return the checks in their order."""
    return [
        Check("Python", python_version),
        Check("memory", lambda: memory(settings)),
        Check("leftovers", lambda: leftovers(layout)),
    ]


def python_version(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> str:
    """Return the version of Python in words. Raises PreflightError when it is too old."""
    shown = ".".join(map(str, version))
    if version[:2] < _OLDEST_PYTHON:
        oldest = ".".join(map(str, _OLDEST_PYTHON))
        raise PreflightError(
            f"{shown} is too old, {oldest} is needed. Remove .venv, then: make run PYTHON=python{oldest}"
        )
    return shown


def memory(settings: StackSettings, available: int | None = None) -> str:
    """Return the free memory in words; `available` is in bytes. Raises PreflightError when it is too little."""
    free = (free_bytes() if available is None else available) // 2**20
    processes = sum(settings.workers.values()) + len(STREAMING)
    needed = _SHARED_MIB + processes * _PROCESS_MIB
    if free < needed:
        raise PreflightError(
            f"only {free} MiB are free, and {processes} processes of services need about {needed}. End other programs, "
            "or start fewer workers: make run GIG_WORKERS=1 ORDER_WORKERS=1 REVIEW_WORKERS=1"
        )
    return f"{free / 1024:.1f} GiB free, about {needed / 1024:.1f} needed"


def leftovers(layout: Layout) -> str:
    """Return that no process of an earlier stack runs in the folder. Raises PreflightError with those that do."""
    found = list(_processes_in(layout.data_dir))
    if found:
        pids_found = {each.pid for each in found}
        # Those that have no parent among them take the others with them.
        first = [each for each in found if each.parent not in pids_found]
        names = ", ".join(f"{each.pid} ({each.name})" for each in first)
        pids = " ".join(str(each.pid) for each in first)
        raise PreflightError(
            f"processes of a stack run in {layout.data_dir}: {names}. When that stack is not meant to run, end it with "
            f"Ctrl-C where it was started, or, when its `make run` is gone: kill {pids}"
        )
    return "no process of an earlier stack"


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    name: str


def _processes_in(folder: Path) -> Iterator[_Process]:
    """Yield the stack's processes whose working folder is the folder or below it; supervisord starts them there."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = " ".join(process.cmdline())
            ours = process.name() in ("envoy", "postgres") or any(each in line for each in _PROGRAMS)
            if ours and process.pid != os.getpid() and Path(process.cwd()).is_relative_to(folder.resolve()):
                yield _Process(process.pid, process.ppid(), process.name())
