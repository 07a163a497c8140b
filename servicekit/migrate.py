"""A program that brings a service's databases up to date and ends: a deployment runs it before it replaces workers."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from servicekit import logs
from servicekit.database import Database
from servicekit.migrations import migrate_when_reachable
from servicekit.signal_event import SignalEvent


def run(databases: Sequence[tuple[str, Path]]) -> None:
    """Apply the missing migrations of each database, a libpq URL and a folder, once it answers.

    Ends the process with status 1 when SIGTERM comes first.
    """
    logs.configure("INFO", "auto", worker="migrate")
    stop = SignalEvent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if not all(migrate_when_reachable(Database(url), folder, stop) for url, folder in databases):
        sys.exit(1)
    structlog.get_logger().info("up to date")
