"""`python -m tests.fuzz`: one fuzzer against a stack of its own. Its status is 1 when it has found a fault."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import shutil
import sys
import tempfile

import tests.fuzz
from tests.fuzz import Options, Result
from tests.support.stack import UNLIMITED_WRITES, Stack


def main() -> int:
    """Run the fuzzer and print its result."""
    names = sorted(module.name for module in pkgutil.iter_modules(tests.fuzz.__path__) if module.name != "__main__")
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("name", choices=names)
    parser.add_argument("--seed", type=int, default=0, help="all inputs follow from it (default: 0)")
    parser.add_argument("--seconds", type=float, default=600, help="the time of the run (default: 600)")
    parser.add_argument("--inputs", type=int, default=Options.inputs, help="end after so many inputs")
    arguments = parser.parse_args()
    # Without TLS inside: the fuzzer writes what it sends to workers byte by byte, as any service.
    stack = Stack(WEBHOOK_ALLOW_PRIVATE="true", **UNLIMITED_WRITES)
    try:
        stack.start()
        options = Options(arguments.seed, arguments.seconds, arguments.inputs)
        result: Result = importlib.import_module(f"tests.fuzz.{arguments.name}").fuzz(stack, options)
        if result.faults:
            kept = tempfile.mkdtemp(prefix=f"fuzz-{arguments.name}-")
            print(f"logs of the stack: {shutil.copytree(stack.layout.logs, kept, dirs_exist_ok=True)}")
    finally:
        stack.stop()
    print(f"{arguments.name}, seed {arguments.seed}: {result.inputs} inputs, answers {result.answers}")
    for fault in result.faults:
        print(f"  {fault}")
    print(f"{len(result.faults)} faults")
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
