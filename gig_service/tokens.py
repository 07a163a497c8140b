"""Page tokens of searches: where the page ended, and how misspelt words were understood on the first one."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from gig_service.domain.search import Sort
from gig_service.domain.words import Corrections
from gig_service.store.search import ORDERS, Key
from marketplace.gig.v1 import gig_pb2
from servicekit import paging

# As gig.proto has it for `page_token`.
MAX_LENGTH = 1000

_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")
# What PostgreSQL writes for words: nothing in it could end the quotes or break the statement.
_STEM = re.compile(r"'[^'\\\x00-\x20\ud800-\udfff]+'( & '[^'\\\x00-\x20\ud800-\udfff]+')*")


class Place(NamedTuple):
    """Where a page begins: behind `key`, or at the start. Without corrections they have to be found out."""

    key: Key | None = None
    corrections: Corrections | None = None


def decode(request: gig_pb2.SearchGigsRequest, sort: Sort) -> Place:
    """The place in `request.page_token`. Raises InvalidArgument for a token that is not one of this search."""
    parts = paging.decode(request, *(_PARSERS[name] for name in ORDERS[sort].columns), _corrections)
    return Place() if parts is None else Place(tuple(parts[:-1]), parts[-1])


def encode(request: gig_pb2.SearchGigsRequest, key: Key, corrections: Corrections) -> str:
    """The token for the page behind the key. Corrections that are too many for it will be found out again."""
    token = paging.encode(request, (*key, json.dumps(corrections, separators=(",", ":"))))
    return token if len(token) <= MAX_LENGTH else paging.encode(request, (*key, ""))


def _amount(text: str) -> Decimal:
    if not _AMOUNT.fullmatch(text):
        raise ValueError("no amount")
    return Decimal(text)


def _corrections(text: str) -> Corrections | None:
    if not text:
        return None
    found = json.loads(text)
    if not isinstance(found, dict) or not all(_STEM.fullmatch(stem) for stems in found.values() for stem in stems):
        raise ValueError("no corrections")
    return {word: tuple(stems) for word, stems in found.items()}


_PARSERS: dict[str, Callable[[str], Any]] = {
    "rank": int,
    "rating": _amount,
    "review_count": int,
    "created_at": datetime.fromisoformat,
    "price": _amount,
    "gig_id": UUID,
}
