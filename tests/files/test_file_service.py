"""FileService: what is stored, who gets it, in which parts, and what a scanner has to say."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

from marketplace.file.v1 import file_pb2
from order_service.files.check import check
from order_service.files.storage import FILES
from order_service.store.store import Store
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from servicekit.storage.folder import FolderStorage
from tests.support import clamd as stand_in
from tests.support.events import EventServer
from tests.support.eventually import eventually
from tests.support.files import (
    FORM,
    Download,
    Files,
    a_form,
    a_part,
    pieces,
    send_in_message,
)
from tests.support.orderservice import ADMIN, BUYER, SELLER, STRANGER
from tests.support.rpc import Answer

MIB = 1024 * 1024
Status = file_pb2.File.Status
SET_SIZE = "UPDATE files SET size = %s WHERE id = %s"
ROWS = Statement("SELECT id, key FROM files")


@pytest.fixture
def store(order_database: Database) -> Store:
    return Store(order_database)


@pytest.fixture
def server(order_database: Database) -> Iterator[EventServer]:
    with EventServer(order_database, file_max_mib=2, file_uploads_per_user=2, file_downloads_per_user=2) as server:
        yield server


@pytest.fixture
def files(server: EventServer) -> Iterator[Files]:
    with server.channel() as channel:
        yield Files(channel)


def stored(server: EventServer) -> list[Path]:
    return [path for path in server.files_dir.rglob("*") if path.is_file()]


def status_of(download: Download) -> int:
    """Return the status that the edge gives to the response over HTTP."""
    if download.answer.error:
        return download.answer.http_status
    return int(download.headers["x-edge-status"])


def test_a_file_comes_back_as_it_was_with_its_name(files: Files, server: EventServer) -> None:
    data = bytes(range(256)) * 1000
    answer = files.upload(data, "text/html", "../Über <b>.html")

    label = answer.response
    assert (label.name, label.size, label.type, label.status) == ("Über <b>.html", 256_000, "text/html", Status.READY)
    download = files.get(label.file_id)
    assert download.data == data
    assert max(map(len, download.pieces)) <= 64 * 1024
    assert status_of(download) == 200
    assert download.headers["x-edge-length"] == "256000"
    assert download.headers["content-disposition"].startswith("attachment; ")
    assert download.headers["cache-control"] == "private, no-store"
    # Neither the name nor the type is known to the storage, and nobody else may read it.
    [path] = stored(server)
    assert FILES.key.fullmatch(path.relative_to(server.files_dir).as_posix())
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(server.upload_dir.iterdir()) == []


def test_a_form_has_one_file_with_its_own_name_and_type(files: Files) -> None:
    form = a_form(
        a_part(b"ignored", "other", None), a_part(b"%PDF", filename="C:\\bill.pdf", media_type="application/pdf")
    )

    label = files.upload(form, FORM, name="query.txt").response

    assert (label.name, label.size, label.type) == ("bill.pdf", 4, "application/pdf")
    assert files.get(label.file_id).data == b"%PDF"


def test_what_has_neither_name_nor_type_is_called_so(files: Files) -> None:
    body = files.upload(b"x", "", "").response
    part = files.upload(a_form(a_part(b"x", filename=None, media_type="nonsense")), FORM, "").response

    for label in (body, part):
        assert (label.name, label.type) == ("file", "application/octet-stream")


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("text/plain", b"", "INVALID_ARGUMENT"),
        (FORM, a_form(), "INVALID_ARGUMENT"),
        (FORM, a_form(a_part(b"")), "INVALID_ARGUMENT"),
        (FORM, a_form(a_part(b"x", "picture")), "INVALID_ARGUMENT"),
        (FORM, a_form(a_part(b"x"), a_part(b"y")), "INVALID_ARGUMENT"),
        (FORM, a_form(a_part(b"x"))[:-10], "INVALID_ARGUMENT"),
        ("multipart/form-data", b"x", "INVALID_ARGUMENT"),
        ("text/plain", b"x" * (2 * MIB + 1), "PAYLOAD_TOO_LARGE"),
        (FORM, a_form(a_part(b"x" * (2 * MIB + 1))), "PAYLOAD_TOO_LARGE"),
    ],
)
def test_what_is_refused_leaves_nothing(
    files: Files, server: EventServer, store: Store, content_type: str, body: bytes, code: str
) -> None:
    assert files.upload(body, content_type).error == code

    assert stored(server) == []
    assert list(store.files.all()) == []
    eventually(lambda: not list(server.upload_dir.iterdir()))


def test_a_file_of_the_largest_size_is_taken(files: Files) -> None:
    assert files.upload(b"x" * 2 * MIB).response.size == 2 * MIB


def test_nobody_uploads_or_downloads_without_a_token(files: Files) -> None:
    file_id = files.upload().response.file_id

    assert files.send(pieces(b"x"), "nonsense").error == "UNAUTHORIZED"
    assert files.get(file_id, "nonsense").answer.error == "UNAUTHORIZED"


def test_a_file_is_not_there_for_strangers_until_it_is_sent_to_them(
    files: Files, store: Store, order_database: Database
) -> None:
    file_id = files.upload().response.file_id
    assert [files.get(file_id, token).data for token in (SELLER, ADMIN)] == [b"hello"] * 2
    for token in (BUYER, STRANGER):
        download = files.get(file_id, token)
        assert (download.answer.error, download.answer.message) == ("NOT_FOUND", "File not found")
        assert download.headers.get("content-disposition") is None

    send_in_message(store, order_database, [UUID(file_id)])

    assert files.get(file_id, BUYER).data == b"hello"
    assert files.get(file_id, STRANGER).answer.error == "NOT_FOUND"
    assert files.get(str(new_id())).answer.error == "NOT_FOUND"


@pytest.mark.parametrize(
    ("header", "status", "data", "content_range"),
    [
        ("bytes=1-3", 206, b"ell", "bytes 1-3/5"),
        ("bytes=-2", 206, b"lo", "bytes 3-4/5"),
        ("bytes=4-", 206, b"o", "bytes 4-4/5"),
        ("bytes=0-0,2-2", 200, b"hello", None),
        ("lines=1-2", 200, b"hello", None),
    ],
)
def test_a_range_is_a_part(files: Files, header: str, status: int, data: bytes, content_range: str | None) -> None:
    download = files.get(files.upload().response.file_id, range=header)

    assert (status_of(download), download.data) == (status, data)
    assert download.headers.get("content-range") == content_range
    assert download.headers["x-edge-length"] == str(len(data))
    assert download.headers["accept-ranges"] == "bytes"


def test_a_range_beyond_the_end_is_told_the_size(files: Files) -> None:
    download = files.get(files.upload().response.file_id, range="bytes=5-")

    assert (download.answer.error, status_of(download)) == ("RANGE_NOT_SATISFIABLE", 416)
    assert download.answer.headers["content-range"] == "bytes */5"


def test_a_range_with_a_validator_is_the_whole_file(files: Files) -> None:
    assert files.get(files.upload().response.file_id, range="bytes=0-1", if_range='"x"').data == b"hello"


def test_the_edge_may_ask_for_the_headers_alone(files: Files) -> None:
    download = files.get(files.upload().response.file_id, range="bytes=0-1", x_edge_method="HEAD")

    assert (status_of(download), download.data, download.headers["x-edge-length"]) == (200, b"", "5")


def test_a_file_that_the_storage_lacks_is_not_there_and_the_check_names_it(
    files: Files, server: EventServer, store: Store
) -> None:
    file_id = files.upload().response.file_id
    storage = FolderStorage(server.files_dir, FILES)
    assert check(store, storage) == (1, [], 0)
    [path] = stored(server)
    moved = path.with_name("0" * 32)
    path.rename(moved)

    assert files.get(file_id).answer.error == "NOT_FOUND"
    assert check(store, storage) == (1, [(UUID(file_id), path.relative_to(server.files_dir).as_posix())], 1)


def test_a_removed_file_goes_from_the_storage(
    files: Files, server: EventServer, store: Store, order_database: Database
) -> None:
    file_id = files.upload().response.file_id
    message = send_in_message(store, order_database, [UUID(file_id)])

    with store.transaction("remove"):
        store.files.remove_of_message(message)

    assert files.get(file_id).answer.error == "NOT_FOUND"
    eventually(lambda: stored(server) == [])


def test_500_mib_that_nobody_has_sent_are_the_most(files: Files, order_database: Database) -> None:
    file_id = files.upload().response.file_id
    order_database.execute(SET_SIZE, (500 * MIB - 5, file_id))
    assert files.upload().response.size == 5

    assert files.upload(b"x").error == "LIMIT_REACHED"
    assert files.upload(b"x", token=BUYER).response.size == 1


def test_each_user_has_so_many_uploads_at_once(files: Files) -> None:
    goes_on = threading.Event()

    def slow() -> Iterator[Any]:
        yield from pieces(b"x")
        goes_on.wait(20)

    def hold_a_place() -> Answer:
        # The uploads below take a place for a moment, too.
        while (answer := files.send(slow())).error == "RATE_LIMITED":
            time.sleep(0.05)
        return answer

    with ThreadPoolExecutor(2) as pool:
        slow_ones = [pool.submit(hold_a_place) for _ in range(2)]
        try:
            eventually(lambda: files.upload().error == "RATE_LIMITED")
            assert files.upload(token=BUYER).error == ""
        finally:
            goes_on.set()
        assert [each.result(20).error for each in slow_ones] == [""] * 2


@pytest.fixture
def scanned(order_database: Database, tmp_path: Path) -> Iterator[tuple[EventServer, Files]]:
    """Serve files that a clamd has to look at; it does not run yet."""
    with EventServer(order_database, file_scanner=str(tmp_path / "clamd")) as server, server.channel() as channel:
        yield server, Files(channel)


def test_a_file_can_be_fetched_once_the_scanner_has_said_so(
    scanned: tuple[EventServer, Files], tmp_path: Path, store: Store
) -> None:
    _, files = scanned
    good, harmful = files.upload(b"hello").response, files.upload(b"EICAR").response
    assert good.status == harmful.status == Status.CHECKING
    # A dead scanner leaves it so.
    download = files.get(good.file_id)
    assert (download.answer.error, status_of(download)) == ("FILE_NOT_READY", 409)
    assert files.get(good.file_id, STRANGER).answer.error == "NOT_FOUND"

    with stand_in.clamd(tmp_path / "clamd"):
        eventually(lambda: files.get(good.file_id).data == b"hello", 20)
        eventually(lambda: not list(store.files.checking()), 20)

    assert files.get(harmful.file_id).answer.error == "FILE_NOT_READY"


def test_two_processes_scan_a_file_once(
    scanned: tuple[EventServer, Files], order_database: Database, tmp_path: Path, store: Store
) -> None:
    server, files = scanned
    for number in range(6):
        files.upload(b"%d" % number)

    with (
        EventServer(order_database, file_scanner=str(tmp_path / "clamd"), files_dir=server.files_dir),
        stand_in.clamd(tmp_path / "clamd") as clamd,
    ):
        eventually(lambda: not list(store.files.checking()), 20)

    assert sorted(clamd.streams) == [b"%d" % number for number in range(6)]


def test_a_command_scans_too(order_database: Database) -> None:
    script = "import sys; sys.exit(b'bad' in sys.stdin.buffer.read())"
    with (
        EventServer(order_database, file_scanner=f'command:{sys.executable} -c "{script}"') as server,
        server.channel() as channel,
    ):
        files = Files(channel)
        good, bad = files.upload(b"good").response.file_id, files.upload(b"bad").response.file_id
        eventually(lambda: files.get(good).data == b"good", 20)
        eventually(lambda: files.get(bad).answer.code is grpc.StatusCode.FAILED_PRECONDITION)
