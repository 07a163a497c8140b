"""Recover an attempt that its worker did not finish."""

from __future__ import annotations

from uuid import UUID

from order_service.commands.finish_accepting import FinishAccepting
from order_service.commands.finish_placing import FinishPlacing
from order_service.store.attempts import Kind
from order_service.store.store import Store


class RecoverAttempt:
    """Finish an attempt, unless another worker is finishing it."""

    def __init__(self, store: Store, finish_placing: FinishPlacing, finish_accepting: FinishAccepting) -> None:
        self._store = store
        self._finish = {Kind.AUTHORIZE: finish_placing.execute, Kind.CAPTURE: finish_accepting.execute}

    def execute(self, order_id: UUID) -> bool:
        """Return whether this call finished the attempt. Raises the refusals of a placing, and Unavailable."""
        with self._store.attempt_lock(order_id) as is_holder:
            attempt = self._store.attempts.get(order_id) if is_holder else None
            if attempt is None:
                return False
            self._finish[attempt.kind](attempt)
            return True
