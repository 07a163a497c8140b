"""A process that dies between any two lines of an upload or a scan leaves nothing half-done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from order_service.domain.file import FileStatus
from order_service.files.check import check
from order_service.files.storage import FILES
from order_service.store.store import Store
from servicekit.crash import STATUS
from servicekit.database import Database
from servicekit.storage.folder import FolderStorage
from servicekit.storage.orphan_sweeper import OrphanSweeper
from tests.support.clamd import clamd
from tests.support.events import EventProcess, event_process
from tests.support.eventually import eventually
from tests.support.files import Files

# Starting a process takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def store(order_database: Database) -> Store:
    return Store(order_database)


@contextmanager
def files_of(process: EventProcess) -> Iterator[Files]:
    with process.channel() as channel:
        yield Files(channel)


def has_crashed(process: EventProcess) -> bool:
    assert process.process is not None
    return process.process.wait(60) == STATUS


@pytest.mark.parametrize(
    ("point", "is_stored"),
    [("received", False), ("file stored", False), ("file:commit", False), ("file:committed", True)],
)
def test_an_upload_is_whole_or_leaves_bytes_that_are_swept(
    order_database: Database, store: Store, point: str, is_stored: bool
) -> None:
    with event_process(order_database, CRASH_AT=point) as process:
        with files_of(process) as files:
            assert files.upload().code is grpc.StatusCode.UNAVAILABLE
        assert has_crashed(process)
        storage = FolderStorage(process.files_dir, FILES)
        OrphanSweeper(storage, store.files.orphans, order_database, older_than=timedelta(0)).sweep()

        kept = list(store.files.all())
        assert len(kept) == int(is_stored)
        assert check(store, storage) == (len(kept), [], 0)
        assert len([path for path in process.files_dir.rglob("*") if path.is_file()]) == len(kept)


def test_the_next_process_removes_what_was_coming_in_and_leaves_what_another_receives(
    order_database: Database,
) -> None:
    with event_process(order_database, CRASH_AT="received") as process:
        with files_of(process) as files:
            files.upload()
        assert has_crashed(process)
        assert list(process.upload_dir.glob("*/upload-*/0"))
        folder = str(process.upload_dir)

        with event_process(order_database, FILE_UPLOAD_DIR=folder) as next_one:
            [own] = list(process.upload_dir.iterdir())
            with event_process(order_database, FILE_UPLOAD_DIR=folder), files_of(next_one) as files:
                assert own.exists()
                assert files.upload().error == ""


def test_a_file_whose_scanner_died_in_the_middle_is_scanned_again(
    order_database: Database, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "clamd"
    with clamd(path) as scanner, event_process(order_database, FILE_SCANNER=str(path), CRASH_AT="scanned") as process:
        with files_of(process) as files:
            files.upload(b"EICAR")
        assert has_crashed(process)
        [file] = store.files.all()
        assert file.label.status is FileStatus.CHECKING

        place = {"FILES_DIR": str(process.files_dir), "FILE_SCANNER": str(path)}
        with event_process(order_database, **place):
            eventually(lambda: next(store.files.all()).label.status is FileStatus.REFUSED, 60)
        assert scanner.streams == [b"EICAR"] * 2
