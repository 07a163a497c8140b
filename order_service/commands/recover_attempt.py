"""Recover an attempt that its worker did not finish, or that waits for the buyer's confirmation."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from order_service.commands.finish_accepting import FinishAccepting
from order_service.commands.finish_placing import FIRST_ASK, FinishPlacing
from order_service.commands.give_up_placing import GiveUpPlacing
from order_service.domain.attempt import Attempt, AttemptLimits, Kind, State
from order_service.domain.payment import ActionRequired
from order_service.store.store import Store

# An attempt that another worker holds is looked at again after this time.
HELD = timedelta(seconds=1)
# The time between two questions whether the buyer has confirmed a payment grows from FIRST_ASK to this.
LONGEST_WAIT = timedelta(seconds=30)
# The last question is so long before the end.
LAST_ASK = timedelta(seconds=1)


class RecoverAttempt:
    """Finish an attempt, or give it up when its time is over, unless another worker holds it."""

    def __init__(
        self,
        store: Store,
        finish_placing: FinishPlacing,
        finish_accepting: FinishAccepting,
        give_up: GiveUpPlacing,
        limits: AttemptLimits,
    ) -> None:
        self._store = store
        self._finish_placing = finish_placing
        self._finish_accepting = finish_accepting
        self._give_up = give_up
        self._limits = limits

    def execute(self, order_id: UUID) -> bool:
        """Return whether this call ended the attempt. Raises the refusals of a placing, which end it, and Unavailable.

        An attempt that stays without an error is due again later.
        """
        with self._store.attempt_lock(order_id) as is_holder:
            if not is_holder:
                self._store.attempts.put_off(order_id, HELD)
                return False
            attempt, now = self._store.attempts.get(order_id), self._store.now()
            if attempt is None:
                return False
            if attempt.kind is Kind.CAPTURE and attempt.draft is None:
                return self._finish_accepting.execute(attempt, *self._store.orders.get(order_id)) is not None
            if attempt.is_over(now, self._limits):
                return self._give_up.execute(attempt)
            return self._ask(attempt, now)

    def _ask(self, attempt: Attempt, now: datetime) -> bool:
        if attempt.offer_id is not None and attempt.state is State.ASKING:
            self._store.attempts.note_doubt(attempt.order_id)
        if attempt.state is State.REFUSED:
            self._store.attempts.put_off(attempt.order_id, attempt.confirmation_end(self._limits) - now)
            return False
        try:
            return self._finish_placing.execute(attempt, now, buyer_waits=False) is not None
        except ActionRequired:
            if attempt.state is State.CONFIRMING:
                self._store.attempts.postpone(attempt.order_id, self._next_ask(attempt, now))
            return False

    def _next_ask(self, attempt: Attempt, now: datetime) -> timedelta:
        """Return the time until the next question whether the buyer has confirmed the payment."""
        end = attempt.confirmation_end(self._limits)
        wait = min(LONGEST_WAIT, FIRST_ASK * 1.3 ** min(attempt.tries, 20))
        return min(wait, max(end - LAST_ASK - now, LAST_ASK))
