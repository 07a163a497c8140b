"""Request bodies, a file or a form with files, written to disk piece by piece.

At most one piece is in memory, and a body that exceeds a limit is refused while it is still arriving. Names and types
are as the client gives them.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from servicekit.errors import InvalidArgument, MarketplaceError, Unavailable, Violation
from servicekit.uploads.limits import MAX_OTHER_BYTES

Run = Callable[..., Awaitable[Any]]

FORM = "multipart/form-data"
FIELD = "file"
MAX_PARTS = 100
# How many first bytes of a file are returned.
START_BYTES = 64
# Uploads leave this much of the disk free: the database may use the same disk.
KEPT_FREE_BYTES = 256 * 1024 * 1024

# It warns of every malformed form, which is the client's error.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


@dataclass(frozen=True)
class UploadLimits:
    """The limits of an upload: bytes of each file, and `check_count`, which raises for too many files."""

    max_bytes: int
    check_count: Callable[[int], None]


@dataclass(frozen=True)
class ReceivedFile:
    """One file on disk: its size, its first bytes, and what the client says of it.

    `declared` is the media type, `name` the name of a part; each is empty when there is none. `is_part` says whether
    the file came in a form.
    """

    path: Path
    size: int
    start: bytes
    declared: str = ""
    name: str = ""
    is_part: bool = False


def media_type_of(content_type: str) -> str:
    """Return the media type of a `Content-Type`, without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def is_form(content_type: str) -> bool:
    """Return whether a body of this type is a form with parts."""
    return media_type_of(content_type) == FORM


async def receive_files(
    content_type: str,
    body: AsyncIterator[bytes],
    folder: Path,
    limits: UploadLimits,
    run: Run = asyncio.to_thread,
) -> list[ReceivedFile]:
    """Write the files of a body of this type into a folder and return them in their order; there is at least one.

    `run` calls a function in a thread.
    Raises InvalidArgument for a form that is malformed or without a file and for an empty file, PAYLOAD_TOO_LARGE, the
    errors of `check_count`, and Unavailable when the disk is nearly full.
    """
    files = _FileWriter(folder, limits)
    try:
        reader = _reader(content_type, files)
        async for data in body:
            # In a thread, since a disk may be slow.
            await run(reader.feed, data)
        reader.end()
    except (FormParserError, UnicodeError) as error:
        raise InvalidArgument([Violation(FIELD, "is not a well-formed form")]) from error
    except OSError as error:
        raise Unavailable from error
    finally:
        files.abandon()
    if not files.received:
        raise InvalidArgument([Violation(FIELD, "must be given")])
    return files.received


class _FileWriter:
    """Writes the files of one upload, one after the other."""

    def __init__(self, folder: Path, limits: UploadLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._file: BinaryIO | None = None
        self._current = ReceivedFile(folder, 0, b"")
        self._start = b""
        self._size = 0
        self.bytes = 0
        self.received: list[ReceivedFile] = []

    @property
    def is_open(self) -> bool:
        """Whether a file has begun and not ended."""
        return self._file is not None

    def open(self, declared: str, name: str = "", *, is_part: bool = False) -> None:
        """Begin the next file."""
        self._limits.check_count(len(self.received) + 1)
        path = self._folder / str(len(self.received))
        self._current = ReceivedFile(path, 0, b"", declared, name, is_part)
        self._file = path.open("xb")
        self._start = b""
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append to the current file, if there is one."""
        if self._file is None:
            return
        self._size += len(data)
        self.bytes += len(data)
        if self._size > self._limits.max_bytes:
            raise MarketplaceError("PAYLOAD_TOO_LARGE")
        if shutil.disk_usage(self._folder).free < KEPT_FREE_BYTES:
            raise OSError(errno.ENOSPC, "the disk is nearly full")
        self._start = (self._start + data[:START_BYTES])[:START_BYTES]
        self._file.write(data)

    def end(self) -> None:
        """Finish the current file, if there is one."""
        if self._file is None:
            return
        if not self._size:
            raise InvalidArgument([Violation(FIELD, "must not be empty")])
        self._file.close()
        self._file = None
        self.received.append(replace(self._current, size=self._size, start=self._start))

    def abandon(self) -> None:
        """Close the current file, if there is one, after an error."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()


class _BodyReader(Protocol):
    def feed(self, data: bytes) -> None: ...

    def end(self) -> None: ...


def _reader(content_type: str, files: _FileWriter) -> _BodyReader:
    if not is_form(content_type):
        return _RawBody(content_type, files)
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidArgument([Violation(FIELD, "is in a form without a boundary")])
    return _FormBody(boundary, files)


class _RawBody:
    """A body that is the file itself."""

    def __init__(self, declared: str, files: _FileWriter) -> None:
        self._files = files
        files.open(declared)

    def feed(self, data: bytes) -> None:
        self._files.write(data)

    def end(self) -> None:
        self._files.end()


class _FormBody:
    """A body that is a form (RFC 7578); its parts named `file` are the files."""

    def __init__(self, boundary: bytes, files: _FileWriter) -> None:
        self._files = files
        self._bytes = 0
        self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
        self._is_file = False
        self._file_name = ""
        self._complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._data,
                "on_part_end": files.end,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        self._bytes += len(data)
        self._parser.write(data)
        if self._bytes - self._files.bytes > MAX_OTHER_BYTES:
            raise MarketplaceError("PAYLOAD_TOO_LARGE")

    def end(self) -> None:
        if self._bytes and not self._complete:
            raise InvalidArgument([Violation(FIELD, "is in a form that breaks off")])

    def _begin_part(self) -> None:
        self._headers = {}
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidArgument([Violation(FIELD, f"is in a form of more than {MAX_PARTS} parts")])

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _end_headers(self) -> None:
        _, names = parse_options_header(self._headers.get(b"content-disposition"))
        self._is_file = names.get(b"name") == FIELD.encode()
        # Browsers escape a quotation mark in a name so.
        self._file_name = names.get(b"filename", b"").decode("utf-8", "replace").replace("%22", '"')
        if self._is_file and self._file_name:
            self._open()

    def _open(self) -> None:
        declared = self._headers.get(b"content-type", b"").decode("latin-1")
        self._files.open(declared, self._file_name, is_part=True)

    def _data(self, data: bytes, start: int, end: int) -> None:
        # A browser sends an empty file field as an empty part without a file name.
        if self._is_file and start < end and not self._files.is_open:
            self._open()
        self._files.write(data[start:end])

    def _end(self) -> None:
        self._complete = True
