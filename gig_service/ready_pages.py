"""Gigs' pages that a worker keeps ready: the bytes of GetGig's response, with the state of the rows that they show.

A page is sent only after PostgreSQL has said that this state is the current one. So nobody has to tell a worker of a
change, and it does not matter which of several readers keeps its page last.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from gig_service.domain.gig import PageState

# The memory of a page beside its bytes: its id, its state, its ETag, and its place.
OVERHEAD_BYTES = 600


class ReadyPage(NamedTuple):
    """A page of a gig that everybody may see. `response` is a serialized GetGigResponse."""

    state: PageState
    etag: str
    response: bytes


class ReadyPages:
    """The pages, by the ids of their gigs. Beyond `max_bytes` those go that were read longest ago."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pages: OrderedDict[str, ReadyPage] = OrderedDict()
        self._lock = threading.Lock()
        self._bytes = 0

    def find(self, gig_id: str) -> ReadyPage | None:
        """Return a gig's page, of any age, or None."""
        with self._lock:
            page = self._pages.get(gig_id)
            if page is not None:
                self._pages.move_to_end(gig_id)
            return page

    def keep(self, gig_id: str, page: ReadyPage) -> None:
        """Keep a gig's page, in place of another one."""
        with self._lock:
            self._forget(self._pages.pop(gig_id, None))
            self._pages[gig_id] = page
            self._bytes += _size(page)
            while self._bytes > self._max_bytes:
                self._forget(self._pages.popitem(last=False)[1])

    def _forget(self, page: ReadyPage | None) -> None:
        if page is not None:
            self._bytes -= _size(page)


def _size(page: ReadyPage) -> int:
    return len(page.response) + OVERHEAD_BYTES
