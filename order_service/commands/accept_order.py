"""Accept an order: its payment is captured before the call returns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from uuid import UUID

from order_service.commands.finish_accepting import FinishAccepting
from order_service.domain.lifecycle import Action, Command, Timeouts, move
from order_service.domain.order import Change, Order, Party, Status
from order_service.domain.settlement import begin_capture
from order_service.payments.gateway import Declined
from order_service.store.store import Store
from servicekit.call import Caller, require_time
from servicekit.errors import Conflict, Unavailable, in_doubt

BEING_ACCEPTED = "You can't accept this order now, it is just being accepted; there is nothing you can do now"

# How often the lock on an attempt is tried, and the pause between two tries.
LOCK_TRIES = 40
LOCK_PAUSE_SECONDS = 0.05


class AcceptOrder:
    """Accept an order, or continue with its capture where an earlier accept was interrupted."""

    def __init__(self, store: Store, finish_accepting: FinishAccepting, timeouts: Timeouts) -> None:
        self._store = store
        self._finish_accepting = finish_accepting
        self._timeouts = timeouts

    def execute(self, order_id: UUID, message: str, caller: Caller) -> Order:
        """Return the order IN_PROGRESS, once its payment is captured.

        Raises NotFound, Forbidden, Conflict, and DeadlineExceeded when too little time is left to begin. Raises
        Declined when the provider refuses the capture for good, and then the order is CANCELLED. Raises Unavailable
        when nothing was begun, and OutcomeUnknown when the provider was asked: then the seller's next accept, or
        payment recovery, finishes the capture.
        """
        command = Command(Action.ACCEPT, message)
        # A caller who may not accept must not take the lock, which would turn the seller away.
        self._decide(*self._store.orders.get(order_id), command, caller)
        require_time()
        with self._attempt_lock(order_id):
            accepted = self._accept(order_id, command, caller)
        if accepted.status is Status.CANCELLED:
            raise Declined
        return accepted

    @contextmanager
    def _attempt_lock(self, order_id: UUID) -> Iterator[None]:
        """Take the lock on the order's attempt. Raises Conflict while somebody else is accepting the order.

        Payment recovery holds the lock for a moment when it looks for an attempt that is over, such as the placing's.
        Raises Unavailable when somebody holds it for longer.
        """
        for _ in range(LOCK_TRIES):
            with self._store.attempt_lock(order_id) as is_holder:
                if is_holder:
                    yield
                    return
            if self._store.orders.get(order_id).order.is_being_captured:
                raise Conflict(BEING_ACCEPTED, code="INVALID_TRANSITION")
            time.sleep(LOCK_PAUSE_SECONDS)
        raise Unavailable

    def _accept(self, order_id: UUID, command: Command, caller: Caller) -> Order:
        """Return the order after its capture, or after an accept that needs none."""
        with ExitStack() as begun:
            with self._store.transaction("accepting"):
                order, now = self._store.orders.lock(order_id)
                change = self._decide(order, now, command, caller)
                attempt = None
                if change.order.is_being_captured and not order.is_being_captured:
                    attempt = self._store.attempts.begin_capture(order_id, command.message, now)
                self._store.orders.save(change, now)
                # From here on the capture may be made, also when the commit's response is lost.
                begun.enter_context(in_doubt())
            if not change.order.is_being_captured:
                return change.order
            attempt = attempt or self._store.attempts.get(order_id)
            # Payment recovery may have finished it in the meantime.
            if attempt is None:
                return self._store.orders.get(order_id).order
            with self._store.attempts.due_when_in_doubt(attempt):
                accepted = self._finish_accepting.execute(attempt, change.order, now)
            return accepted or self._store.orders.get(order_id).order

    def _decide(self, order: Order, now: datetime, command: Command, caller: Caller) -> Change:
        """Return the change that an accept begins with: the capture, or nothing more where it has begun."""
        parties = order.parties(caller)
        if order.is_being_captured and Party.SELLER in parties:
            return Change(order)
        accepted = move(order, command, parties, now=now, timeouts=self._timeouts)
        return accepted if order.payment_status is None else Change(begin_capture(order))
