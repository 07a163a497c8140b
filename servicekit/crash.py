"""Places where tests kill a process, to show that nothing is lost there."""

import os

# The place, as a test names it; nobody else sets this.
_CRASH_AT = os.environ.get("CRASH_AT")
STATUS = 70


def crash_point(name: str) -> None:
    """Ends the process at once, as a power cut would, when `CRASH_AT` in its environment names this place."""
    if name == _CRASH_AT:
        os._exit(STATUS)
