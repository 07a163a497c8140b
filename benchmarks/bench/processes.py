"""The CPU and the memory of the processes of one side, by group: Envoy, each service, PostgreSQL, the peer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.stack import Stack

# What Stack.processes calls the processes of each group, by the beginning of the name.
_GROUPS = {
    "envoy": "Envoy",
    "gig": "GigService",
    "order": "OrderService",
    "review": "ReviewService",
    "postmaster": "PostgreSQL",
}
_MIB = 1 << 20

# Returns the processes of each group, as they are now.
Groups = Callable[[], Mapping[str, list[psutil.Process]]]


def of_stack(stack: Stack) -> Groups:
    """Return the groups of a running stack. They are looked up once: call it again after a restart."""
    found: dict[str, list[psutil.Process]] = {}
    for name, process in stack.processes().items():
        group = next((group for prefix, group in _GROUPS.items() if name.startswith(prefix)), None)
        if group:
            found.setdefault(group, []).append(process)
    return lambda: found


def of_peer(name: str, process: psutil.Process, stack: Stack) -> Groups:
    """Return the groups of a peer: its own processes, and PostgreSQL, which is the stack's."""
    postgres = of_stack(stack)()["PostgreSQL"]
    return lambda: {name: [process], "PostgreSQL": postgres}


def cpu_seconds(groups: Groups) -> dict[str, float]:
    """Return the CPU that each group has used so far, ended children included."""
    return {group: sum(map(_cpu, with_children(processes))) for group, processes in groups().items()}


def memory_mib(groups: Groups) -> dict[str, float]:
    """Return each group's share of the memory (PSS): shared pages count in part, so that sums are true."""
    return {group: sum(map(_pss, with_children(processes))) for group, processes in groups().items()}


def whole_stack_mib(stack: Stack) -> float:
    """Return the memory (PSS) of all processes of a stack, supervisor and foreground process included."""
    return sum(map(_pss, with_children([stack.supervisor()])))


def own_memory(stack: Stack) -> dict[int, tuple[str, float]]:
    """Return the name and the own memory (USS, MiB) of each process of a stack, by pid."""
    names = {process.pid: name for name, process in stack.processes().items()}
    sizes = {}
    for process in with_children([stack.supervisor()]):
        with suppress(psutil.Error):
            sizes[process.pid] = (names.get(process.pid, process.name()), process.memory_full_info().uss / _MIB)
    return sizes


def with_children(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return these processes and all below them, those that have not ended."""
    found: dict[int, psutil.Process] = {}
    for process in processes:
        with suppress(psutil.Error):
            found[process.pid] = process
            found.update((child.pid, child) for child in process.children(recursive=True))
    return list(found.values())


def _cpu(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        times = process.cpu_times()
        # A backend of PostgreSQL that has ended counts as its parent's.
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _pss(process: psutil.Process) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
