"""Page tokens of searches: the last sort key of a page, and the corrections of misspelt words from the first page."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from gig_service.domain.search import SORT_ORDERS, Sort, SortKey
from gig_service.domain.words import Corrections
from marketplace.gig.v1 import gig_pb2
from servicekit import paging

# The bound of `page_token` in gig.proto.
MAX_LENGTH = 1000

_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")
# A `tsquery` as PostgreSQL writes it: nothing in it can end the quotes or break the statement.
_STEM = re.compile(r"'[^'\\\x00-\x20\ud800-\udfff]+'( & '[^'\\\x00-\x20\ud800-\udfff]+')*")


class PageStart(NamedTuple):
    """The start of a page: behind `sort_key`, or the first one. Without corrections the caller looks them up."""

    sort_key: SortKey | None = None
    corrections: Corrections | None = None


def decode(request: gig_pb2.SearchGigsRequest, sort: Sort) -> PageStart:
    """Return the start that `request.page_token` names. Raises InvalidArgument for a token of another search."""
    parts = paging.decode(request, *(_PARSERS[name] for name in SORT_ORDERS[sort].columns), _corrections)
    return PageStart() if parts is None else PageStart(tuple(parts[:-1]), parts[-1])


def encode(request: gig_pb2.SearchGigsRequest, sort_key: SortKey, corrections: Corrections) -> str:
    """Return the token of the page behind the sort key. It leaves out corrections that are too long for it."""
    token = paging.encode(request, (*sort_key, json.dumps(corrections, separators=(",", ":"))))
    return token if len(token) <= MAX_LENGTH else paging.encode(request, (*sort_key, ""))


def _amount(text: str) -> Decimal:
    if not _AMOUNT.fullmatch(text):
        raise ValueError("no amount")
    return Decimal(text)


def _corrections(text: str) -> Corrections | None:
    if not text:
        return None
    parsed = json.loads(text)
    if not isinstance(parsed, dict) or not all(_STEM.fullmatch(stem) for stems in parsed.values() for stem in stems):
        raise ValueError("no corrections")
    return {word: tuple(stems) for word, stems in parsed.items()}


_PARSERS: dict[str, Callable[[str], Any]] = {
    "rank": int,
    "rating": _amount,
    "review_count": int,
    "created_at": datetime.fromisoformat,
    "price": _amount,
    "gig_id": UUID,
}
