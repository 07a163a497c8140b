"""What happens at the payment provider by itself: banks, and people in its dashboard."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import psycopg2

from deploy.local.postgres import database_url
from order_service.domain.chargeback import ChargebackState
from order_service.payments.sandbox.gateway import Sandbox
from servicekit.database import Database, Statement
from servicekit.errors import MarketplaceError
from tests.support.stack import Stack
from tests.torture.repeated import Repeated
from tests.torture.retries import Counts

CAPTURED = Statement("SELECT order_id, amount FROM payments WHERE state = 'CAPTURED' ORDER BY random() LIMIT 1")
CHARGEBACK = Statement("SELECT id, state FROM chargebacks WHERE state <> 'WON' ORDER BY random() LIMIT 1")
REFUND = Statement("SELECT id FROM refunds WHERE state <> 'FAILED' ORDER BY random() LIMIT 1")
PAYOUT = Statement("SELECT payout_id FROM payouts WHERE reversed = 0 ORDER BY random() LIMIT 1")
# Chargebacks are the commonest; of those that are there, most are decided, and some lost ones reinstated.
ACTS = ("charge back", "charge back", "decide", "decide", "refund by hand", "fail a refund", "reverse a payout")


class Bank(Repeated):
    """A thread that acts on random payments and payouts in the sandbox's records."""

    seconds = 0.5
    # The database is away, or there is nothing left to charge back or to refund.
    expected = (MarketplaceError, ValueError, LookupError, psycopg2.Error)

    def __init__(self, stack: Stack, seed: int, counts: Counts) -> None:
        super().__init__(seed, counts)
        self._database = Database(database_url(stack.layout, "sandbox"))
        self._sandbox = Sandbox(self._database)

    def act(self) -> None:
        match self._random.choice(ACTS):
            case "charge back":
                if payment := self._database.fetch_one(CAPTURED):
                    self._sandbox.charge_back(payment["order_id"], self._part(payment["amount"]))
                    self._counts.add("chargebacks")
            case "decide":
                if chargeback := self._database.fetch_one(CHARGEBACK):
                    state = ChargebackState(chargeback["state"])
                    following = [each for each in ChargebackState if each.rank > state.rank]
                    decision = self._random.choice(following)
                    self._sandbox.decide_chargeback(chargeback["id"], decision)
                    was_lost = state is ChargebackState.LOST
                    self._counts.add("chargebacks reinstated" if was_lost else f"chargebacks {decision}")
            case "refund by hand":
                if payment := self._database.fetch_one(CAPTURED):
                    self._sandbox.refund_by_hand(payment["order_id"], self._part(payment["amount"]) or Decimal("0.01"))
                    self._counts.add("refunds by hand")
            case "fail a refund":
                if refund := self._database.fetch_one(REFUND):
                    self._sandbox.fail_refund(refund["id"])
                    self._counts.add("refunds that failed")
            case "reverse a payout":
                if payout := self._database.fetch_one(PAYOUT):
                    self._sandbox.reverse_transfer(UUID(str(payout["payout_id"])))
                    self._counts.add("payouts reversed")

    def _part(self, amount: Decimal) -> Decimal | None:
        """Return a part of the amount, or None for all that is left."""
        if self._random.random() < 0.5:
            return None
        return Decimal(self._random.randrange(1, int(amount * 100) + 1)) / 100
