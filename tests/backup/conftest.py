"""A stack that archives its log, and a backup that was made while people traded in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.backup import catalog
from tests.support.backup import Acknowledged, Trade, command, succeed
from tests.support.folders import temporary_folder
from tests.support.stack import UNLIMITED_WRITES, Stack


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Return a folder for stacks and backups."""
    with temporary_folder() as name:
        yield Path(name)


@pytest.fixture(scope="session")
def shop(folder: Path) -> Iterator[Stack]:
    """Start the stack that is backed up."""
    # A file of the log is archived when a test asks for it, and when it is full.
    archiving: dict[str, Any] = {"WAL_ARCHIVE": str(folder / "archive"), "WAL_ARCHIVE_SECONDS": "3600"}
    running = Stack(folder / "shop", workers=1, **archiving, **UNLIMITED_WRITES)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="session")
def archive(folder: Path) -> Path:
    """Return the folder that the log of the stack is archived to."""
    return folder / "archive"


@pytest.fixture(scope="session")
def backups(folder: Path) -> Path:
    return folder / "backups"


@pytest.fixture(scope="session")
def acknowledged(shop: Stack, backups: Path) -> Acknowledged:
    """Make a backup while people trade."""
    trade = Trade(shop)
    for _ in range(3):
        trade.once()
    before = Acknowledged(trade, list(trade.orders), list(trade.images))
    with trade.going_on():
        succeed(command(shop.data_dir, backups, "backup"))
    return before


@pytest.fixture(scope="session")
def backup(acknowledged: Acknowledged, backups: Path) -> Path:
    return catalog.backups(backups)[0]
