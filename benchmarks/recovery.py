"""`python -m benchmarks.recovery`: how long the marketplace takes to recover from a kill of a part, and to stop.

Each part is killed once in a running stack; the whole story should pass again within five seconds. Ctrl-C should end
the stack within ten.
"""

from __future__ import annotations

import sys
import time

from tests.support.eventually import eventually
from tests.support.stack import UNLIMITED_WRITES, Stack
from tests.support.story import story_passes

BOUND_SECONDS = 5.0
STOP_BOUND_SECONDS = 10.0


def recovery(stack: Stack, part: str) -> float:
    """Kill the part. Return the seconds until the whole story passes."""
    stack.wait_until_healthy()
    eventually(lambda: story_passes(stack))
    stack.processes()[part].kill()
    began = time.monotonic()
    eventually(lambda: story_passes(stack))
    return time.monotonic() - began


def main() -> int:
    """Return 0 when no part takes longer than the bound."""
    stack = Stack(**UNLIMITED_WRITES)
    try:
        stack.start()
        stack.wait_until_healthy()
        eventually(lambda: story_passes(stack))
        seconds = {part: recovery(stack, part) for part in sorted(stack.processes())}
        began = time.monotonic()
    finally:
        stack.stop()
    stopped = time.monotonic() - began
    for part, took in seconds.items():
        print(f"{part:<20} {took:5.2f} s")
    print(f"longest recovery {max(seconds.values()):.2f} s, bound {BOUND_SECONDS:.0f} s")
    print(f"stop {stopped:.2f} s, bound {STOP_BOUND_SECONDS:.0f} s")
    return 0 if max(seconds.values()) <= BOUND_SECONDS and stopped <= STOP_BOUND_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
