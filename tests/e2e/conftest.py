"""Folders for the stacks that tests start themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.folders import temporary_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a `DATA_DIR` that does not exist yet."""
    with temporary_folder() as parent:
        yield Path(parent) / "data"
