"""Uploads and downloads while the database's primary is lost, in a process of the service with two hosts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from marketplace.file.v1 import file_pb2
from servicekit.database import Database
from servicekit.migrations import migrate
from servicekit.uploads.folders import UPLOAD_PREFIX
from tests.support.events import event_process
from tests.support.eventually import eventually
from tests.support.files import PIECE_BYTES, Files, pieces
from tests.support.pair import Pair, a_pair
from tests.support.postgres import migrations_of

NAME = "orders_moving"
AWAY_SECONDS = 2.0


def test_uploads_and_downloads_wait_for_the_new_primary() -> None:
    with a_pair() as pair:
        upload_and_download(pair)


def upload_and_download(pair: Pair) -> None:
    """Upload and download while the primary is killed and the standby becomes it."""
    url = pair.url("order", NAME)
    database = Database(url)
    migrate(database, migrations_of("order"))
    large = bytes(range(256)) * (PIECE_BYTES // 64)
    promoting = threading.Timer(AWAY_SECONDS, pair.promote)

    with event_process(database, ORDER_DATABASE_URL=url) as process, process.channel() as channel:
        files = Files(channel)
        before = files.upload(b"before")
        eventually(lambda: pair.ask_standby("SELECT count(*) FROM files", NAME) == [(1,)])

        def lose_the_primary_on_the_way() -> Iterator[file_pb2.UploadFileRequest]:
            body = pieces(large)
            yield next(body)
            eventually(lambda: list(process.upload_dir.rglob(f"{UPLOAD_PREFIX}*")))
            pair.primary.kill()
            promoting.start()
            yield from body

        with ThreadPoolExecutor() as threads:
            arriving = threads.submit(files.send, lose_the_primary_on_the_way())
            eventually(promoting.is_alive)
            beginning = threads.submit(files.upload, b"later")
            download = files.get(before.response.file_id)

        assert download.data == b"before"
        assert files.get(arriving.result().response.file_id).data == large
        assert files.get(beginning.result().response.file_id).data == b"later"
        # The bytes of each file are stored once, however often its row was tried.
        assert len([path for path in process.files_dir.rglob("*") if path.is_file()]) == 3
    promoting.join()
