"""The lock on DATA_DIR: one stack at a time."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from deploy.local.layout import Layout

_STOPPING_SECONDS = 12


class PreflightError(Exception):
    """The stack cannot start; the text has the reason and the remedy."""


@contextmanager
def exclusive(layout: Layout) -> Iterator[int]:
    """Lock DATA_DIR for one stack and yield the lock's file descriptor.

    Raises PreflightError when another stack has the lock. The kernel releases it when the last process with the
    descriptor ends.
    """
    data_folder(layout)
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, layout)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, layout: Layout) -> None:
    deadline = time.monotonic() + _STOPPING_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            # The holder was killed and its supervisord still stops the processes: wait for it.
            if holder is None or psutil.pid_exists(holder) or time.monotonic() > deadline:
                raise PreflightError(
                    f"another stack is running on {layout.data_dir} ({describe(holder)}). Stop it, or give this one "
                    "a folder and a port of its own: make run DATA_DIR=.data-2 PORT=8090"
                ) from None
            time.sleep(0.1)
        else:
            return


def _holder(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0)
    return int(text) if text.isdigit() else None


def data_folder(layout: Layout) -> str:
    """Make DATA_DIR where it is missing, and return its path. Raises PreflightError when it cannot be written."""
    try:
        layout.create()
        probe = layout.run / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise PreflightError(
            f"{layout.data_dir} cannot be written: {error.strerror or error}. Change its owner (root may have made "
            "it), or choose another folder: make run DATA_DIR=..."
        ) from error
    return str(layout.data_dir)


def describe(pid: int | None) -> str:
    """Return a process in words: its pid and the start of its command line."""
    if pid is None:
        return "another user's process"
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        command = "already gone"
    return f"process {pid}: {command[:120]}"
