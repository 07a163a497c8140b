"""`python -m benchmarks.restart`: `make restart` under load, in a stack of its own. No request may fail.

First each kind of request is sent as fast as its client can, which gives the peak; then each with half of that rate,
for a minute at least, while services and Envoy are replaced one after the other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from tests.support.stack import ROOT, UNLIMITED_WRITES, Stack
from tests.support.steady_load import Outcome, Requests, steady_load

PEAK_SECONDS = 8.0
SHARE = 0.5


def peak(stack: Stack) -> dict[str, float]:
    """Return how many requests of each kind the stack answers in a second, all kinds at once."""
    outcome = Outcome()
    with steady_load(stack, outcome, {}, watchers=0):
        time.sleep(PEAK_SECONDS)
    if outcome.failures:
        raise RuntimeError("\n".join(outcome.failures[:10]))
    return {kind: number / PEAK_SECONDS for kind, number in outcome.done.items()}


def restart(stack: Stack) -> int:
    """Replace everything, as `make restart` does. Return its status."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", "DATA_DIR": str(stack.data_dir)}
    return subprocess.run(
        [sys.executable, "-m", "deploy.local", "restart"], cwd=ROOT, env=environment, check=False
    ).returncode


def main() -> int:
    """Return 0 when no request failed."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.restart")
    options.add_argument("--seconds", type=float, default=60.0, help="how long there is load at least (default 60)")
    options.add_argument("--workers", type=int, default=2, help="workers of each service (default 2)")
    options.add_argument("--watchers", type=int, default=10, help="watches at once (default 10)")
    given = options.parse_args()
    stack = Stack(workers=given.workers, **UNLIMITED_WRITES)
    outcome = Outcome()
    try:
        stack.start()
        rates = peak(stack)
        # A request that waits for something to happen has no rate of its own.
        pauses = {kind: 1 / (SHARE * rates[kind]) for kind in Requests.KINDS if kind != "long-poll"}
        print(f"peak {sum(rates.values()):.0f} steps a second; half of it from now on")
        began = time.monotonic()
        with steady_load(stack, outcome, pauses, watchers=given.watchers) as load:
            status = restart(stack)
            took = time.monotonic() - began
            time.sleep(max(0.0, given.seconds - took))
            lasted = time.monotonic() - began
            hints = sum(each.retry_hints for each in load)
        refusals = [line for line in stack.layout.log("envoy").read_text().splitlines() if '"code":50' in line]
    finally:
        stack.stop()
    print(f"make restart took {took:.0f} s, the load lasted {lasted:.0f} s")
    for kind, number in sorted(outcome.done.items()):
        print(f"{kind:<26} {number:>7,}  {number / lasted:7.1f}/s  slowest {outcome.slowest[kind]:6.2f} s")
    print(f"watches that ended with a time to come back: {hints}")
    for failure in outcome.failures:
        print(f"FAILED {failure}")
    for line in refusals[:10]:
        print(f"  Envoy: {line}")
    print(f"{len(outcome.failures)} failed of {sum(outcome.done.values()) + len(outcome.failures):,}, bound 0")
    return 1 if status or outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
