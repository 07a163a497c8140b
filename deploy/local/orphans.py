"""Cleaning up after a killed postmaster, so that the next one starts at the first try."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

_KILL_AFTER_SECONDS = 0.2
_GIVE_UP_AFTER_SECONDS = 5.0


def end_orphans(cluster: Path) -> None:
    """Wait for the processes of a killed postmaster in this data folder to end, and kill those that do not.

    The next postmaster refuses to start beside them. An idle process notices the death of its postmaster; one that
    executes a statement may not. Killing them is safe: without a postmaster they cannot commit anything that crash
    recovery would miss. Exit the program when the folder's postmaster is alive.
    """
    began = time.monotonic()
    postmaster = _recorded_postmaster(cluster)
    while orphans := _processes_in(cluster):
        if postmaster in {process.pid for process in orphans}:
            sys.exit(f"PostgreSQL is already running on {cluster} as process {postmaster}")
        waited = time.monotonic() - began
        if waited > _GIVE_UP_AFTER_SECONDS:
            sys.exit(f"processes of a killed PostgreSQL do not end: {', '.join(str(each.pid) for each in orphans)}")
        if waited > _KILL_AFTER_SECONDS:
            for process in orphans:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(0.02)


def _processes_in(cluster: Path) -> list[psutil.Process]:
    """Return the server processes whose working directory is the data folder; zombies have none."""
    folder = os.path.realpath(cluster)
    processes = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == folder and process.name() == "postgres":
                processes.append(process)
        except psutil.Error:
            continue
    return processes


def _recorded_postmaster(cluster: Path) -> int | None:
    try:
        return int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def forget_stale_postmaster(cluster: Path, socket_lock: Path) -> None:
    """Remove a lock whose pid now belongs to an unrelated process, as after a reboot or in a container.

    PostgreSQL itself handles a lock whose pid is dead, and checks whether the old shared memory is in use. Only an
    unrelated process that is alive would stop it.
    """
    recorded = _recorded_postmaster(cluster)
    if recorded is not None and psutil.pid_exists(recorded):
        (cluster / "postmaster.pid").unlink()
        socket_lock.unlink(missing_ok=True)
