"""What a start, a message and an offer have in common: blocks, and the limits of the writer."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from order_service.domain.limits import LimitKind, Limits
from order_service.store.store import Store


class Writing:
    """The right of a user to reach another one."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    def begin(self, writer_id: UUID) -> None:
        """Lock the writer's limits, as the first lock of the transaction but the idempotency key's."""
        self._store.token_buckets.lock(writer_id)

    def count(self, writer_id: UUID, other_id: UUID, kinds: Sequence[LimitKind] = (LimitKind.MESSAGE,)) -> None:
        """Count one more of these kinds toward the writer's limits, in a transaction that ends with it.

        Raises Forbidden when the other one blocks the writer, RateLimited, and Conflict when the writer blocks the
        other one. NotFound comes before, other Conflicts come after.
        """
        blocks = self._store.blocks.between(writer_id, other_id)
        blocks.check_blocked()
        self._store.token_buckets.take(writer_id, kinds, self._limits)
        blocks.check_blocking()
