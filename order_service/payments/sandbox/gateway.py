"""The sandbox: a payment provider for development and tests. It moves no money and records payments as if it did.

Its records are in a database of their own. Like a real provider's, they can hold payments that OrderService does not
know, and the other way round. Amounts decide nothing here: the payment token asks for a failure (`scenarios.py`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from order_service.domain.chargeback import ChargebackState
from order_service.payments.gateway import (
    AlreadyCapturedError,
    AuthorizationResult,
    ChargedBackError,
    ConfirmationNeededError,
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

RECORD_CALL = Statement("INSERT INTO heard (call) VALUES ($1) ON CONFLICT DO NOTHING RETURNING call")
AUTHORIZE = Statement("""
    INSERT INTO payments
        (order_id, reference, token, amount, currency, state, held_until, client_secret, confirms_at)
    VALUES ($1, $2, $3, $4, $5, $6, app_now() + $7::interval, $8, app_now() + $9::interval) ON CONFLICT DO NOTHING
""")
# A payment that is voided before it is authorized can never be authorized.
ABANDON = Statement("""
    INSERT INTO payments AS known (order_id, reference, token, amount, currency, state, held_until)
    VALUES ($1, $2, $3, $4, $5, 'VOIDED', app_now())
    ON CONFLICT (order_id) DO UPDATE SET state = CASE known.state WHEN 'CAPTURED' THEN 'CAPTURED' ELSE 'VOIDED' END
    RETURNING state
""")
CONFIRM = Statement("""
    UPDATE payments SET state = $2 WHERE order_id = $1 AND state = 'WAITING' AND ($3 OR confirms_at <= app_now())
""")
PAYMENT = Statement("""
    SELECT order_id, reference, token, amount, state, refunded, charged_back, held_until > app_now() AS is_held,
        client_secret
    FROM payments WHERE order_id = $1 FOR UPDATE
""")
UPDATE = Statement("UPDATE payments SET state = $2, refunded = $3, charged_back = $4 WHERE order_id = $1")
PAY = Statement("""
    INSERT INTO payouts (payout_id, reference, amount, currency, destination) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (payout_id) DO UPDATE SET payout_id = excluded.payout_id RETURNING reference, amount
""")
PAYMENTS = Statement("SELECT * FROM payments WHERE order_id > $1 ORDER BY order_id LIMIT 1000")
PAYOUTS = Statement("SELECT payout_id, amount FROM payouts WHERE payout_id > $1 ORDER BY payout_id LIMIT 1000")
ADD_EVENT = Statement("""
    INSERT INTO notices (event_id, dispute_id, reference, amount, state) VALUES ($1, $2, $3, $4, $5)
""")
PENDING_EVENTS = Statement("""
    SELECT event_id, dispute_id AS chargeback_id, reference, amount, state
    FROM notices WHERE NOT is_taken ORDER BY number LIMIT $1
""")
ACKNOWLEDGE = Statement("UPDATE notices SET is_taken = true WHERE event_id = $1")

LEAST_ID = UUID(int=0)


class Sandbox:
    """A Gateway whose calls are transactions of its own database."""

    minimum = Decimal("0.50")
    needs_token = False

    def __init__(self, database: Database) -> None:
        self._database = database

    def authorize(self, purchase: Purchase) -> AuthorizationResult:
        """See Gateway."""
        scenarios.check_card(purchase.token)
        self._sleep_if_slow(purchase.token)
        call = f"authorize {purchase.order_id}"
        if purchase.token == scenarios.DECLINED:
            raise Declined
        if purchase.token == scenarios.TIMEOUT_BEFORE and self._is_first(call):
            raise Unavailable
        with self._database.transaction():
            columns = (purchase.order_id, f"sandbox_{new_id()}", purchase.token, purchase.amount, purchase.currency)
            waits = purchase.token in scenarios.CONFIRMED_AFTER
            secret = f"sandbox_secret_{secrets.token_urlsafe(24)}" if waits else ""
            state, after = "WAITING" if waits else "HELD", scenarios.CONFIRMED_AFTER.get(purchase.token)
            self._database.fetch_all(AUTHORIZE, *columns, state, VALID_FOR, secret, after)
            end = "VOIDED" if purchase.token == scenarios.CONFIRM_REFUSED else "HELD"
            self._database.fetch_all(CONFIRM, purchase.order_id, end, False)
            payment = self._payment(purchase.order_id)
            if payment["amount"] != purchase.amount:
                raise ValueError(f"order {purchase.order_id} was authorized for another amount before")
        if purchase.token == scenarios.TIMEOUT_AFTER and self._is_first(call):
            raise Unavailable
        if payment["state"] == "WAITING":
            raise ConfirmationNeededError(payment["reference"], payment["client_secret"])
        if payment["state"] == "VOIDED":
            raise Declined
        return AuthorizationResult(payment["reference"], VALID_FOR)

    def abandon(self, purchase: Purchase) -> None:
        """See Gateway."""
        columns = (purchase.order_id, f"sandbox_{new_id()}", purchase.token, purchase.amount, purchase.currency)
        payment = self._database.fetch_one(ABANDON, *columns)
        if payment is None or payment["state"] == "CAPTURED":
            raise AlreadyCapturedError
        self._sleep_if_slow(purchase.token)

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """See Gateway."""
        with self._database.transaction():
            payment = self._payment(order_id)
            if payment["amount"] != amount:
                raise ValueError(f"order {order_id} holds {payment['amount']}, not {amount}")
            if payment["state"] == "HELD" and payment["is_held"] and payment["token"] != scenarios.CAPTURE_DECLINED:
                is_charged_back = payment["token"] == scenarios.CHARGEBACK
                self._database.fetch_all(UPDATE, order_id, "CAPTURED", 0, amount if is_charged_back else 0)
                if is_charged_back:
                    self._add_event(payment, amount, ChargebackState.OPEN)
            elif payment["state"] != "CAPTURED":
                raise Declined
        self._sleep_if_slow(payment["token"])
        if payment["token"] == scenarios.CAPTURE_TIMEOUT and self._is_first(f"capture {order_id}"):
            raise Unavailable

    def void(self, order_id: UUID, reference: str) -> None:
        """See Gateway."""
        with self._database.transaction():
            payment = self._payment(order_id)
            if payment["state"] in ("HELD", "WAITING"):
                self._database.fetch_all(UPDATE, order_id, "VOIDED", 0, 0)
        if payment["state"] == "CAPTURED":
            raise AlreadyCapturedError
        self._sleep_if_slow(payment["token"])

    def refund(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """See Gateway."""
        with self._database.transaction():
            payment = self._payment(order_id)
            if payment["refunded"] != amount:
                if payment["refunded"] or payment["state"] != "CAPTURED":
                    raise ValueError(f"order {order_id} cannot be refunded: {payment}")
                if payment["charged_back"] + amount > payment["amount"]:
                    raise ChargedBackError
                self._database.fetch_all(UPDATE, order_id, "CAPTURED", amount, payment["charged_back"])
        self._sleep_if_slow(payment["token"])

    def pay_out(self, transfer: Transfer) -> str:
        """See Gateway."""
        if transfer.destination == scenarios.PAYOUT_REFUSED:
            raise PayoutRefusedError("the account cannot be paid")
        columns = (transfer.payout_id, f"sandbox_{new_id()}", transfer.amount, transfer.currency, transfer.destination)
        paid = self._database.fetch_one(PAY, *columns)
        assert paid is not None
        if paid["amount"] != transfer.amount:
            raise ValueError(f"payout {transfer.payout_id} was paid with another amount before")
        if transfer.destination == scenarios.PAYOUT_TIMEOUT and self._is_first(f"pay_out {transfer.payout_id}"):
            raise Unavailable
        return str(paid["reference"])

    def check_destination(self, destination: str) -> None:
        """See Gateway."""
        scenarios.check_account(destination)

    def list_payments(self) -> Iterator[ProviderPayment]:
        """See Gateway."""
        after = LEAST_ID
        while rows := self._database.fetch_all(PAYMENTS, after):
            yield from map(_to_payment, rows)
            after = rows[-1]["order_id"]

    def list_payouts(self) -> Iterator[ProviderPayout]:
        """See Gateway."""
        after = LEAST_ID
        while rows := self._database.fetch_all(PAYOUTS, after):
            yield from (ProviderPayout(**row) for row in rows)
            after = rows[-1]["payout_id"]

    def pending_events(self, limit: int) -> list[ProviderEvent]:
        """Return the events that nobody has acknowledged yet, oldest first."""
        rows = self._database.fetch_all(PENDING_EVENTS, limit)
        return [ProviderEvent(**{**row, "state": ChargebackState(row["state"])}) for row in rows]

    def acknowledge(self, event_id: str) -> None:
        """Record that an event was processed and need not come again."""
        self._database.fetch_all(ACKNOWLEDGE, event_id)

    def confirm(self, order_id: UUID, *, refused: bool = False) -> None:
        """Confirm a payment that waits for it, as the buyer does, or fail to. For tests."""
        self._database.fetch_all(CONFIRM, order_id, "VOIDED" if refused else "HELD", True)

    def report_chargeback(self, order_id: UUID) -> None:
        """Charge back the rest of a captured payment that was not refunded. For tests."""
        with self._database.transaction():
            payment = self._payment(order_id)
            amount = payment["amount"] - payment["refunded"] - payment["charged_back"]
            charged_back = payment["charged_back"] + amount
            self._database.fetch_all(UPDATE, order_id, "CAPTURED", payment["refunded"], charged_back)
            self._add_event(payment, amount, ChargebackState.OPEN)

    def report_chargeback_won(self, order_id: UUID) -> None:
        """Return a charged back amount: the chargeback is won. For tests."""
        with self._database.transaction():
            payment = self._payment(order_id)
            self._database.fetch_all(UPDATE, order_id, "CAPTURED", payment["refunded"], 0)
            self._add_event(payment, payment["charged_back"], ChargebackState.WON)

    def _payment(self, order_id: UUID) -> Row:
        """Return the payment, locked."""
        payment = self._database.fetch_one(PAYMENT, order_id)
        if payment is None:
            raise LookupError(f"the sandbox knows no payment of order {order_id}")
        return payment

    def _add_event(self, payment: Row, amount: Decimal, state: ChargebackState) -> None:
        chargeback_id = f"dispute_{payment['reference']}"
        self._database.fetch_all(ADD_EVENT, f"event_{new_id()}", chargeback_id, payment["reference"], amount, state)

    def _is_first(self, call: str) -> bool:
        return bool(self._database.fetch_all(RECORD_CALL, call))

    def _sleep_if_slow(self, token: str) -> None:
        if token == scenarios.SLOW:
            time.sleep(SLOW_SECONDS)


def _to_payment(row: Row) -> ProviderPayment:
    nothing = Decimal(0)
    return ProviderPayment(
        order_id=row["order_id"],
        reference=row["reference"],
        authorized=row["amount"] if row["state"] == "HELD" else nothing,
        captured=row["amount"] if row["state"] == "CAPTURED" else nothing,
        refunded=row["refunded"],
        charged_back=row["charged_back"],
    )
