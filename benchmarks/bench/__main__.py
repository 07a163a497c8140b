"""`python -m benchmarks.bench [--quick]`: measure the product beside its peers, and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.bench import report
from benchmarks.bench.cases import Plan
from benchmarks.bench.load import missing_tools
from benchmarks.bench.run import Run
from tests.support.stack import ROOT

FULL = Plan(
    seconds=4,
    rounds=4,
    compared=1000,
    sizes=(10_000, 100_000, 1_000_000),
    clients=(8, 64, 512),
    steady_seconds=600,
    starts=3,
)
QUICK = Plan(seconds=1, rounds=2, compared=200, sizes=(10_000,), clients=(8, 64), steady_seconds=0, starts=0)
# What a run may take after the start of the stack; parts that would not end before are left out.
FULL_SECONDS, QUICK_SECONDS = 33 * 60, 180


def main() -> int:
    """Measure and write. Return 1 when a part failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, in under two minutes")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of the page that is written")
    arguments = parser.parse_args()
    if missing := missing_tools():
        print(*missing, sep="\n", file=sys.stderr)
        return 1
    plan, seconds = (QUICK, QUICK_SECONDS) if arguments.quick else (FULL, FULL_SECONDS)
    # On a disk: with PostgreSQL in memory a commit would cost nothing.
    with tempfile.TemporaryDirectory(prefix="marketplace-bench-") as folder:
        # PostgreSQL gets a uid of its own under root.
        Path(folder).chmod(0o711)
        run = Run(Path(folder), plan, seconds, "bench-quick" if arguments.quick else "bench")
        results = run.all()
    report.write(results, arguments.docs)
    print(report.render(results))
    return int(bool(results["failures"]))


if __name__ == "__main__":
    sys.exit(main())
