"""The bound of the logs of a stack: a log that has grown too large becomes an older one.

The processes write into their logs themselves, and keep them open. So a log is copied and then emptied; it is opened so
that each write goes to its end. A line that comes between the two is lost.
"""

import os
import shutil
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
# Older logs of each process: `gig-0.log.1` is the newest.
OLDER_LOGS = 2


def rotate(log: Path) -> None:
    """Keep a log below MAX_BYTES, or a little above. Raises OSError; then the log stays as it is."""
    if log.stat().st_size < MAX_BYTES:
        return
    for number in range(OLDER_LOGS, 1, -1):
        older = _older(log, number - 1)
        if older.exists():
            older.replace(_older(log, number))
    try:
        shutil.copyfile(log, _older(log, 1))
        shutil.copystat(log, _older(log, 1))
    finally:
        # On a full disk the old lines go, not the new ones.
        os.truncate(log, 0)


def _older(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
