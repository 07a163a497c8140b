"""`python -m benchmarks.bench [--quick]`: measure the product beside its peers, and write docs/benchmarks.md."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import report
from benchmarks.bench.load import missing_tools
from benchmarks.bench.plan import arguments
from benchmarks.bench.run import Run


def main(given: Sequence[str] | None = None) -> int:
    """Measure and write. Return 1 when a part failed."""
    plan, options = arguments(given, __doc__.split("\n", 1)[0])
    if missing := missing_tools():
        print(*missing, sep="\n", file=sys.stderr)
        return 1
    options.kept.mkdir(mode=0o711, exist_ok=True)
    only = tuple(options.only.split(",")) if options.only else ()
    # On a disk: with PostgreSQL in memory a commit would cost nothing.
    with tempfile.TemporaryDirectory(prefix="marketplace-bench-") as folder:
        # PostgreSQL gets a uid of its own under root.
        Path(folder).chmod(0o711)
        run = Run(Path(folder), options.kept, plan, "bench-quick" if options.quick else "bench", only)
        results = run.all()
    if not only:
        report.write(results, options.docs)
    print(report.render(results))
    for part, reason in results["failures"].items():
        print(f"{part}: {reason}", file=sys.stderr)
    return int(bool(results["failures"]))


if __name__ == "__main__":
    sys.exit(main())
