"""Output of the stack's commands."""

import contextlib
import sys


def say(text: str) -> None:
    """Print a line at once. A terminal that has gone away must not keep the stack from being stopped."""
    with contextlib.suppress(OSError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
