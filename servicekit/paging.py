"""Page tokens: the end of a page, and the filters that it was made with.

A token is opaque to clients but neither secret nor signed. It contains the last row's sort key, and a digest of the
request's filters, which anybody can compute. So a token may be forged: each part of the key is read by a parser that
takes nothing but values that the database takes. A forged key begins the page elsewhere; what the page may show is
decided by the request and its caller.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from servicekit.errors import InvalidArgument, Violation

DEFAULT_PAGE_SIZE = 20
DIGEST_BYTES = 9
# The bound of `page_token` in the protos.
MAX_LENGTH = 1000

_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?\+00:00")

T = TypeVar("T")
Parser = Callable[[str], T]


def page_size(requested: int) -> int:
    """Return the number of rows of a page: the requested one, or the default for 0."""
    return requested or DEFAULT_PAGE_SIZE


def encode(request: Message, key: Sequence[object]) -> str:
    """Return the token of the page after the row with this sort key. The key's parts are written with `str`."""
    payload = json.dumps([str(part) for part in key], separators=(",", ":")).encode()
    return urlsafe_b64encode(_digest(request, payload) + payload).decode().rstrip("=")


def decode(request: Message, *parsers: Parser[Any]) -> list[Any] | None:
    """Return the sort key in `request.page_token`, each part read by its parser; None without a token.

    A parser raises ValueError for a text that `encode` has not written. Raises InvalidArgument when the token is
    malformed or was made with other filters.
    """
    token: str = request.page_token  # type: ignore[attr-defined]
    if not token:
        return None
    try:
        if len(token) > MAX_LENGTH or not _TOKEN.fullmatch(token):
            raise ValueError("no page token")
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        digest, payload = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
        if digest != _digest(request, payload):
            raise ValueError("made for other filters")
        return [parse(text) for parse, text in zip(parsers, _texts(payload), strict=True)]
    except (ValueError, RecursionError) as error:
        message = "is not a page token of this request; page tokens go with the filters they were made for"
        raise InvalidArgument([Violation("pageToken", message)]) from error


def _texts(payload: bytes) -> list[str]:
    """Return the parts of a key as texts. Raises ValueError when the payload is anything but a JSON list of texts."""
    parts = json.loads(payload.decode())
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError("no list of texts")
    return parts


def int64(text: str) -> int:
    """Return a whole number that a `bigint` can hold. Raises ValueError."""
    return _integer(text, bits=64)


def int32(text: str) -> int:
    """Return a whole number that an `integer` can hold. Raises ValueError."""
    return _integer(text, bits=32)


def amount(text: str) -> Decimal:
    """Return a decimal number of up to nine digits before the point and two behind. Raises ValueError."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError("no amount")
    return Decimal(text)


def timestamp(text: str) -> datetime:
    """Return a time in UTC, as `str` writes it. Raises ValueError."""
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError("no time")
    return datetime.fromisoformat(text)


def uuid(text: str) -> UUID:
    """Return a UUID in its usual form. Raises ValueError for every other form that `UUID` takes."""
    parsed = UUID(text)
    if str(parsed) != text:
        raise ValueError("no id")
    return parsed


def _integer(text: str, *, bits: int) -> int:
    most = 2 ** (bits - 1) - 1
    number = int(text) if _INTEGER.fullmatch(text) else most + 1
    if not -most - 1 <= number <= most:
        raise ValueError(f"no {bits}-bit number")
    return number


def _digest(request: Message, payload: bytes) -> bytes:
    """Return the digest of the sort key and the request's filters: all fields but those of paging."""
    filters = type(request)()
    filters.CopyFrom(request)
    for field in ("page_size", "page_token"):
        filters.ClearField(field)
    return hashlib.sha256(filters.SerializeToString(deterministic=True) + payload).digest()[:DIGEST_BYTES]
