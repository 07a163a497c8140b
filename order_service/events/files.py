"""The RPCs of FileService. Nothing here may block the event loop. The pipeline around them is servicekit.aio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import structlog
from google.api.httpbody_pb2 import HttpBody

from marketplace.file.v1 import file_pb2
from order_service.commands.upload_file import UploadFile
from order_service.convert.files import to_uploaded
from order_service.domain.byte_range import content_range, requested_range
from order_service.domain.file import File, FileLabel, FileStatus, content_disposition
from order_service.store.store import Store
from servicekit.call import Call
from servicekit.crash import crash_point
from servicekit.errors import Conflict, InvalidArgument, NotFound, Violation
from servicekit.failover import until_primary
from servicekit.metadata import EDGE_METHOD
from servicekit.storage.storage import NEVER, Attachment, Span, Storage
from servicekit.threads import Threads
from servicekit.uploads.bodies import FIELD, ReceivedFile, UploadLimits, receive_files
from servicekit.uploads.folders import UPLOAD_PREFIX
from servicekit.uploads.uploads import BYTES, counted_upload, run_to_completion, steady, upload_place
from servicekit.user_places import UserPlaces

# The status of the response over HTTP: the edge gives it to the response, and removes this header.
FILE_STATUS = "x-edge-status"
# The `Content-Length` of that response, which gRPC does not let a service set.
FILE_LENGTH = "x-edge-length"
URL_LIFETIME = timedelta(minutes=1)

Pieces = AsyncIterator[file_pb2.UploadFileRequest]


class FileServicer:
    """The RPCs of `marketplace.file.v1.FileService`.

    `uploads` and `downloads` bound those at once; `threads` read and write their bytes. Incoming uploads are stored in
    `upload_dir`; each file can have `max_bytes`, and must come at `min_rate` bytes a second.
    """

    def __init__(
        self,
        store: Store,
        storage: Storage,
        upload_file: UploadFile,
        upload_dir: Path,
        threads: Threads,
        *,
        uploads: UserPlaces,
        downloads: UserPlaces,
        max_bytes: int,
        min_rate: float,
    ) -> None:
        self._store = store
        self._storage = storage
        self._upload_file = upload_file
        self._upload_dir = upload_dir
        self._run = threads.run
        self._uploads = uploads
        self._downloads = downloads
        self._limits = UploadLimits(max_bytes, _check_one)
        self._min_rate = min_rate

    async def UploadFile(self, pieces: Pieces, call: Call) -> file_pb2.UploadFileResponse:
        with upload_place(self._uploads, call.user_id), counted_upload():
            return to_uploaded(await self._upload(pieces, call))

    async def GetFile(self, request: file_pb2.GetFileRequest, call: Call) -> AsyncGenerator[HttpBody, None]:
        with self._downloads.place(call.user_id):
            file = await until_primary(lambda: self._run(self._readable, UUID(request.file_id), call))
            attachment = Attachment(file.label.type, content_disposition(file.label.name))
            method = call.metadata.get(EDGE_METHOD, "")
            if method:
                url = await self._run(self._storage.url, file.key, method, attachment, URL_LIFETIME)
                if url:
                    call.headers = {FILE_STATUS: "302", "location": url, "cache-control": NEVER}
                    yield HttpBody()
                    return
            span = None if method == "HEAD" else _span(call, file.label.size)
            call.headers = _headers(file.label, attachment, span)
            if method == "HEAD":
                yield HttpBody(content_type=file.label.type)
                return
            async for data in self._read(file, span or Span(0, file.label.size)):
                yield HttpBody(content_type=file.label.type, data=data)

    async def _upload(self, pieces: Pieces, call: Call) -> FileLabel:
        first = await anext(pieces)
        await until_primary(lambda: self._run(self._upload_file.check_allowed, call.user_id))
        # A cancelled call may leave a thread that still writes into the folder.
        with TemporaryDirectory(dir=self._upload_dir, prefix=UPLOAD_PREFIX, ignore_cleanup_errors=True) as folder:
            body = steady(_bodies(first, pieces), self._min_rate)
            [received] = await receive_files(first.file.content_type, body, Path(folder), self._limits, self._run)
            crash_point("received")
            BYTES.observe(received.size)
            return await run_to_completion(self._keep(received, first.name, call.user_id))

    async def _keep(self, received: ReceivedFile, name: str, owner_id: UUID) -> FileLabel:
        stored = await self._run(self._upload_file.store, received, name)
        return await until_primary(lambda: self._run(self._upload_file.add, stored, owner_id))

    def _readable(self, file_id: UUID, call: Call) -> File:
        """Return the file. Raises NotFound, and Conflict (FILE_NOT_READY)."""
        file = self._store.files.get(file_id, call.caller)
        if file.label.status is not FileStatus.READY:
            raise Conflict(code="FILE_NOT_READY")
        return file

    async def _read(self, file: File, span: Span) -> AsyncGenerator[bytes, None]:
        """Yield the bytes, in threads: a disk may be slow. Raises NotFound when the file was removed meanwhile."""
        with ExitStack() as stack:
            try:
                pieces = await self._run(stack.enter_context, self._storage.read(file.key, span))
            except FileNotFoundError as error:
                structlog.get_logger().warning("a file is not in the storage", file_id=str(file.label.id))
                raise NotFound("File") from error
            while data := await self._run(next, pieces, b""):
                yield data


def _span(call: Call, size: int) -> Span | None:
    """Return the part of the file that the call asks for; None for all of it. Raises RangeNotSatisfiable.

    `If-Range` names a validator, which files do not have: then the whole file is the answer.
    """
    return None if "if-range" in call.metadata else requested_range(call.metadata.get("range", ""), size)


def _headers(label: FileLabel, attachment: Attachment, span: Span | None) -> dict[str, str]:
    """Return the headers of a response with a file, or with this part of it."""
    headers = {
        FILE_STATUS: "206" if span else "200",
        "content-disposition": attachment.disposition,
        "accept-ranges": "bytes",
        "cache-control": NEVER,
        FILE_LENGTH: str(span.length if span else label.size),
    }
    if span:
        headers["content-range"] = content_range(span, label.size)
    return headers


def _check_one(files: int) -> None:
    if files > 1:
        raise InvalidArgument([Violation(FIELD, "must be one file")])


async def _bodies(first: file_pb2.UploadFileRequest, others: Pieces) -> AsyncIterator[bytes]:
    yield first.file.data
    async for piece in others:
        yield piece.file.data
