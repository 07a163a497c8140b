"""The acts of buyers, of banks and of people at a provider, for the tests that every gateway has in common."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol
from uuid import UUID

import httpx

from order_service.domain.chargeback import ChargebackState
from order_service.payments.gateway import (
    ConfirmationNeededError,
    ConfirmationReport,
    PaymentReport,
    TransferReport,
)
from order_service.payments.sandbox.gateway import Sandbox
from order_service.payments.stripe.events import to_event
from tests.support.stripe_double import StripeDouble

# An order, and the provider's reference of its payment.
Payment = tuple[UUID, str]
Report = PaymentReport | TransferReport | ConfirmationReport


class Hand(Protocol):
    """The acts. A provider that does not know an act returns None, or False."""

    @property
    def destination(self) -> str | None:
        """An account that can be paid."""
        ...

    def confirm(self, order_id: UUID, needed: ConfirmationNeededError) -> None:
        """Confirm the payment of an order as its buyer does."""
        ...

    def refuse_confirmation(self, order_id: UUID, needed: ConfirmationNeededError) -> None:
        """Let the buyer fail to confirm the payment of an order."""
        ...

    def charge_back(self, payment: Payment, amount: Decimal) -> str | None:
        """Charge an amount back. Return the provider's id of the chargeback."""
        ...

    def decide(self, chargeback_id: str, state: ChargebackState) -> None:
        """Move a chargeback. A lost one that is won is reinstated."""
        ...

    def refund(self, payment: Payment, amount: Decimal) -> str:
        """Refund an amount by hand. Return the provider's id of the refund."""
        ...

    def fail(self, provider_id: str) -> bool:
        """Let a refund fail."""
        ...

    def reverse_transfer(self, payout_id: UUID, amount: Decimal) -> None:
        """Take an amount of a payout back."""
        ...

    def reports(self) -> list[Report]:
        """Return the reports of all events."""
        ...


class SandboxHand:
    """The sandbox's own methods."""

    destination = ""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def confirm(self, order_id: UUID, needed: ConfirmationNeededError) -> None:
        self._sandbox.confirm(order_id)

    def refuse_confirmation(self, order_id: UUID, needed: ConfirmationNeededError) -> None:
        self._sandbox.confirm(order_id, refused=True)

    def charge_back(self, payment: Payment, amount: Decimal) -> str | None:
        return self._sandbox.charge_back(payment[0], amount)

    def decide(self, chargeback_id: str, state: ChargebackState) -> None:
        self._sandbox.decide_chargeback(chargeback_id, state)

    def refund(self, payment: Payment, amount: Decimal) -> str:
        return self._sandbox.refund_by_hand(payment[0], amount)

    def fail(self, provider_id: str) -> bool:
        self._sandbox.fail_refund(provider_id)
        return True

    def reverse_transfer(self, payout_id: UUID, amount: Decimal) -> None:
        self._sandbox.reverse_transfer(payout_id, amount)

    def reports(self) -> list[Report]:
        return [event.report for event in self._sandbox.pending_events(1000)]


class DoubleHand:
    """The double's methods."""

    destination = "acct_good"

    def __init__(self, double: StripeDouble) -> None:
        self._double = double

    def confirm(self, order_id: UUID, needed: ConfirmationNeededError) -> None:
        self._double.confirm(needed.reference)

    def refuse_confirmation(self, order_id: UUID, needed: ConfirmationNeededError) -> None:
        self._double.refuse_confirmation(needed.reference)

    def charge_back(self, payment: Payment, amount: Decimal) -> str | None:
        return str(self._double.dispute(payment[1], amount=int(amount * 100))["id"])

    def decide(self, chargeback_id: str, state: ChargebackState) -> None:
        (dispute,) = [each for each in self._double.disputes if each["id"] == chargeback_id]
        if dispute["status"] == "lost" and state is ChargebackState.WON:
            self._double.reinstate(chargeback_id)
        else:
            self._double.move_dispute(chargeback_id, state.lower())

    def refund(self, payment: Payment, amount: Decimal) -> str:
        return str(self._double.refund_by_hand(payment[1], int(amount * 100))["id"])

    def fail(self, provider_id: str) -> bool:
        self._double.move_refund(provider_id, "failed")
        return True

    def reverse_transfer(self, payout_id: UUID, amount: Decimal) -> None:
        (transfer,) = [each for each in self._double.transfers if each["metadata"]["payout_id"] == str(payout_id)]
        self._double.reverse_transfer(transfer["id"], int(amount * 100))

    def reports(self) -> list[Report]:
        events = [to_event(event) for event in self._double.events]
        return [event.report for event in events if event is not None]


class LocalstripeHand:
    """The API of localstripe, which has neither disputes nor transfers, and whose refunds do not fail."""

    destination = None

    def __init__(self, url: str) -> None:
        self._url = url

    def confirm(self, order_id: UUID, needed: ConfirmationNeededError) -> None:
        self._authenticate(needed, success=True)

    def refuse_confirmation(self, order_id: UUID, needed: ConfirmationNeededError) -> None:
        self._authenticate(needed, success=False)

    def charge_back(self, payment: Payment, amount: Decimal) -> str | None:
        return None

    def decide(self, chargeback_id: str, state: ChargebackState) -> None:
        raise NotImplementedError

    def refund(self, payment: Payment, amount: Decimal) -> str:
        fields = {"payment_intent": payment[1], "amount": int(amount * 100)}
        return str(httpx.post(f"{self._url}/v1/refunds", data=fields, auth=("sk_test_1", "")).json()["id"])

    def fail(self, provider_id: str) -> bool:
        return False

    def reverse_transfer(self, payout_id: UUID, amount: Decimal) -> None:
        raise NotImplementedError

    def reports(self) -> list[Report]:
        return []

    def _authenticate(self, needed: ConfirmationNeededError, *, success: bool) -> None:
        """Do what the browser's Stripe.js does there."""
        fields = {"client_secret": needed.client_secret, "success": success, "key": "pk_test_1"}
        path = f"/v1/payment_intents/{needed.reference}/_authenticate"
        httpx.post(self._url + path, data=fields).raise_for_status()
