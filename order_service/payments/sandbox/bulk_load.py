"""Writes the sandbox's records of whole batches of orders, for `make load-data`."""

from __future__ import annotations

from dataclasses import dataclass

from servicekit.bulk_load import BulkLoad, CopyInto

PAYMENTS = CopyInto("payments", "order_id, reference, token, amount, currency, state, held_until, created_at")
FEES = CopyInto("fees", "id, order_id, amount")
REFUNDS = CopyInto("refunds", "id, refund_id, order_id, amount, state")
PAYOUTS = CopyInto("payouts", "payout_id, reference, amount, currency, destination, created_at")
TABLES = ("payments", "fees", "refunds", "payouts")


@dataclass(frozen=True, slots=True)
class SandboxRows:
    """The rows of a batch: lines of COPY's text format, with the columns above."""

    payments: list[str]
    fees: list[str]
    refunds: list[str]
    payouts: list[str]


def write(bulk: BulkLoad, rows: SandboxRows) -> None:
    """Store the rows in the caller's transaction."""
    bulk.copy(PAYMENTS, rows.payments)
    bulk.copy(FEES, rows.fees)
    bulk.copy(REFUNDS, rows.refunds)
    bulk.copy(PAYOUTS, rows.payouts)
