"""The payment provider for development and tests. It moves no money, and keeps a book of it as if it did.

The book is in a database of its own: like a real provider's, it can know what OrderService does not, and the other way
round. Nothing here decides by amounts; what goes wrong is asked for by the token of the card (`scenarios.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from order_service.payments.gateway import (
    ActionRequired,
    Authorization,
    ChargebackState,
    ChargedBackError,
    Declined,
    PayoutRefusedError,
    ProviderEvent,
    ProviderPayment,
    ProviderPayout,
    Purchase,
    Transfer,
)
from order_service.payments.sandbox import scenarios
from servicekit.database import Database, Row, Statement
from servicekit.errors import Unavailable
from servicekit.ids import new_id

MIGRATIONS = Path(__file__).parent / "migrations"
VALID_FOR = timedelta(days=7)
SLOW_SECONDS = 1.0

HEAR = Statement("INSERT INTO heard (call) VALUES ($1) ON CONFLICT DO NOTHING RETURNING call")
HOLD = Statement("""
    INSERT INTO payments (order_id, reference, token, amount, currency, state, held_until)
    VALUES ($1, $2, $3, $4, $5, 'HELD', app_now() + $6::interval) ON CONFLICT DO NOTHING
""")
PAYMENT = Statement("""
    SELECT order_id, reference, token, amount, state, refunded, charged_back, held_until > app_now() AS is_held
    FROM payments WHERE order_id = $1 FOR UPDATE
""")
SET = Statement("UPDATE payments SET state = $2, refunded = $3, charged_back = $4 WHERE order_id = $1")
PAY = Statement("""
    INSERT INTO payouts (payout_id, reference, amount, currency, destination) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (payout_id) DO UPDATE SET payout_id = excluded.payout_id RETURNING reference, amount
""")
PAYMENTS = Statement("SELECT * FROM payments WHERE order_id > $1 ORDER BY order_id LIMIT 1000")
PAYOUTS = Statement("SELECT payout_id, amount FROM payouts WHERE payout_id > $1 ORDER BY payout_id LIMIT 1000")
REPORT = Statement("""
    INSERT INTO notices (event_id, dispute_id, reference, amount, state) VALUES ($1, $2, $3, $4, $5)
""")
NOTICES = Statement("""
    SELECT event_id, dispute_id AS chargeback_id, reference, amount, state
    FROM notices WHERE NOT is_taken ORDER BY number LIMIT $1
""")
TAKEN = Statement("UPDATE notices SET is_taken = true WHERE event_id = $1")

LEAST_ID = UUID(int=0)


class Sandbox:
    """A Gateway whose every call is one transaction of its own database."""

    minimum = Decimal("0.50")
    needs_token = False

    def __init__(self, database: Database) -> None:
        self._database = database

    def authorize(self, purchase: Purchase) -> Authorization:
        """See Gateway."""
        scenarios.check_card(purchase.token)
        self._take_time(purchase.token)
        call = f"authorize {purchase.order_id}"
        if purchase.token == scenarios.DECLINED:
            raise Declined
        if purchase.token == scenarios.CONFIRM:
            raise ActionRequired
        if purchase.token == scenarios.TIMEOUT_BEFORE and self._is_first(call):
            raise Unavailable
        with self._database.transaction():
            told = (purchase.order_id, f"sandbox_{new_id()}", purchase.token, purchase.amount, purchase.currency)
            self._database.fetch_all(HOLD, *told, VALID_FOR)
            payment = self._payment(purchase.order_id)
            if payment["amount"] != purchase.amount:
                raise ValueError(f"order {purchase.order_id} was authorised for another amount before")
        if purchase.token == scenarios.TIMEOUT_AFTER and self._is_first(call):
            raise Unavailable
        return Authorization(payment["reference"], VALID_FOR)

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """See Gateway."""
        with self._database.transaction():
            payment = self._payment(order_id)
            if payment["amount"] != amount:
                raise ValueError(f"order {order_id} holds {payment['amount']}, not {amount}")
            if payment["state"] == "HELD" and payment["is_held"] and payment["token"] != scenarios.CAPTURE_DECLINED:
                is_taken_back = payment["token"] == scenarios.CHARGEBACK
                self._database.fetch_all(SET, order_id, "CAPTURED", 0, amount if is_taken_back else 0)
                if is_taken_back:
                    self._report(payment, amount, ChargebackState.OPEN)
            elif payment["state"] != "CAPTURED":
                raise Declined
        self._take_time(payment["token"])
        if payment["token"] == scenarios.CAPTURE_TIMEOUT and self._is_first(f"capture {order_id}"):
            raise Unavailable

    def void(self, order_id: UUID, reference: str) -> None:
        """See Gateway."""
        with self._database.transaction():
            payment = self._payment(order_id)
            if payment["state"] == "HELD":
                self._database.fetch_all(SET, order_id, "VOIDED", 0, 0)
        self._take_time(payment["token"])

    def refund(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """See Gateway."""
        with self._database.transaction():
            payment = self._payment(order_id)
            if payment["refunded"] != amount:
                if payment["refunded"] or payment["state"] != "CAPTURED":
                    raise ValueError(f"order {order_id} cannot be refunded: {payment}")
                if payment["charged_back"] + amount > payment["amount"]:
                    raise ChargedBackError
                self._database.fetch_all(SET, order_id, "CAPTURED", amount, payment["charged_back"])
        self._take_time(payment["token"])

    def pay_out(self, transfer: Transfer) -> str:
        """See Gateway."""
        if transfer.destination == scenarios.PAYOUT_REFUSED:
            raise PayoutRefusedError("the account cannot be paid")
        told = (transfer.payout_id, f"sandbox_{new_id()}", transfer.amount, transfer.currency, transfer.destination)
        paid = self._database.fetch_one(PAY, *told)
        assert paid is not None
        if paid["amount"] != transfer.amount:
            raise ValueError(f"payout {transfer.payout_id} was paid with another amount before")
        if transfer.destination == scenarios.PAYOUT_TIMEOUT and self._is_first(f"pay_out {transfer.payout_id}"):
            raise Unavailable
        return str(paid["reference"])

    def check_destination(self, destination: str) -> None:
        """See Gateway."""
        scenarios.check_account(destination)

    def payments(self) -> Iterator[ProviderPayment]:
        """See Gateway."""
        after = LEAST_ID
        while rows := self._database.fetch_all(PAYMENTS, after):
            yield from map(_to_line, rows)
            after = rows[-1]["order_id"]

    def payouts(self) -> Iterator[ProviderPayout]:
        """See Gateway."""
        after = LEAST_ID
        while rows := self._database.fetch_all(PAYOUTS, after):
            yield from (ProviderPayout(**row) for row in rows)
            after = rows[-1]["payout_id"]

    def provider_events(self, limit: int) -> list[ProviderEvent]:
        """What it has to report and nobody has taken yet, oldest first."""
        rows = self._database.fetch_all(NOTICES, limit)
        return [ProviderEvent(**{**row, "state": ChargebackState(row["state"])}) for row in rows]

    def taken(self, event_id: str) -> None:
        """A report has been taken, and need not come again."""
        self._database.fetch_all(TAKEN, event_id)

    def report_chargeback(self, order_id: UUID) -> None:
        """The bank of a captured payment takes back all that was not refunded. For tests."""
        with self._database.transaction():
            payment = self._payment(order_id)
            amount = payment["amount"] - payment["refunded"] - payment["charged_back"]
            taken_back = payment["charged_back"] + amount
            self._database.fetch_all(SET, order_id, "CAPTURED", payment["refunded"], taken_back)
            self._report(payment, amount, ChargebackState.OPEN)

    def report_won(self, order_id: UUID) -> None:
        """The bank gives back what it had taken. For tests."""
        with self._database.transaction():
            payment = self._payment(order_id)
            self._database.fetch_all(SET, order_id, "CAPTURED", payment["refunded"], 0)
            self._report(payment, payment["charged_back"], ChargebackState.WON)

    def _payment(self, order_id: UUID) -> Row:
        """The payment, locked."""
        found = self._database.fetch_one(PAYMENT, order_id)
        if found is None:
            raise LookupError(f"the sandbox knows no payment of order {order_id}")
        return found

    def _report(self, payment: Row, amount: Decimal, state: ChargebackState) -> None:
        dispute = f"dispute_{payment['reference']}"
        self._database.fetch_all(REPORT, f"event_{new_id()}", dispute, payment["reference"], amount, state)

    def _is_first(self, call: str) -> bool:
        return bool(self._database.fetch_all(HEAR, call))

    def _take_time(self, token: str) -> None:
        if token == scenarios.SLOW:
            time.sleep(SLOW_SECONDS)


def _to_line(row: Row) -> ProviderPayment:
    nothing = Decimal(0)
    return ProviderPayment(
        order_id=row["order_id"],
        reference=row["reference"],
        held=row["amount"] if row["state"] == "HELD" else nothing,
        captured=row["amount"] if row["state"] == "CAPTURED" else nothing,
        refunded=row["refunded"],
        charged_back=row["charged_back"],
    )
