"""The order in which files are scanned, with a scanner that answers about some files only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from order_service.commands.scan_file import ScanFile
from order_service.domain.file import FileStatus
from order_service.events import file_scans
from order_service.events.file_scans import FileScans
from order_service.files.scanner import ScanFailed, ScannerAway
from order_service.files.storage import FILES
from order_service.store.store import Store
from servicekit.database import Database
from servicekit.storage.folder import FolderStorage
from tests.support.files import OWNER_ID, READER_ID, add_file

# Seconds that the scanner takes before it gives up.
SCAN_SECONDS = 60.0
BEGINNING = 1_000.0


class Scans:
    """FileScans with a clock of its own and a scanner that never answers about files called `bad…`.

    Files called `deadly…` end the scanner, which is started again.
    """

    def __init__(self, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = BEGINNING
        self.asked: list[str] = []
        self._folder = folder
        self._store = Store(database)
        self._storage = FolderStorage(folder / "files", FILES)
        self._scans = FileScans(self._store, ScanFile(self._store, self._storage, self), database)
        monkeypatch.setattr(file_scans, "AWAY_SECONDS", 0.0)
        monkeypatch.setattr(file_scans, "time", SimpleNamespace(monotonic=lambda: self.now))

    def add(self, name: str, owner: UUID = OWNER_ID) -> UUID:
        """Store a file that is CHECKING. Its bytes are its name."""
        file = add_file(self._store, owner, len(name), name, FileStatus.CHECKING)
        source = self._folder / "source"
        source.write_text(name)
        self._storage.put(file.key, source, "text/plain")
        return file.label.id

    def is_harmful(self, pieces: Iterator[bytes]) -> bool:
        """Answer as a scanner does."""
        name = b"".join(pieces).decode()
        self.asked.append(name)
        if name.startswith("deadly"):
            raise ScannerAway("no reply")
        if name.startswith("bad"):
            self.now += SCAN_SECONDS
            raise ScanFailed("no reply in time")
        return False

    def run(self, times: int = 1) -> list[str]:
        """Run the task, with its pauses. Return the names of the files that the scanner was asked about."""
        before = len(self.asked)
        for _ in range(times):
            self._scans.run()
            self.now += file_scans.EVERY_SECONDS
        return self.asked[before:]

    def run_at(self, minute: int) -> list[str]:
        """Run the task once so many minutes after the beginning, unless it takes until later."""
        at, before = BEGINNING + minute * 60, len(self.asked)
        if self.now > at:
            return []
        self.now = at
        self._scans.run()
        return self.asked[before:]


@pytest.fixture
def scans(order_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scans:
    (tmp_path / "files").mkdir()
    return Scans(order_database, tmp_path, monkeypatch)


def test_a_new_file_is_scanned_before_files_about_which_the_scanner_has_not_answered(scans: Scans) -> None:
    for number in range(3):
        scans.add(f"bad {number}")
    assert scans.run(3) == ["bad 0", "bad 1", "bad 2"]
    scans.add("good")

    assert scans.run() == ["good"]
    assert scans.run(2) == ["bad 0", "bad 1"]


def test_owners_take_turns_and_a_failed_scan_is_a_turn(scans: Scans) -> None:
    for number in range(3):
        scans.add(f"bad {number}")
    assert scans.run() == ["bad 0"]
    for number in range(3):
        scans.add(f"good {number}", READER_ID)

    assert scans.run(2) == ["good 0", "bad 1", "good 1", "good 2", "bad 2"]


def test_a_file_of_an_owner_with_one_failed_scan_is_tried_again_before_those_of_an_owner_with_many(
    scans: Scans,
) -> None:
    for number in range(3):
        scans.add(f"bad {number}")
    scans.add("bad, of another owner", READER_ID)
    assert set(scans.run(4)) == {"bad 0", "bad 1", "bad 2", "bad, of another owner"}

    scans.now += file_scans.FAILED_SECONDS

    assert scans.run() == ["bad, of another owner"]


def test_a_file_about_which_the_scanner_never_answers_is_tried_later_and_later_and_at_last_every_hour(
    scans: Scans,
) -> None:
    scans.add("bad")
    minutes = [minute for minute in range(200) if scans.run_at(minute)]

    # A scan takes a minute, and the pauses are 1, 2, 4, 8, 16, 32, 60 and 60 minutes.
    assert minutes == [0, 2, 5, 10, 19, 36, 69, 130, 191]


def test_files_that_end_the_scanner_hold_up_no_others(scans: Scans) -> None:
    for name in ("deadly 0", "deadly 1"):
        scans.add(name)
    for number in range(3):
        scans.add(f"good {number}", READER_ID)

    asked = scans.run(4)

    assert asked == ["deadly 0", "good 0", "deadly 1", "good 1", "good 2", "deadly 0"]


def test_files_for_which_the_scanner_was_away_are_all_scanned_when_it_is_back(
    scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_pieces: Iterator[bytes]) -> bool:
        raise ScannerAway("refused")

    with monkeypatch.context() as patch:
        patch.setattr(scans, "is_harmful", away)
        for number in range(3):
            scans.add(f"good {number}")
        scans.run(10)

    assert sorted(scans.run()) == ["good 0", "good 1", "good 2"]


def test_a_file_that_was_removed_is_forgotten(scans: Scans, order_database: Database) -> None:
    scans.add("bad")
    scans.run()
    order_database.execute("DELETE FROM files")

    scans.now += file_scans.FAILED_SECONDS

    assert scans.run() == []
    assert scans._scans._tried == {}


def test_a_file_whose_bytes_another_process_reads_is_looked_at_again_soon(
    scans: Scans, order_database: Database, tmp_path: Path
) -> None:
    scans.add("good")
    hidden = tmp_path / "hidden"
    (tmp_path / "files").rename(hidden)
    (tmp_path / "files").mkdir()
    assert scans.run() == []
    (tmp_path / "files").rmdir()
    hidden.rename(tmp_path / "files")

    scans.now += file_scans.AWAY_SECONDS

    assert scans.run() == ["good"]
