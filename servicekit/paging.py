"""Page tokens: the end of a page, and the filters that it was made with.

A token is opaque to clients but not secret. It contains the last row's sort key, and a digest of the request's filters.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from servicekit.errors import InvalidArgument, Violation

DEFAULT_PAGE_SIZE = 20
DIGEST_BYTES = 9


def page_size(requested: int) -> int:
    """Return the number of rows of a page: the requested one, or the default for 0."""
    return requested or DEFAULT_PAGE_SIZE


def encode(request: Message, key: Sequence[object]) -> str:
    """Return the token of the page after the row with this sort key. The key's parts are written with `str`."""
    payload = json.dumps([str(part) for part in key], separators=(",", ":")).encode()
    return urlsafe_b64encode(_digest(request, payload) + payload).decode().rstrip("=")


def decode(request: Message, *parsers: Callable[[str], Any]) -> list[Any] | None:
    """Return the sort key in `request.page_token`, each part read by its parser; None without a token.

    Raises InvalidArgument when the token is malformed or was made with other filters.
    """
    token: str = request.page_token  # type: ignore[attr-defined]
    if not token:
        return None
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        digest, payload = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
        if digest != _digest(request, payload):
            raise ValueError("made for other filters")
        parts = json.loads(payload)
        return [parse(part) for parse, part in zip(parsers, parts, strict=True)]
    except (ValueError, TypeError, ArithmeticError) as error:
        message = "is not a page token of this request; page tokens go with the filters they were made for"
        raise InvalidArgument([Violation("pageToken", message)]) from error


def _digest(request: Message, payload: bytes) -> bytes:
    """Return the digest of the sort key and the request's filters: all fields but those of paging."""
    filters = type(request)()
    filters.CopyFrom(request)
    for field in ("page_size", "page_token"):
        filters.ClearField(field)
    return hashlib.sha256(filters.SerializeToString(deterministic=True) + payload).digest()[:DIGEST_BYTES]
