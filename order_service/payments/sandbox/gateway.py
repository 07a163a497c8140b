"""The sandbox: a payment provider for development and tests. It moves no money and records payments as if it did.

Its records are in a database of their own. Like a real provider's, they can hold payments that OrderService does not
know, and the other way round. Amounts decide nothing here: the payment token asks for a failure (`scenarios.py`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from order_service.domain.chargeback import ChargebackState
from order_service.payments.gateway import (
    AlreadyCapturedError,
    AuthorizationResult,
    ConfirmationNeededError,
    Declined,
    NotCoveredError,
    PaymentReport,
    PayoutRefusedError,
    ProviderPayment,
    ProviderRefund,
    Purchase,
    RefundNotMadeError,
    RefundRefusedError,
    RefundRequest,
    Transfer,
    TransferReport,
)
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.bank import Bank
from order_service.payments.sandbox.records import CENT, PAYMENT_REPORTS, to_refund
from servicekit.database import Row, Statement
from servicekit.errors import Unavailable
from servicekit.ids import new_id

MIGRATIONS = Path(__file__).parent / "migrations"
VALID_FOR = timedelta(days=7)
SLOW_SECONDS = 1.0
# Times of the cards that ask for something later. It happens when the sandbox is polled.
DECIDED_AFTER, FAILS_AFTER = timedelta(seconds=2), timedelta(seconds=1)
# The time for which the platform's balance does not cover a refund of REFUND_WAITS, or a payout to PAYOUT_WAITS.
REFUND_NOT_COVERED_FOR = timedelta(seconds=10)
PAYOUT_NOT_COVERED_FOR = timedelta(seconds=10)
# The time after which a refund that was not made can be tried again.
REFUND_DELAY = timedelta(seconds=1)

RECORD_CALL = Statement("INSERT INTO heard (call) VALUES ($1) ON CONFLICT DO NOTHING RETURNING call")
# The commit does not wait for the disk. When PostgreSQL crashes before the order is stored, payment recovery authorizes
# the payment again. The order's commit waits for the disk, and with it, in the same PostgreSQL, all earlier commits.
AUTHORIZE = Statement("""
    INSERT INTO payments
        (order_id, reference, token, amount, currency, state, created_at, held_until, client_secret, confirms_at)
    SELECT $1, $2, $3, $4, $5, $6, now, now + $7::interval, $8, now + $9::interval
    FROM app_now() AS now, set_config('synchronous_commit', 'off', true)
    ON CONFLICT DO NOTHING
    RETURNING reference, amount, state, client_secret
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
UPDATE = Statement("UPDATE payments SET state = $2 WHERE order_id = $1")
REFUND = Statement("SELECT id, refund_id, amount, state FROM refunds WHERE refund_id = $1 AND order_id = $2")
WAS_REFUNDED = Statement("SELECT id FROM refunds WHERE order_id = $1 AND refund_id IS NOT NULL LIMIT 1")
TOKEN = Statement("SELECT token FROM payments WHERE order_id = $1")
REQUEST_REFUND = Statement("""
    UPDATE payments SET refund_requested_at = COALESCE(refund_requested_at, app_now()) WHERE order_id = $1
    RETURNING refund_requested_at + $2::interval <= app_now() AS is_covered
""")
PAY = Statement("""
    INSERT INTO payouts (payout_id, reference, amount, currency, destination) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (payout_id) DO UPDATE SET payout_id = excluded.payout_id RETURNING reference, amount
""")
COVERED_IN = Statement("SELECT at + $2::interval - app_now() AS wait FROM heard WHERE call = $1")
LOOK_UP = Statement("SELECT report FROM payment_reports WHERE order_id = $1 AND reference = $2")
PAYMENTS = Statement("""
    SELECT order_id, created_at, amount, state, report FROM payment_reports
    WHERE (created_at, order_id) > ($1, $2) AND created_at < $3 ORDER BY created_at, order_id LIMIT 1000
""")
PAYOUTS = Statement("""
    SELECT payout_id, created_at, amount, reversed, reference FROM payouts
    WHERE (created_at, payout_id) > ($1, $2) AND created_at < $3 ORDER BY created_at, payout_id LIMIT 1000
""")
# No order and no payout has this id, so that a list begins with `since` itself.
LEAST_ID = UUID(int=0)
NOTHING = Decimal(0)


class Sandbox(Bank):
    """A Gateway whose calls are transactions of its own database."""

    minimum = Decimal("0.50")
    needs_token = False

    def authorize(self, purchase: Purchase) -> AuthorizationResult:
        """See Gateway."""
        scenarios.check_card(purchase.token)
        self._sleep_if_slow(purchase.token)
        call = f"authorize {purchase.order_id}"
        if purchase.token == scenarios.DECLINED:
            raise Declined
        if purchase.token == scenarios.TIMEOUT_BEFORE and self._record_call(call):
            raise Unavailable
        payment = self._authorize(purchase) or self._authorized_before(purchase)
        if payment["amount"] != purchase.amount:
            raise ValueError(f"order {purchase.order_id} was authorized for another amount before")
        if purchase.token == scenarios.TIMEOUT_AFTER and self._record_call(call):
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

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> PaymentReport:
        """See Gateway."""
        with self._database.transaction():
            payment = self._payment(order_id)
            if payment["amount"] != amount:
                raise ValueError(f"order {order_id} holds {payment['amount']}, not {amount}")
            if payment["state"] == "HELD" and payment["is_held"] and payment["token"] != scenarios.CAPTURE_DECLINED:
                self._database.write(UPDATE, order_id, "CAPTURED")
                self._add_payment_fee(payment)
                self._charge_back_by_card(payment)
            elif payment["state"] != "CAPTURED":
                raise Declined
            fee = self._payment_fee(payment)
        self._sleep_if_slow(payment["token"])
        if payment["token"] == scenarios.CAPTURE_TIMEOUT and self._record_call(f"capture {order_id}"):
            raise Unavailable
        return PaymentReport(payment["reference"], fees=fee)

    def void(self, order_id: UUID, reference: str) -> None:
        """See Gateway."""
        with self._database.transaction():
            payment = self._payment(order_id)
            if payment["state"] in ("HELD", "WAITING"):
                self._database.write(UPDATE, order_id, "VOIDED")
        if payment["state"] == "CAPTURED":
            raise AlreadyCapturedError
        self._sleep_if_slow(payment["token"])

    def refund(self, request: RefundRequest) -> ProviderRefund:
        """See Gateway."""
        token = self._database.fetch_one(TOKEN, request.order_id)
        if token is not None and token["token"] == scenarios.REFUND_REFUSED:
            raise RefundRefusedError("the card takes no refunds")
        if token is not None and token["token"] == scenarios.REFUND_WAITS:
            requested = self._database.fetch_one(REQUEST_REFUND, request.order_id, REFUND_NOT_COVERED_FOR)
            if requested is None or not requested["is_covered"]:
                raise RefundNotMadeError("the balance at the provider does not cover it", REFUND_DELAY)
        with self._database.transaction():
            payment = self._payment(request.order_id)
            refund = self._refund_once(payment, request)
        self._sleep_if_slow(payment["token"])
        return refund

    def pay_out(self, transfer: Transfer) -> str:
        """See Gateway."""
        if transfer.destination == scenarios.PAYOUT_REFUSED:
            raise PayoutRefusedError("the account cannot be paid")
        if transfer.destination == scenarios.PAYOUT_WAITS:
            self._check_cover(transfer.payout_id)
        columns = (transfer.payout_id, f"sandbox_{new_id()}", transfer.amount, transfer.currency, transfer.destination)
        paid = self._database.fetch_one(PAY, *columns)
        assert paid is not None
        if paid["amount"] != transfer.amount:
            raise ValueError(f"payout {transfer.payout_id} was paid with another amount before")
        if transfer.destination == scenarios.PAYOUT_TIMEOUT and self._record_call(f"pay_out {transfer.payout_id}"):
            raise Unavailable
        return str(paid["reference"])

    def check_destination(self, destination: str) -> None:
        """See Gateway."""
        scenarios.check_account(destination)

    def look_up(self, order_id: UUID, reference: str) -> PaymentReport:
        """See Gateway."""
        row = self._database.fetch_one(LOOK_UP, order_id, reference)
        if row is None:
            raise LookupError(f"the sandbox knows no payment {reference} of order {order_id}")
        return PAYMENT_REPORTS.validate_python(row["report"])

    def list_payments(self, since: datetime, until: datetime) -> Iterator[ProviderPayment]:
        """See Gateway. Oldest first."""
        after = (since, LEAST_ID)
        while rows := self._database.fetch_all(PAYMENTS, *after, until):
            yield from map(_to_payment, rows)
            after = (rows[-1]["created_at"], rows[-1]["order_id"])

    def list_transfers(self, since: datetime, until: datetime) -> Iterator[TransferReport]:
        """See Gateway. Oldest first."""
        after = (since, LEAST_ID)
        while rows := self._database.fetch_all(PAYOUTS, *after, until):
            yield from (
                TransferReport(row["payout_id"], row["amount"], row["reversed"], row["reference"]) for row in rows
            )
            after = (rows[-1]["created_at"], rows[-1]["payout_id"])

    def confirm(self, order_id: UUID, *, refused: bool = False) -> None:
        """Confirm a payment that waits for it, as the buyer does, or fail to. For tests."""
        self._database.fetch_all(CONFIRM, order_id, "VOIDED" if refused else "HELD", True)

    def _authorize(self, purchase: Purchase) -> Row | None:
        """Return the new payment; None when there is one already."""
        columns = (purchase.order_id, f"sandbox_{new_id()}", purchase.token, purchase.amount, purchase.currency)
        waits = purchase.token in scenarios.CONFIRMED_AFTER
        secret = f"sandbox_secret_{secrets.token_urlsafe(24)}" if waits else ""
        state, after = "WAITING" if waits else "HELD", scenarios.CONFIRMED_AFTER.get(purchase.token)
        return self._database.fetch_one(AUTHORIZE, *columns, state, VALID_FOR, secret, after)

    def _authorized_before(self, purchase: Purchase) -> Row:
        """Return the payment that an earlier call has made, once its confirmation is due with its end."""
        with self._database.transaction():
            end = "VOIDED" if purchase.token == scenarios.CONFIRM_REFUSED else "HELD"
            self._database.write(CONFIRM, purchase.order_id, end, False)
            return self._payment(purchase.order_id)

    def _refund_once(self, payment: Row, request: RefundRequest) -> ProviderRefund:
        """Return the refund of this id, which is made when there is none. The payment is locked."""
        made = self._database.fetch_one(REFUND, request.id, request.order_id)
        if made is not None:
            if made["amount"] != request.amount:
                raise ValueError(f"refund {request.id} was made with another amount before")
            return to_refund(made)
        rest = self._rest(request.order_id)
        if request.amount > rest:
            raise RefundNotMadeError(f"only {rest} of the payment is left", REFUND_DELAY)
        fails = payment["token"] == scenarios.REFUND_FAILS
        is_first = fails and not self._database.fetch_all(WAS_REFUNDED, request.order_id)
        return self._add_refund(request.order_id, request.amount, request.id, FAILS_AFTER if is_first else None)

    def _charge_back_by_card(self, payment: Row) -> None:
        """Charge a captured payment back as its card asks for."""
        match payment["token"]:
            case scenarios.CHARGEBACK:
                self._add_chargeback(payment, payment["amount"])
            case scenarios.CHARGEBACK_PARTIAL:
                self._add_chargeback(payment, (payment["amount"] / 10).quantize(CENT))
            case scenarios.CHARGEBACK_WON:
                self._add_chargeback(payment, payment["amount"], ChargebackState.WON, DECIDED_AFTER)
            case scenarios.CHARGEBACK_LOST:
                self._add_chargeback(payment, payment["amount"], ChargebackState.LOST, DECIDED_AFTER)

    def _record_call(self, call: str) -> bool:
        """Record a call. Return whether it is the first of this name."""
        return bool(self._database.fetch_all(RECORD_CALL, call))

    def _check_cover(self, payout_id: UUID) -> None:
        """Raise NotCoveredError for a while after the first call for the payout."""
        call = f"pay_out {payout_id}"
        self._record_call(call)
        [row] = self._database.fetch_all(COVERED_IN, call, PAYOUT_NOT_COVERED_FOR)
        if row["wait"] > timedelta(0):
            raise NotCoveredError(row["wait"])

    def _sleep_if_slow(self, token: str) -> None:
        if token == scenarios.SLOW:
            time.sleep(SLOW_SECONDS)


def _to_payment(row: Row) -> ProviderPayment:
    return ProviderPayment(
        order_id=row["order_id"],
        authorized=row["amount"] if row["state"] == "HELD" else NOTHING,
        captured=row["amount"] if row["state"] == "CAPTURED" else NOTHING,
        report=PAYMENT_REPORTS.validate_python(row["report"]),
    )
