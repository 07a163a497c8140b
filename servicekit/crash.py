"""Crash points: named places where a test can kill a process, to show that nothing is lost."""

import os

# Set by tests alone.
_CRASH_AT = os.environ.get("CRASH_AT")
STATUS = 70


def crash_point(name: str) -> None:
    """End the process at once, as a power cut would, if the environment's `CRASH_AT` names this crash point."""
    if name == _CRASH_AT:
        os._exit(STATUS)
