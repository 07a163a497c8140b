"""The files of a user in their archive, and their erasure."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest

from order_service.files.storage import FILES
from order_service.personal_data import OrderUserData
from order_service.store.store import Store
from servicekit.database import Database
from servicekit.errors import MarketplaceError
from servicekit.progress import Progress
from servicekit.storage.folder import FolderStorage
from tests.support.events import EventServer
from tests.support.files import OWNER_ID, Files, send_in_message
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


def test_an_erasure_says_so_when_nobody_deletes_the_files(order_database: Database) -> None:
    with EventServer(order_database) as server, server.channel() as channel:
        Files(channel).upload()
        storage = FolderStorage(server.files_dir, FILES)

    with pytest.raises(MarketplaceError, match="deletions of users' files are not done yet"):
        list(OrderUserData(order_database, storage, None, files_seconds=0.3).erase(OWNER_ID, [], Progress()))
