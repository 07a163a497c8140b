"""The header `Range` (RFC 9110, section 14)."""

import re

from servicekit.errors import MarketplaceError
from servicekit.storage.storage import Span

_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
# Longer numbers are larger than any file.
_MAX_DIGITS = 18


class RangeNotSatisfiable(MarketplaceError):
    """The range has no byte of the file."""

    def __init__(self, size: int) -> None:
        super().__init__("RANGE_NOT_SATISFIABLE", headers={"content-range": f"bytes */{size}"})


def requested_range(header: str, size: int) -> Span | None:
    """Return the part of a file of this size that the header asks for. Raises RangeNotSatisfiable.

    None stands for the whole file: without a header, and for several ranges, other units and what is no range.
    """
    parsed = _RANGE.fullmatch(header)
    if parsed is None or not any(parsed.groups()):
        return None
    first, last = parsed.groups()
    if not first:
        length = min(_number(last), size)
        if not length:
            raise RangeNotSatisfiable(size)
        return Span(size - length, length)
    start, end = _number(first), _number(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise RangeNotSatisfiable(size)
    return Span(start, min(end, size - 1) - start + 1)


def content_range(span: Span, size: int) -> str:
    """Return the header `Content-Range` of a response with this part of a file of this size."""
    return f"bytes {span.first}-{span.first + span.length - 1}/{size}"


def _number(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _MAX_DIGITS else 10**_MAX_DIGITS
