"""The files of a user in their archive, and their erasure."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from order_service.domain.file import FileLabel
from order_service.files.storage import FILES
from order_service.personal_data import OrderUserData
from order_service.store.store import Store
from servicekit.database import Database
from servicekit.erased_users import Accounts
from servicekit.errors import MarketplaceError
from servicekit.ids import new_id
from servicekit.progress import Progress
from servicekit.storage.folder import FolderStorage
from tests.support.at_once import closing
from tests.support.events import EventServer
from tests.support.eventually import eventually
from tests.support.files import OWNER_ID, Files, pieces, send_in_message
from tests.support.locks import wait_for_a_lock_waiter
from tests.support.orderservice import BUYER, SELLER


def test_the_archive_has_the_bytes_and_an_erasure_removes_them_everywhere(
    order_database: Database, tmp_path: Path
) -> None:
    store = Store(order_database)
    with EventServer(order_database) as server, server.channel() as channel:
        files = Files(channel)
        sent, unsent = (files.upload(data, name=f"{data.decode()}.txt").response.file_id for data in (b"one", b"two"))
        theirs = files.upload(b"three", token=BUYER).response.file_id
        send_in_message(store, order_database, [UUID(sent)])
        data = OrderUserData(order_database, FolderStorage(server.files_dir, FILES), None)

        records = dict(data.archive(OWNER_ID, [], tmp_path))
        erased = {name: rows for name, rows in data.erase(OWNER_ID, [], Progress()) if rows}

        assert {row["name"]: row["id"] for row in map(json.loads, records["files"])} == {
            "one.txt": sent, "two.txt": unsent
        }  # fmt: skip
        assert {path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()} == {
            sent: b"one", unsent: b"two"
        }  # fmt: skip
        assert erased["files_removed"] == 2
        assert [files.get(each, token).answer.error for each in (sent, unsent) for token in (BUYER, SELLER)] == [
            "NOT_FOUND"
        ] * 4
        assert files.get(theirs, BUYER).data == b"three"
        # The erasure has waited for the deletion of the bytes.
        assert len([path for path in server.files_dir.rglob("*") if path.is_file()]) == 1


def test_an_upload_that_ends_after_the_erasure_of_its_owner_stores_nothing(order_database: Database) -> None:
    store = Store(order_database)
    is_erased = threading.Event()

    def slow() -> Iterator[Any]:
        yield from pieces(b"late")
        is_erased.wait(20)

    with (
        EventServer(order_database) as server,
        server.channel() as channel,
        ThreadPoolExecutor(1) as pool,
    ):
        files = Files(channel)
        upload = pool.submit(files.send, slow())
        eventually(lambda: list(server.upload_dir.iterdir()))
        Accounts(order_database).close(OWNER_ID)
        list(
            OrderUserData(order_database, FolderStorage(server.files_dir, FILES), None).erase(OWNER_ID, [], Progress())
        )
        is_erased.set()

        refused = upload.result(20)

        assert (refused.error, refused.http_status) == ("UNAUTHORIZED", 401)
        assert list(store.files.all()) == []
        assert [path for path in server.files_dir.rglob("*") if path.is_file()] == []
        # The user of another account goes on, and so does the owner of one that was opened again.
        assert files.upload(token=BUYER).error == ""
        Accounts(order_database).open(OWNER_ID)
        assert files.upload().error == ""


def test_an_erasure_removes_the_file_that_is_just_being_stored(order_database: Database) -> None:
    store = Store(order_database)

    def remove() -> int:
        with store.transaction("erase files"):
            return store.files.remove_of_owner(OWNER_ID)

    with ThreadPoolExecutor(1) as pool:
        with store.transaction("file"):
            store.files.add(FileLabel(new_id(), "a.txt", 5, "text/plain"), OWNER_ID, "a key")
            removed = pool.submit(closing(order_database, remove))
            wait_for_a_lock_waiter(order_database)

        assert removed.result(20) == 1
    assert list(store.files.all()) == []


def test_an_erasure_says_so_when_nobody_deletes_the_files(order_database: Database) -> None:
    with EventServer(order_database) as server, server.channel() as channel:
        Files(channel).upload()
        storage = FolderStorage(server.files_dir, FILES)

    with pytest.raises(MarketplaceError, match="deletions of users' files are not done yet"):
        list(OrderUserData(order_database, storage, None, files_seconds=0.3).erase(OWNER_ID, [], Progress()))
