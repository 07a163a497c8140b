"""Page tokens: where a page ended, and with which filters.

A token is opaque to clients but no secret: it holds the last row's sort key, and a digest that ties it to the filters.
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


def page_size(asked: int) -> int:
    """The number of rows of a page: what was asked for, or the default for 0."""
    return asked or DEFAULT_PAGE_SIZE


def encode(request: Message, key: Sequence[object]) -> str:
    """The token for the page after the row with this sort key. The parts are written as `str`."""
    payload = json.dumps([str(part) for part in key], separators=(",", ":")).encode()
    return urlsafe_b64encode(_digest(request, payload) + payload).decode().rstrip("=")


def decode(request: Message, *parsers: Callable[[str], Any]) -> list[Any] | None:
    """The sort key in `request.page_token`, each part read by its parser; None without a token.

    Raises InvalidArgument for a token that is malformed or was made for other filters.
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
    """Ties a token to the request's filters: all of its fields but the paging's own."""
    filters = type(request)()
    filters.CopyFrom(request)
    for field in ("page_size", "page_token"):
        filters.ClearField(field)
    return hashlib.sha256(filters.SerializeToString(deterministic=True) + payload).digest()[:DIGEST_BYTES]
