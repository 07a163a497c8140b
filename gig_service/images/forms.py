"""What a client sends, a file or a form with files, brought to disk piece by piece.

No more than a piece is ever in memory, and what breaks a limit is refused while it is still coming. Names of files are
never used.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gig_service.images.decode import MEDIA_TYPES
from servicekit.errors import InvalidArgument, MarketplaceError, Unavailable, Violation

FORM = "multipart/form-data"
FIELD = "file"
MAX_PARTS = 100
# All of a form that is not a file's content: headers, other fields, and what stands between the parts.
MAX_OTHER_BYTES = 64 * 1024
# Uploads leave so much of the disk free: others, the database among them, may live on it.
KEPT_FREE_BYTES = 256 * 1024 * 1024

# It warns of every form that is not well-formed, which is the client's business.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Limits:
    """What an upload can have. `check_count` raises when so many files are too many."""

    max_bytes: int
    check_count: Callable[[int], None]


@dataclass(frozen=True)
class Received:
    """One file on disk, with the type that the client says it has: one of MEDIA_TYPES."""

    path: Path
    media_type: str


async def receive(content_type: str, body: AsyncIterator[bytes], folder: Path, limits: Limits) -> list[Received]:
    """Writes the files of a body of this type into a folder, in their order; there is at least one.

    Raises InvalidArgument for a form that is broken or without a file, PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE,
    what `check_count` raises, and Unavailable when the disk is nearly full.
    """
    files = _Files(folder, limits)
    try:
        reader = _reader(content_type, files)
        async for data in body:
            # In a thread: a disk may be slow.
            await asyncio.to_thread(reader.feed, data)
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


class _Files:
    """The files of one upload, written one after the other."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._file: BinaryIO | None = None
        self._size = 0
        self.bytes = 0
        self.received: list[Received] = []

    def open(self, media_type: str) -> None:
        """Begins the next file."""
        if media_type not in MEDIA_TYPES:
            raise MarketplaceError("UNSUPPORTED_MEDIA_TYPE")
        self._limits.check_count(len(self.received) + 1)
        path = self._folder / str(len(self.received))
        self._file = path.open("xb")
        self._size = 0
        self.received.append(Received(path, media_type))

    def write(self, data: bytes) -> None:
        """Adds to the file under way, if there is one."""
        if self._file is None:
            return
        self._size += len(data)
        self.bytes += len(data)
        if self._size > self._limits.max_bytes:
            raise MarketplaceError("PAYLOAD_TOO_LARGE")
        if shutil.disk_usage(self._folder).free < KEPT_FREE_BYTES:
            raise OSError(errno.ENOSPC, "the disk is nearly full")
        self._file.write(data)

    def end(self) -> None:
        """The file under way, if there is one, is whole."""
        if self._file is None:
            return
        if not self._size:
            raise InvalidArgument([Violation(FIELD, "must not be empty")])
        self._file.close()
        self._file = None

    def abandon(self) -> None:
        """The file under way, if there is one, is of no use any more."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()


class _Reader(Protocol):
    def feed(self, data: bytes) -> None: ...

    def end(self) -> None: ...


def _reader(content_type: str, files: _Files) -> _Reader:
    kind, options = parse_options_header(content_type)
    if kind.decode("latin-1") != FORM:
        return _Raw(kind.decode("latin-1"), files)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidArgument([Violation(FIELD, "is in a form without a boundary")])
    return _Form(boundary, files)


class _Raw:
    """The body is the file."""

    def __init__(self, media_type: str, files: _Files) -> None:
        self._files = files
        files.open(media_type)

    def feed(self, data: bytes) -> None:
        self._files.write(data)

    def end(self) -> None:
        self._files.end()


class _Form:
    """The body is a form (RFC 7578) whose parts named `file` are the files."""

    def __init__(self, boundary: bytes, files: _Files) -> None:
        self._files = files
        self._bytes = 0
        self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
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
        media_type = parse_options_header(self._headers.get(b"content-type"))[0].decode("latin-1")
        # A browser sends a field in which nothing was chosen as one without a name of a file.
        if names.get(b"name") == FIELD.encode() and (names.get(b"filename") or media_type in MEDIA_TYPES):
            self._files.open(media_type)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._files.write(data[start:end])

    def _end(self) -> None:
        self._complete = True
