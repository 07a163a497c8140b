"""Reminders: every worker reminds of the orders on which time will soon act, and of each once."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from prometheus_client import Counter

from order_service.commands.remind_of_order import RemindOfOrder
from order_service.domain.lifecycle import AUTHORIZATION_MARGIN, Timeouts
from order_service.domain.reminders import Leads
from order_service.store.orders import DueKey, Waiting
from order_service.store.store import Store
from order_service.workers.due_orders import DueOrders

REMINDED = Counter("marketplace_order_reminders_total", "Reminders of orders that this worker stored", ["reminder"])
FAILED = Counter("marketplace_order_reminders_failed_total", "Orders that this worker failed to remind of and put off")


class _Span(NamedTuple):
    """How long orders have waited at the moment itself (negative: how long ahead it is), and the reminder's lead."""

    wait: timedelta
    lead: timedelta


class Reminders:
    """Finds the orders whose reminder is due and calls RemindOfOrder for each."""

    def __init__(self, store: Store, remind_of_order: RemindOfOrder, timeouts: Timeouts, leads: Leads) -> None:
        self._store = store
        self._due_orders = DueOrders(store, remind_of_order.execute, done=REMINDED, failed=FAILED, name="reminded of")
        self._spans = {
            Waiting.ANSWER_REMINDER: _Span(timeouts.answer, leads.expiring),
            Waiting.CAPTURE_REMINDER: _Span(-AUTHORIZATION_MARGIN, leads.expiring),
            Waiting.APPROVAL_REMINDER: _Span(timeouts.approval, leads.auto_completing),
            Waiting.DELIVERY_REMINDER: _Span(timedelta(0), leads.due_soon),
        }

    def remind_due(self) -> int:
        """Remind of the orders whose reminder is due now. Return how many this call reminded of.

        It begins after the orders whose moment has passed: they get none, and there may be many of them.
        """
        now = self._store.now()
        return sum(
            self._due_orders.act_on_all(waiting, span.wait - span.lead, DueKey(now - span.wait, UUID(int=0)))
            for waiting, span in self._spans.items()
        )
