"""The two kinds of records that a run compares: orders with the provider's payments, payouts with its transfers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from order_service.payments.gateway import Gateway, ProviderPayment, TransferReport
from order_service.reconciliation.compare_orders import compare_order
from order_service.reconciliation.compare_payments import describe_stray, is_stray, other_payments
from order_service.reconciliation.compare_payouts import compare_payout, is_own_transfer, other_transfers
from order_service.reconciliation.spans import SKEW, Span, merge, time_of
from order_service.store.audit import Audit, OrderRecords, PayoutRecords
from order_service.store.reconciliation_runs import Kind, Work

Records = TypeVar("Records", OrderRecords, PayoutRecords)
Theirs = TypeVar("Theirs", ProviderPayment, TransferReport)


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one comparison. `exists` says whether the order or payout is there.

    `is_listed` says that the provider lists the record that was compared at a time that ours do not tell.
    """

    differences: list[str]
    exists: bool
    is_pending: bool = False
    is_listed: bool = False


def together(listed: Iterable[tuple[UUID, Theirs]]) -> dict[UUID, list[Theirs]]:
    """Return the provider's records by our ids: two payments of an order together."""
    records: dict[UUID, list[Theirs]] = {}
    for each, theirs in listed:
        records.setdefault(each, []).append(theirs)
    return records


class Subject(ABC, Generic[Records, Theirs]):
    """A kind of records, with the provider's records of it."""

    kind: Kind

    def __init__(self, audit: Audit, gateway: Gateway) -> None:
        self._audit = audit
        self._gateway = gateway

    @abstractmethod
    def listed(self, span: Span) -> Iterator[tuple[UUID, Theirs]]:
        """Yield the provider's records that it created in this time, with our ids. Raises Unavailable."""

    @abstractmethod
    def load(self, ids: list[UUID]) -> dict[UUID, Records]:
        """Return our records, without those that do not exist."""

    @abstractmethod
    def span(self, records: Records) -> Span:
        """Return the time in which the provider has created its record."""

    @abstractmethod
    def is_late(self, records: Records, theirs: Sequence[Theirs]) -> bool:
        """Return whether the provider may have created a record that counts outside `span`."""

    @abstractmethod
    def differences(self, records: Records, theirs: Sequence[Theirs]) -> list[str]:
        """Return the differences between our records and the provider's, of which there should be one."""

    @abstractmethod
    def strays(self, theirs: Mapping[UUID, Sequence[Theirs]]) -> dict[UUID, list[str]]:
        """Return the differences of records that only the provider has."""

    def compare_listed(self, theirs: Mapping[UUID, Sequence[Theirs]]) -> dict[UUID, Result]:
        """Compare records of the provider with ours, those of one order or payout together."""
        return self._compare(list(theirs), self.load(list(theirs)), theirs)

    def compare_work(self, work: Collection[Work]) -> dict[UUID, Result]:
        """Compare our records with the provider's, which is asked for what it created around each of them.

        Raises Unavailable.
        """
        ids = [each.id for each in work]
        records = self.load(ids)
        spans: dict[UUID, Span] = {}
        for each in work:
            if each.since is not None and each.until is not None:
                spans[each.id] = Span(each.since, each.until)
            elif each.id in records:
                spans[each.id] = self.span(records[each.id])
        return self._compare(ids, records, self._listed_around(spans))

    def _listed_around(self, spans: Mapping[UUID, Span]) -> dict[UUID, list[Theirs]]:
        found: dict[UUID, list[Theirs]] = {}
        for span in merge(spans.values()):
            wanted = {each for each, own in spans.items() if own.since >= span.since and own.until <= span.until}
            found |= together((each, theirs) for each, theirs in self.listed(span) if each in wanted)
        return found

    def _compare(
        self, ids: list[UUID], records: Mapping[UUID, Records], theirs: Mapping[UUID, Sequence[Theirs]]
    ) -> dict[UUID, Result]:
        results = {
            each: Result(
                self.differences(own, theirs.get(each, ())),
                True,
                own.is_pending,
                each in theirs and self.is_late(own, theirs[each]),
            )
            for each, own in records.items()
        }
        strays = self.strays({each: theirs[each] for each in ids if each in theirs and each not in records})
        for each in ids:
            if each not in results:
                results[each] = Result(strays.get(each, []), exists=False, is_listed=True)
        return results


class Orders(Subject[OrderRecords, ProviderPayment]):
    """Orders, and the provider's payments."""

    kind: Kind = "order"

    def listed(self, span: Span) -> Iterator[tuple[UUID, ProviderPayment]]:
        """See Subject."""
        return ((payment.order_id, payment) for payment in self._gateway.list_payments(span.since, span.until))

    def load(self, ids: list[UUID]) -> dict[UUID, OrderRecords]:
        """See Subject."""
        return self._audit.orders(ids)

    def span(self, records: OrderRecords) -> Span:
        """See Subject. The payment was authorized between the draft of the order and its placing."""
        drafted_at = time_of(records.order.id, records.order.created_at)
        return Span(drafted_at - SKEW, max(drafted_at, records.order.created_at) + SKEW)

    def is_late(self, records: OrderRecords, theirs: Sequence[ProviderPayment]) -> bool:
        """See Subject. A second payment may be made at any time."""
        return bool(list(other_payments(records.order.payment_reference, theirs)))

    def differences(self, records: OrderRecords, theirs: Sequence[ProviderPayment]) -> list[str]:
        """See Subject."""
        return compare_order(records, theirs)

    def strays(self, theirs: Mapping[UUID, Sequence[ProviderPayment]]) -> dict[UUID, list[str]]:
        """See Subject. A payment whose attempt is not over is no difference."""
        found = {each: [describe_stray(one) for one in payments if is_stray(one)] for each, payments in theirs.items()}
        strays = {each: texts for each, texts in found.items() if texts}
        with_attempts = self._audit.with_attempts(list(strays)) if strays else set()
        return {each: texts for each, texts in strays.items() if each not in with_attempts}


class Payouts(Subject[PayoutRecords, TransferReport]):
    """Payouts, and the provider's transfers."""

    kind: Kind = "payout"

    def listed(self, span: Span) -> Iterator[tuple[UUID, TransferReport]]:
        """See Subject."""
        return ((transfer.payout_id, transfer) for transfer in self._gateway.list_transfers(span.since, span.until))

    def load(self, ids: list[UUID]) -> dict[UUID, PayoutRecords]:
        """See Subject."""
        return self._audit.payouts(ids)

    def span(self, records: PayoutRecords) -> Span:
        """See Subject. The transfer was made between the request of the payout and its last change."""
        requested_at = time_of(records.payout.id, records.payout.created_at)
        return Span(requested_at - SKEW, max(requested_at, records.updated_at) + SKEW)

    def is_late(self, records: PayoutRecords, theirs: Sequence[TransferReport]) -> bool:
        """See Subject. Both the transfer and a second one may be made long after our last change."""
        is_own = [is_own_transfer(records.payout, each) for each in theirs]
        return any(is_own) or bool(list(other_transfers(records.payout, theirs)))

    def differences(self, records: PayoutRecords, theirs: Sequence[TransferReport]) -> list[str]:
        """See Subject."""
        return compare_payout(records, theirs)

    def strays(self, theirs: Mapping[UUID, Sequence[TransferReport]]) -> dict[UUID, list[str]]:
        """See Subject."""
        return {each: ["does not exist, and the provider has paid it"] for each in theirs}
