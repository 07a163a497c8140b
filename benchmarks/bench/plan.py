"""How much a run measures, and its arguments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.stack import ROOT


@dataclass(frozen=True)
class Plan:
    """How long a run may take: seconds of a load, rounds of a comparison, and what is left out."""

    seconds: float
    rounds: int
    compared: int
    # Numbers of gigs; all but the first are kept from run to run.
    sizes: Sequence[int]
    clients: Sequence[int]
    steady_seconds: float
    starts: int
    # Numbers of processes of each peer that are tried.
    workers: Sequence[int] = (1, 2, 3)
    idle_seconds: float = 10
    # Searches of the mix, and those of each of its shapes whose times are taken.
    searches: int = 600
    searches_of_a_shape: int = 30
    # Seconds in which each hot path is profiled, and cores of the stacks whose threads are counted.
    profile_seconds: float = 4
    cores: Sequence[int] = (1, 2, 4, 8)
    # The run's time; parts that would not end before are left out.
    limit_seconds: float = 34 * 60


FULL = Plan(
    seconds=4,
    rounds=3,
    compared=1000,
    sizes=(10_000, 100_000, 1_000_000),
    clients=(8, 64, 512),
    steady_seconds=600,
    starts=3,
)
QUICK = Plan(
    seconds=1,
    rounds=1,
    compared=100,
    sizes=(10_000,),
    clients=(8, 64),
    steady_seconds=0,
    starts=0,
    workers=(2,),
    idle_seconds=2,
    searches=120,
    searches_of_a_shape=5,
    profile_seconds=0,
    cores=(),
    limit_seconds=180,
)


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a text such as `8,64`; none of an empty one."""
    return tuple(int(each) for each in text.split(",") if each)


def arguments(given: Sequence[str] | None, description: str) -> tuple[Plan, argparse.Namespace]:
    """Return the plan that the arguments ask for, and the arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=description)
    add = parser.add_argument
    add("--quick", action="store_true", help="less of everything, in under two minutes")
    add("--docs", type=Path, default=ROOT / "docs", help="folder of the page that is written")
    add("--kept", type=Path, default=ROOT / ".bench", help="folder of the stacks with many gigs, kept for later runs")
    add("--only", metavar="PARTS", help="run only parts whose names begin so, as in `overload,sizes`; write no page")
    add("--seconds", type=float, help="of each load")
    add("--rounds", type=int, help="of each comparison")
    add("--compared", type=int, help="answers of the peers that are compared with the product's")
    add("--sizes", type=numbers, help="numbers of gigs, as in `10000,100000`")
    add("--clients", type=numbers, help="numbers of connections, as in `8,64`")
    add("--workers", type=numbers, help="numbers of processes of a peer that are tried")
    add("--steady-seconds", type=float, help="of the mixed load that shows growth; 0 leaves it out")
    add("--starts", type=int, help="starts whose time is taken")
    add("--profile-seconds", type=float, help="of the profile of each hot path; 0 leaves it out")
    add("--cores", type=numbers, help="numbers of cores for which threads and processes are varied")
    options = parser.parse_args(given)
    plan = QUICK if options.quick else FULL
    changed = {name: value for name, value in vars(options).items() if hasattr(plan, name) and value is not None}
    return replace(plan, **changed), options
