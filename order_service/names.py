"""The names in the access tokens of callers, kept for those who talk with them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from uuid import UUID

from order_service.store.store import Store
from servicekit.call import Caller

# The names that a worker remembers, so that not every call asks the database.
REMEMBERED_NAMES = 10_000


class Names:
    """Stores the name of each user who calls, once for each name that this worker sees."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stored: OrderedDict[UUID, str] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, caller: Caller) -> None:
        """Store the caller's name, unless this worker has stored it last. A token without a name leaves the old one."""
        if caller.id is None or not caller.username or "service" in caller.roles:
            return
        with self._lock:
            is_stored = self._stored.get(caller.id) == caller.username
        if is_stored:
            return
        self._store.people.remember(caller.id, caller.username)
        with self._lock:
            self._stored[caller.id] = caller.username
            self._stored.move_to_end(caller.id)
            while len(self._stored) > REMEMBERED_NAMES:
                self._stored.popitem(last=False)
