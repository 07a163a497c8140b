"""Stripe's resources as records of the gateway's interface. Amounts are cents there.

The resources are dictionaries, as webhooks bring them and as the library's `to_dict` returns them. Ours have our ids in
their metadata. A balance transaction in another currency than its payment's names a fee that we cannot book: Stripe
settles such a payment in the account's own currency. Its fees are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil
from typing import Any
from uuid import UUID

from order_service.domain.chargeback import ChargebackState
from order_service.domain.refund import RefundState
from order_service.payments.gateway import (
    PaymentReport,
    ProviderChargeback,
    ProviderFee,
    ProviderPayment,
    ProviderRefund,
    TransferReport,
)
from order_service.payments.stripe.names import ORDER, PAYOUT, REFUND

Object = dict[str, Any]
CENT = Decimal("0.01")
NOTHING = Decimal(0)
# The most that Stripe returns at once.
PAGE = 100
# Stripe lists the last ten refunds of an expanded charge.
EXPANSIONS = ("latest_charge.balance_transaction", "latest_charge.refunds")

# https://docs.stripe.com/api/refunds/object#refund_object-status
REFUND_STATES = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.REQUIRES_ACTION,
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}
# https://docs.stripe.com/api/disputes/object#dispute_object-status. An inquiry (`warning_…`) takes no money, nor does a
# dispute that was `prevented`. An appeal follows a lost dispute, and the money is back only when it is won.
CHARGEBACK_STATES = {
    "needs_response": ChargebackState.NEEDS_RESPONSE,
    "under_review": ChargebackState.UNDER_REVIEW,
    "appeal_needs_response": ChargebackState.LOST,
    "appeal_under_review": ChargebackState.LOST,
    "lost": ChargebackState.LOST,
    "won": ChargebackState.WON,
}


def list_payments(api: Any, since: datetime, until: datetime) -> Iterator[ProviderPayment]:
    """Yield the payments of orders that were created in this time, newest first. Raises the library's errors."""
    expansions = [f"data.{path}" for path in EXPANSIONS]
    page = api.payment_intents.list({"limit": PAGE, "created": window(since, until), "expand": expansions})
    for intent in map(_to_dict, page.auto_paging_iter()):
        if order_id := our_id(intent, ORDER):
            yield ProviderPayment(
                order_id=order_id,
                authorized=amount(intent["amount"]) if intent["status"] == "requires_capture" else NOTHING,
                captured=amount(intent["amount"]) if _is_captured(intent) else NOTHING,
                report=_to_report(api, intent),
            )


def list_transfers(api: Any, since: datetime, until: datetime) -> Iterator[TransferReport]:
    """Yield the payouts that were created in this time, newest first. Raises the library's errors."""
    page = api.transfers.list({"limit": PAGE, "created": window(since, until)})
    for transfer in map(_to_dict, page.auto_paging_iter()):
        if report := to_transfer(transfer):
            yield report


def look_up(api: Any, reference: str) -> PaymentReport:
    """Return everything about a payment. Raises the library's errors."""
    return _to_report(api, _to_dict(api.payment_intents.retrieve(reference, {"expand": list(EXPANSIONS)})))


def list_refunds(api: Any, reference: str) -> list[ProviderRefund]:
    """Return all refunds of a payment. Raises the library's errors."""
    page = api.refunds.list({"payment_intent": reference, "limit": PAGE})
    return [to_refund(_to_dict(refund)) for refund in page.auto_paging_iter()]


def to_refund(refund: Object) -> ProviderRefund:
    """Convert a refund. Refunds of the time when an order had only one have no id of their own: it is the order's."""
    ours = our_id(refund, REFUND) or our_id(refund, ORDER)
    state = REFUND_STATES.get(refund.get("status") or "", RefundState.PENDING)
    return ProviderRefund(refund["id"], ours, amount(refund["amount"]), state)


def to_chargeback(dispute: Object, *, is_reinstated: bool = False) -> ProviderChargeback | None:
    """Convert a dispute; None when it takes no money. `is_reinstated` is what the kind of its event says.

    A lost dispute is WON when all its money is back, by its transactions where it has them. One that is won in part,
    of which Stripe gives back a part of the money, stays LOST.
    """
    state = CHARGEBACK_STATES.get(dispute.get("status") or "")
    if state is None:
        return None
    transactions = dispute.get("balance_transactions") or []
    is_back = sum(each["amount"] for each in transactions) >= 0 if transactions else is_reinstated
    if state is ChargebackState.LOST and is_back:
        state = ChargebackState.WON
    # 0 when the bank takes no evidence.
    due_by = (dispute.get("evidence_details") or {}).get("due_by")
    return ProviderChargeback(
        dispute["id"], amount(dispute["amount"]), state, datetime.fromtimestamp(due_by, UTC) if due_by else None
    )


def dispute_fees(dispute: Object) -> tuple[ProviderFee, ...]:
    """Return the fees of a dispute. One that Stripe gives back is negative."""
    return _fees(dispute.get("balance_transactions") or [], dispute.get("currency"))


def payment_fees(intent: Object) -> tuple[ProviderFee, ...]:
    """Return the fee of a captured payment, when its charge and its balance transaction are expanded and there."""
    charge = intent.get("latest_charge")
    transaction = charge.get("balance_transaction") if isinstance(charge, dict) else None
    if not _is_captured(intent) or not isinstance(transaction, dict):
        return ()
    return _fees([transaction], intent.get("currency"))


def to_transfer(transfer: Object) -> TransferReport | None:
    """Convert a transfer; None when it is no payout of ours."""
    payout_id = our_id(transfer, PAYOUT)
    if payout_id is None:
        return None
    came_back = amount(transfer.get("amount_reversed") or 0)
    return TransferReport(payout_id, amount(transfer["amount"]), came_back, transfer["id"])


def our_id(resource: Object, name: str) -> UUID | None:
    """Return an id in the metadata, None when it is not there. Others may write there, so it may be no id of ours."""
    try:
        return UUID((resource.get("metadata") or {})[name])
    except (LookupError, ValueError, TypeError, AttributeError):
        return None


def cents(major: Decimal) -> int:
    """Convert an amount in major units to cents."""
    return int(major / CENT)


def amount(minor: int) -> Decimal:
    """Convert an amount in cents to major units."""
    return minor * CENT


def window(since: datetime, until: datetime) -> dict[str, int]:
    """Return a filter of creation times, which are whole seconds: windows that meet share no resource."""
    return {"gte": ceil(since.timestamp()), "lt": ceil(until.timestamp())}


def _to_report(api: Any, intent: Object) -> PaymentReport:
    charge = intent.get("latest_charge")
    # A voided authorization has a refund, too.
    if not _is_captured(intent) or not isinstance(charge, dict):
        return PaymentReport(intent["id"])
    # `disputed` stays true when a dispute is over.
    disputes = _list_disputes(api, intent["id"]) if charge.get("disputed") else []
    chargebacks = tuple(each for each in map(to_chargeback, disputes) if each is not None)
    fees = payment_fees(intent) + tuple(fee for dispute in disputes for fee in dispute_fees(dispute))
    return PaymentReport(intent["id"], tuple(_refunds_of(api, intent["id"], charge)), chargebacks, fees)


def _refunds_of(api: Any, reference: str, charge: Object) -> list[ProviderRefund]:
    page = charge.get("refunds")
    if not isinstance(page, dict) or page.get("has_more"):
        return list_refunds(api, reference)
    return [to_refund(refund) for refund in page["data"]]


def _list_disputes(api: Any, reference: str) -> list[Object]:
    page = api.disputes.list({"payment_intent": reference, "limit": PAGE})
    return [_to_dict(dispute) for dispute in page.auto_paging_iter()]


def _fees(transactions: list[Object], currency: object) -> tuple[ProviderFee, ...]:
    return tuple(
        ProviderFee(each["id"], amount(each["fee"]))
        for each in transactions
        if each.get("fee") and each.get("currency") == currency
    )


def _is_captured(intent: Object) -> bool:
    return bool(intent["status"] == "succeeded")


def _to_dict(resource: Any) -> Object:
    converted: Object = resource.to_dict()
    return converted
