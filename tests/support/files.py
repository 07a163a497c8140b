"""FileService in this process, clients that upload and download files, and conversations in which files are sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from uuid import UUID

import grpc

from marketplace.file.v1 import file_pb2, file_pb2_grpc
from order_service.domain.file import File, FileLabel, FileStatus
from order_service.store.store import Store
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.aio import stream_in
from tests.support.events import EventServer
from tests.support.identity import user_id
from tests.support.orderservice import SELLER
from tests.support.rpc import Answer

PIECE_BYTES = 40_000
BOUNDARY = "xXx"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
OWNER_ID, READER_ID = user_id("webdev_pro"), user_id("happy_buyer")

ADD_CONVERSATION = """
    INSERT INTO conversations (
        id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_wrote, owner_wrote
    ) VALUES (%s, %s, %s, %s, app_now(), 1, app_now(), 0, 1)
"""
ADD_MESSAGE = """
    INSERT INTO messages (id, conversation_id, number, from_id, text, at, starter_wrote, owner_wrote)
    VALUES (%s, %s, 1, %s, 'Here it is', app_now(), 0, 1)
"""


class Download(NamedTuple):
    """The outcome of a call of GetFile: the headers before the first message, the messages, and the status."""

    headers: dict[str, Any]
    pieces: list[bytes]
    answer: Answer

    @property
    def data(self) -> bytes:
        """The bytes of all messages."""
        return b"".join(self.pieces)


def a_part(data: bytes, name: str = "file", filename: str | None = "a.txt", media_type: str = "text/plain") -> bytes:
    """Return a part of a form."""
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename is not None else "")
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: {media_type}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def a_form(*parts: bytes) -> bytes:
    """Return a whole form."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def pieces(body: bytes, content_type: str = "text/plain", name: str = "") -> Iterator[file_pb2.UploadFileRequest]:
    """Yield the messages that the edge makes of a body."""
    for start in range(0, max(1, len(body)), PIECE_BYTES):
        request = file_pb2.UploadFileRequest(name=name if start == 0 else "")
        if start == 0:
            request.file.content_type = content_type
        request.file.data = body[start : start + PIECE_BYTES]
        yield request


class Files:
    """Calls of FileService on a channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        # Any: the stubs' types know metadata as one shape only.
        stub: Any = file_pb2_grpc.FileServiceStub(channel)
        self._upload, self._get = stub.UploadFile, stub.GetFile

    def upload(
        self, body: bytes = b"hello", content_type: str = "text/plain", name: str = "a.txt", token: str = SELLER
    ) -> Answer:
        """Upload a body."""
        return self.send(pieces(body, content_type, name), token)

    def send(self, requests: Iterator[file_pb2.UploadFileRequest], token: str = SELLER) -> Answer:
        """Send these messages."""
        return stream_in(self._upload, requests, token)

    def get(self, file_id: str, token: str = SELLER, **metadata: str) -> Download:
        """Download a file; names in `metadata` get dashes."""
        sent = [(key.replace("_", "-"), value) for key, value in metadata.items()]
        sent.append(("authorization", f"Bearer {token}"))
        call = self._get(file_pb2.GetFileRequest(file_id=file_id), timeout=30, metadata=sent)
        received: list[bytes] = []
        with suppress(grpc.RpcError):
            for response in call:
                received.append(response.data)  # noqa: PERF401  # what came before an error counts
        trailers = {entry.key: entry.value for entry in call.trailing_metadata() or ()}
        headers = {entry.key: entry.value for entry in call.initial_metadata() or ()}
        return Download(headers, received, Answer(None, call.code(), call.details() or "", trailers))


@contextmanager
def file_server(database: Database, **changes: Any) -> Iterator[Files]:
    """Serve files for the block, with these settings."""
    with EventServer(database, **changes) as server, server.channel() as channel:
        yield Files(channel)


def add_file(
    store: Store, owner: UUID = OWNER_ID, size: int = 5, name: str = "a.txt", status: FileStatus = FileStatus.READY
) -> File:
    """Store the row of a file, whose bytes are nowhere."""
    label = FileLabel(new_id(), name, size, "text/plain", status)
    with store.transaction("file"):
        return store.files.add(label, owner, f"{label.id.hex[:2]}/{label.id.hex}")


def add_message(database: Database, sender: UUID = OWNER_ID, reader: UUID = READER_ID) -> UUID:
    """Store a conversation of two people with one message, and return the message's id."""
    conversation_id, message_id = new_id(), new_id()
    database.execute(ADD_CONVERSATION, (conversation_id, reader, sender, new_id()))
    database.execute(ADD_MESSAGE, (message_id, conversation_id, sender))
    return message_id


def send_in_message(
    store: Store, database: Database, file_ids: Sequence[UUID], sender: UUID = OWNER_ID, reader: UUID = READER_ID
) -> UUID:
    """Send files in a message of a new conversation, and return the message's id."""
    message_id = add_message(database, sender, reader)
    with store.transaction("message"):
        store.files.send_in_message(sender, file_ids, message_id)
    return message_id
