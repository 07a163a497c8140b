"""The SQL of files, as tests/servicer/test_recorded_sql.py has it of the other RPCs."""

from __future__ import annotations

from functools import partial

import pytest

from marketplace.file.v1 import file_pb2
from servicekit.database import Database
from tests.support.events import EventServer
from tests.support.files import Files
from tests.support.orderservice import ADMIN
from tests.support.recorded_sql import compare, recording
from tests.support.rpc import Answer

SERVICE = file_pb2.DESCRIPTOR.services_by_name["FileService"]


def test_the_sql_of_files(monkeypatch: pytest.MonkeyPatch, order_database: Database) -> None:
    with (
        recording(monkeypatch) as sql,
        EventServer(order_database) as server,
        server.channel() as channel,
    ):
        files = Files(channel)

        def get(file_id: str, token: str) -> Answer:
            return files.get(file_id, token).answer

        for _ in range(2):
            # A user with files takes as many messages as one without.
            file_id = sql.call("UploadFile", files.upload).response.file_id
            sql.call("GetFile", partial(get, file_id, ADMIN))

        compare("FileService", sql, SERVICE)
