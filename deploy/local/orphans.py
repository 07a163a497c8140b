"""What a killed postmaster leaves behind, and how the next one gets past it at the first try."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

_ORPHAN_PATIENCE_SECONDS = 0.2
_ORPHAN_SECONDS = 5.0


def end_orphans(cluster: Path) -> None:
    """End the processes that a killed postmaster left in its data folder, or the next one refuses to start.

    They notice by themselves when idle; one in the middle of a statement may not. Without a postmaster they can no
    longer commit anything that crash recovery would not see, so killing them is safe. Exits when the postmaster of
    that folder is alive, since then they are no orphans.
    """
    began = time.monotonic()
    postmaster = _recorded_postmaster(cluster)
    while inside := _processes_in(cluster):
        if postmaster in {process.pid for process in inside}:
            sys.exit(f"PostgreSQL is already running on {cluster} as process {postmaster}")
        waited = time.monotonic() - began
        if waited > _ORPHAN_SECONDS:
            sys.exit(f"processes of a killed PostgreSQL do not end: {', '.join(str(each.pid) for each in inside)}")
        if waited > _ORPHAN_PATIENCE_SECONDS:
            for process in inside:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(0.02)


def _processes_in(cluster: Path) -> list[psutil.Process]:
    """The server's processes work in the data folder, whatever their titles and parents are.

    One that has ended and was not collected yet is in no folder any more.
    """
    folder = os.path.realpath(cluster)
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == folder and process.name() == "postgres":
                found.append(process)
        except psutil.Error:
            continue
    return found


def _recorded_postmaster(cluster: Path) -> int | None:
    try:
        return int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def forget_stale_postmaster(cluster: Path, socket_lock: Path) -> None:
    """Remove a lock whose process id now belongs to an unrelated process, as after a reboot or in a container.

    PostgreSQL deals with ids that are dead, and then also looks whether the old shared memory is in use; only a
    living stranger would stop it.
    """
    recorded = _recorded_postmaster(cluster)
    if recorded is not None and psutil.pid_exists(recorded):
        (cluster / "postmaster.pid").unlink()
        socket_lock.unlink(missing_ok=True)
