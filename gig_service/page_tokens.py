"""Page tokens of searches: the last sort key of a page, and the corrections of misspelt words from the first page."""

import json
import re
from typing import Any, NamedTuple

from gig_service.domain.search import SORT_ORDERS, Sort, SortKey
from gig_service.domain.words import MAX_CORRECTIONS, Corrections
from marketplace.gig.v1 import gig_pb2
from servicekit import paging

# Lexemes in quotes. Nothing in them can end the quotes, and nothing is an operator, since the query is taken apart.
_STEM = re.compile(r"'[^'\\\x00-\x20()&|\ud800-\udfff]+'( & '[^'\\\x00-\x20()&|\ud800-\udfff]+')*")


class PageStart(NamedTuple):
    """The start of a page: behind `sort_key`, or the first one. Without corrections the caller looks them up.

    `boundary` is that of the page before, in the order of relevance.
    """

    sort_key: SortKey | None = None
    corrections: Corrections | None = None
    boundary: SortKey | None = None


def decode(request: gig_pb2.SearchGigsRequest, sort: Sort) -> PageStart:
    """Return the start that `request.page_token` names. Raises InvalidArgument for a token of another search."""
    parsers = [_PARSERS[name] for name in SORT_ORDERS[sort].columns]
    if sort is Sort.RELEVANCE:
        parts = paging.decode(request, *parsers, _corrections, _boundary)
        return PageStart() if parts is None else PageStart(tuple(parts[:-2]), *parts[-2:])
    parts = paging.decode(request, *parsers, _corrections)
    return PageStart() if parts is None else PageStart(tuple(parts[:-1]), parts[-1])


def encode(
    request: gig_pb2.SearchGigsRequest,
    sort: Sort,
    sort_key: SortKey,
    corrections: Corrections,
    boundary: SortKey | None,
) -> str:
    """Return the token of the page behind the sort key. It leaves out corrections that are too long for it."""
    end = (" ".join(map(str, boundary or ())),) if sort is Sort.RELEVANCE else ()
    token = paging.encode(request, (*sort_key, json.dumps(corrections, separators=(",", ":")), *end))
    return token if len(token) <= paging.MAX_LENGTH else paging.encode(request, (*sort_key, "", *end))


def _boundary(text: str) -> SortKey | None:
    """Return a sort key by rating; None for an empty text. Raises ValueError."""
    if not text:
        return None
    names = SORT_ORDERS[Sort.RATING].columns
    return tuple(_PARSERS[name](part) for name, part in zip(names, text.split(" "), strict=True))


def _corrections(text: str) -> Corrections | None:
    if not text:
        return None
    parsed = json.loads(text)
    if not isinstance(parsed, dict) or not all(map(_are_stems, parsed.values())):
        raise ValueError("no corrections")
    return {word: tuple(stems) for word, stems in parsed.items()}


def _are_stems(stems: object) -> bool:
    """Whether these are the stems of one misspelt word: a list of `tsquery` texts, and no more than a search finds."""
    return (
        isinstance(stems, list)
        and 0 < len(stems) <= MAX_CORRECTIONS
        and all(isinstance(stem, str) and _STEM.fullmatch(stem) for stem in stems)
    )


_PARSERS: dict[str, paging.Parser[Any]] = {
    "rank": paging.int32,
    "rating": paging.amount,
    "review_count": paging.int32,
    "created_at": paging.timestamp,
    "price": paging.amount,
    "gig_id": paging.uuid,
}
