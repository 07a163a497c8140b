"""One comparison: its sides loaded in turn, round after round, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.bench import processes
from benchmarks.bench.load import Load
from benchmarks.bench.sides import Side

# Loads a side and returns the outcome.
Work = Callable[[], Load]
Result = dict[str, Any]


def alternate(contestants: Sequence[tuple[Side, Work]], rounds: int) -> Mapping[str, Result]:
    """Load every side once a round, in turn and every second round backwards, and return each one's result by name."""
    loads: dict[str, list[Load]] = {side.name: [] for side, _ in contestants}
    cpu: dict[str, list[dict[str, float]]] = {side.name: [] for side, _ in contestants}
    memory: dict[str, dict[str, float]] = {side.name: {} for side, _ in contestants}
    for number in range(rounds):
        for side, work in contestants if number % 2 == 0 else reversed(contestants):
            load, used = measured(side, work)
            loads[side.name].append(load)
            cpu[side.name].append(used)
            for group, mib in processes.memory_mib(side.groups).items():
                memory[side.name][group] = max(mib, memory[side.name].get(group, 0.0))
    return {
        side.name: summary(loads[side.name], cpu[side.name]) | {"memory_mib": _rounded(memory[side.name], 0)}
        for side, _ in contestants
    }


def measured(side: Side, work: Work) -> tuple[Load, dict[str, float]]:
    """Load a side. Return the outcome and the CPU of each group in µs a request."""
    before = processes.cpu_seconds(side.groups)
    load = work()
    after = processes.cpu_seconds(side.groups)
    requests = max(load.requests, 1)
    return load, {group: (after[group] - before.get(group, 0.0)) * 1e6 / requests for group in after}


def summary(loads: Sequence[Load], cpu: Sequence[Mapping[str, float]]) -> Result:
    """Return the medians of the rounds, and what was refused or broken in all of them."""
    return {
        "rate": round(statistics.median(load.rate for load in loads), 1),
        "p50": round(statistics.median(load.p50 for load in loads), 3),
        "p99": round(statistics.median(load.p99 for load in loads), 3),
        "refused": sum(load.refused for load in loads),
        "broken": sum(load.broken for load in loads),
        "cpu_us": _rounded({group: statistics.median(each[group] for each in cpu) for group in cpu[0]}, 1),
        "rounds": [{name: round(value, 3) for name, value in asdict(load).items()} for load in loads],
    }


def _rounded(values: Mapping[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}
