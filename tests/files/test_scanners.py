"""Scanners of files: a stand-in of clamd on a real socket, and real commands."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from order_service.domain.file_scanner import Clamd, Command
from order_service.files.scanner import (
    ClamdScanner,
    CommandScanner,
    ScanFailed,
    Scanner,
    ScannerAway,
    scanner_from,
)
from tests.support import clamd as stand_in

# It reads a file as clamscan does, and ends with its statuses.
COMMAND = "import sys; data = sys.stdin.buffer.read(); sys.exit(1 if b'EICAR' in data else 0)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clamd"


@pytest.fixture
def clamd(path: Path) -> Iterator[stand_in.Clamd]:
    with stand_in.clamd(path) as server:
        yield server


@pytest.fixture(params=["clamd", "command"])
def scanner(request: pytest.FixtureRequest) -> Scanner:
    if request.param == "command":
        return CommandScanner((sys.executable, "-c", COMMAND), 20)
    return ClamdScanner(Clamd(str(request.getfixturevalue("clamd").path)), 20)


def test_a_harmful_file_is_told_from_a_good_one(scanner: Scanner) -> None:
    assert not scanner.is_harmful(iter([b"hello", b" world"]))
    # The word stands on both sides of a border between pieces.
    assert scanner.is_harmful(iter([b"x" * 70_000 + b"EI", b"CAR"]))
    assert not scanner.is_harmful(iter([]))


def test_clamd_gets_the_file_as_it_is(clamd: stand_in.Clamd) -> None:
    pieces = [bytes([number]) * 65_536 for number in range(5)]

    ClamdScanner(Clamd(str(clamd.path)), 5).is_harmful(iter(pieces))

    assert clamd.streams == [b"".join(pieces)]


def test_clamd_is_asked_by_host_and_port_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                while not connection.recv(65_536).endswith(b"\0\0\0\0"):
                    pass
                connection.sendall(b"stream: Some.Virus FOUND\0")

        thread = threading.Thread(target=answer)
        thread.start()
        scanner = scanner_from(f"127.0.0.1:{server.getsockname()[1]}", 5)

        assert scanner is not None
        assert scanner.is_harmful(iter([b"hello"]))
        thread.join(5)


def test_a_scanner_that_is_not_there_is_away(path: Path) -> None:
    for away in (Clamd(str(path)), Clamd(host="127.0.0.1", port=9)):
        with pytest.raises(ScannerAway):
            ClamdScanner(away, 5).is_harmful(iter([b"hello"]))
    with pytest.raises(ScannerAway):
        CommandScanner((str(path),), 5).is_harmful(iter([b"hello"]))


def test_a_scanner_that_goes_without_a_reply_is_away(clamd: stand_in.Clamd) -> None:
    clamd.is_silent = True

    with pytest.raises(ScannerAway):
        ClamdScanner(Clamd(str(clamd.path)), 5).is_harmful(iter([b"hello"]))


def test_a_file_that_is_too_large_for_clamd_is_not_called_good(clamd: stand_in.Clamd) -> None:
    with pytest.raises((ScanFailed, ScannerAway)):
        ClamdScanner(Clamd(str(clamd.path)), 5).is_harmful(iter([b"x" * 65_536] * 100))


def test_a_scanner_has_only_so_long(path: Path) -> None:
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(ScanFailed):
            ClamdScanner(Clamd(str(path)), 0.3).is_harmful(iter([b"hello"]))
    sleeper = (sys.executable, "-c", "import time; time.sleep(60)")
    with pytest.raises(ScanFailed):
        CommandScanner(sleeper, 0.3).is_harmful(iter([b"x" * 65_536] * 100))

    assert time.monotonic() - began < 30


@pytest.mark.parametrize("status", [2, 127])
def test_a_command_that_fails_has_said_nothing(status: int) -> None:
    with pytest.raises(ScanFailed):
        CommandScanner((sys.executable, "-c", f"import sys; sys.exit({status})"), 20).is_harmful(iter([b"hello"]))


def test_a_command_gets_no_setting_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDER_DATABASE_URL", "postgresql://secret")
    script = "import os, sys; sys.exit(1 if 'ORDER_DATABASE_URL' in os.environ else 0)"

    assert not CommandScanner((sys.executable, "-c", script), 20).is_harmful(iter([b"hello"]))


def test_the_setting_chooses_the_scanner() -> None:
    assert scanner_from("", 1) is None
    assert isinstance(scanner_from("/run/clamd", 1), ClamdScanner)
    assert isinstance(scanner_from("command:scan", 1), CommandScanner)
    assert Command(("scan",)).words == ("scan",)
