"""OrderService without a network, with real databases, the real sandbox and a stand-in of GigService over real gRPC."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from marketplace.conversation.v1 import conversation_pb2
from marketplace.gig.v1 import gig_pb2
from marketplace.offer.v1 import offer_pb2
from marketplace.order.v1 import order_pb2
from marketplace.webhook.v1 import webhook_pb2
from order_service.domain.payment import Provider
from order_service.gigs import Gigs
from order_service.payments.gateway import ProviderPayment, TransferReport
from order_service.payments.providers import Payments, refuse_webhook
from order_service.payments.sandbox.gateway import Sandbox
from order_service.settings import Settings
from order_service.webhooks.sender import Sender
from order_service.worker import Worker
from servicekit.clock import Clock
from servicekit.database import Database
from servicekit.outbox import Relay
from servicekit.outbox.relay import AWAY_SECONDS
from tests.support.identity import token, user_id
from tests.support.rpc import Answer, Rpc
from tests.support.standins import GigStandIn, service_tokens

SERVICE = order_pb2.DESCRIPTOR.services_by_name["OrderService"]
WEBHOOKS = webhook_pb2.DESCRIPTOR.services_by_name["WebhookService"]
CONVERSATIONS = conversation_pb2.DESCRIPTOR.services_by_name["ConversationService"]
OFFERS = offer_pb2.DESCRIPTOR.services_by_name["OfferService"]
BUYER = token("happy_buyer", "buyer")
SELLER = token("webdev_pro", "seller")
ADMIN = token("root", "admin")
STRANGER = token("somebody", "buyer", "seller")
PACKAGE = "aa0e8400-e29b-41d4-a716-446655440000"
WEBHOOK_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
GIG = "550e8400-e29b-41d4-a716-446655440000"
# Before and after every payment of a test.
FIRST_TIME, LAST_TIME = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def worker_settings(**changes: Any) -> Settings:
    """Return the settings of a worker, with these changes."""
    values: dict[str, Any] = {
        "internal_tls": "off",
        "listen": "127.0.0.1:1",
        "metrics_listen": "127.0.0.1:2",
        "user_jwks": "user.json",
        "user_jwt_issuer": "me",
        "user_jwt_audience": "you",
        "service_jwks": Path("service.json"),
        "service_signing_key": Path("service.pem"),
        "order_database_url": "postgresql:///orders",
        "sandbox_database_url": "postgresql:///sandbox",
        "stripe_api_key": "sk_test_1",
        "stripe_webhook_secret": "whsec_1",
        "gig_service_addresses": "127.0.0.1:3",
        "payments": Provider.SANDBOX,
        "webhook_keys": WEBHOOK_KEY,
        # Longer than any test's time travel.
        "idempotency_key_hours": 8760,
    }
    return Settings(**{**values, **changes})


class SwitchableSandbox:
    """Payments by a sandbox that a test can switch to another one."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        # Any: `__getattr__` makes it a gateway.
        gateway: Any = self
        self.payments = Payments(
            gateway,
            refuse_webhook,
            gateway,
            lambda: self.sandbox.awaiting_completion(),
            lambda order_id: self.sandbox.report_completion(order_id),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sandbox, name)


class SandboxPayment(NamedTuple):
    """A payment in the sandbox's own records, in major units."""

    order_id: UUID
    reference: str
    authorized: Decimal
    captured: Decimal
    refunded: Decimal
    charged_back: Decimal


class OrderBackend:
    """One OrderService worker with its databases, its payment provider and a stand-in of GigService at `address`."""

    def __init__(
        self,
        database: Database,
        sandbox_database: Database,
        gigs: GigStandIn,
        address: str,
        payments: Payments | None = None,
        sender: Sender | None = None,
    ) -> None:
        self.gigs = gigs
        self.database = database
        self._arguments = (database, sandbox_database, gigs, address, payments, sender)
        self.clock = Clock(database)
        self.sandbox_clock = Clock(sandbox_database)
        self.sandbox = Sandbox(sandbox_database)
        self._switchable_sandbox = SwitchableSandbox(self.sandbox)
        provider = Provider.SANDBOX if payments is None else Provider.STRIPE
        gigs_client = Gigs(address, service_tokens("order"))
        self.worker = Worker(
            worker_settings(payments=provider),
            database,
            gigs_client,
            payments or self._switchable_sandbox.payments,
            sender,
        )
        self.store = self.worker.store
        self.order_timeouts = self.worker.order_timeouts
        self.reminders = self.worker.reminders
        self.rpc = Rpc(self.worker.servicer, SERVICE, self.worker.idempotency_keys)
        self.webhooks = Rpc(self.worker.webhook_servicer, WEBHOOKS)
        self.conversations = Rpc(
            self.worker.conversation_servicer, CONVERSATIONS, self.worker.idempotency_keys, self.worker.names.note
        )
        self.offers = Rpc(self.worker.offer_servicer, OFFERS, self.worker.idempotency_keys)
        self._relay = Relay(database, self.worker.topics)
        self.offer_package()

    def offer_package(self, package_id: str = PACKAGE, **changes: Any) -> None:
        """Let GigService offer the seed's basic website, with these changes."""
        terms: dict[str, Any] = {
            "package_id": package_id,
            "package_title": "Basic Website",
            "gig_id": GIG,
            "gig_title": "Professional Website Development",
            "seller_id": str(user_id("webdev_pro")),
            "price": 500,
            "delivery_days": 14,
            "revisions": 1,
        }
        self.gigs.offers[package_id] = gig_pb2.GetPackageTermsResponse(**{**terms, **changes})

    def place(self, sent_token: str = BUYER, key: str | None = None, **changes: Any) -> Answer:
        fields = {"package_id": PACKAGE, "requirements": "Need dark theme", "payment_method": "stripe"}
        request = order_pb2.PlaceOrderRequest(**{**fields, **changes})
        if key is None:
            return self.rpc.call("PlaceOrder", request, sent_token)
        return self.rpc.call("PlaceOrder", request, sent_token, idempotency_key=key)

    def placed(self, sent_token: str = BUYER, card: str = "") -> str:
        """Place an order and return its id."""
        order_id: str = self.place(sent_token, payment_token=card).response.order_id
        return order_id

    def accepted(self, card: str = "") -> str:
        """Place and accept an order and return its id."""
        order_id = self.placed(card=card)
        self.act("accept", order_id, SELLER)
        return order_id

    def resolve(
        self,
        order_id: str,
        outcome: str,
        refund: float | None = None,
        sent_token: str = ADMIN,
        message: str = "We have heard both sides",
    ) -> Answer:
        number = order_pb2.ResolveOrderRequest.Outcome.Value(outcome)
        request = order_pb2.ResolveOrderRequest(
            order_id=order_id, outcome=number, refund_amount=refund, message=message
        )
        return self.rpc.call("ResolveOrder", request, sent_token)

    def refund(
        self,
        order_id: str,
        amount: float,
        paid_by: str = "seller",
        sent_token: str = ADMIN,
        key: str | None = None,
        message: str = "It never worked",
    ) -> Answer:
        request = order_pb2.RefundOrderRequest(order_id=order_id, amount=amount, message=message, **{"from": paid_by})
        if key is None:
            return self.rpc.call("RefundOrder", request, sent_token)
        return self.rpc.call("RefundOrder", request, sent_token, idempotency_key=key)

    def payment(self, order_id: str) -> tuple[str, float]:
        """Return the status of the order's payment, and the refunded amount."""
        payment = self.get(order_id, BUYER).response.order.payment
        return order_pb2.Order.Payment.Status.Name(payment.status), payment.refunded

    def status(self, order_id: str) -> str:
        """Return the order's status."""
        return order_pb2.Order.Status.Name(self.get(order_id, BUYER).response.order.status)

    def history(self, order_id: str) -> list[tuple[str, str]]:
        """Return the order's history as pairs of party and action, oldest first."""
        return [(event.by, event.action) for event in self.events(order_id, BUYER).response.events]

    def balance(self, sent_token: str = SELLER) -> tuple[float, float, float]:
        """Return a seller's balance: in escrow, available, paid out."""
        balance = self.rpc.call("GetBalance", order_pb2.GetBalanceRequest(), sent_token).response
        return balance.in_escrow, balance.available, balance.paid_out

    def another_worker(self) -> OrderBackend:
        """Return another worker of the same service."""
        return OrderBackend(*self._arguments)

    def use_sandbox(self, sandbox: Sandbox) -> None:
        """Let the service call this sandbox from now on."""
        self._switchable_sandbox.sandbox = sandbox

    def settle_with_retries(self) -> None:
        """Do the background work, and again once postponed work is due."""
        self.settle()
        self.clock.travel(timedelta(minutes=1))
        time.sleep(AWAY_SECONDS)
        self.settle()

    def travel(self, by: timedelta) -> None:
        """Move the clocks of the service and of the sandbox."""
        self.clock.travel(by)
        self.sandbox_clock.travel(by)

    def settle(self) -> None:
        """Do the background work that is due now: payment recovery, provider events, the outbox."""
        for _ in range(3):
            self.worker.payment_recovery.recover_due()
            self.worker.provider_events.record_pending()
            self.deliver_outbox()

    def deliver_outbox(self) -> None:
        """Deliver the outbox rows that are due now."""
        while self._relay.deliver_one():
            pass

    def sandbox_payments(self) -> list[ProviderPayment]:
        """Return all payments in the sandbox's own records."""
        return list(self.sandbox.list_payments(FIRST_TIME, LAST_TIME))

    def sandbox_transfers(self) -> list[TransferReport]:
        """Return all payouts in the sandbox's own records."""
        return list(self.sandbox.list_transfers(FIRST_TIME, LAST_TIME))

    def sandbox_payment(self, order_id: str) -> SandboxPayment:
        """Return the order's payment in the sandbox's own records."""
        (payment,) = [payment for payment in self.sandbox_payments() if str(payment.order_id) == order_id]
        report = payment.report
        return SandboxPayment(
            payment.order_id,
            report.reference,
            payment.authorized,
            payment.captured,
            sum((refund.amount for refund in report.refunds if refund.state.counts), Decimal(0)),
            sum((each.amount for each in report.chargebacks if each.state.holds_money), Decimal(0)),
        )

    def act(self, action: str, order_id: str, sent_token: str, message: str = "", **more: Any) -> Answer:
        name = f"{action.capitalize()}Order"
        request = getattr(order_pb2, f"{name}Request")(order_id=order_id, message=message, **more)
        return self.rpc.call(name, request, sent_token)

    def extend(self, order_id: str, days: int = 5, message: str = "", sent_token: str = SELLER) -> Answer:
        """Ask for more time."""
        request = order_pb2.ExtendOrderRequest(order_id=order_id, days=days, message=message)
        return self.rpc.call("ExtendOrder", request, sent_token)

    def answer_extension(self, answer: str, order_id: str, sent_token: str = BUYER, message: str = "") -> Answer:
        """Accept or decline the request for more time."""
        name = f"{answer.capitalize()}Extension"
        request = getattr(order_pb2, f"{name}Request")(order_id=order_id, message=message)
        return self.rpc.call(name, request, sent_token)

    def delivered(self) -> str:
        """Place, accept and deliver an order and return its id."""
        order_id = self.placed()
        self.act("accept", order_id, SELLER)
        self.act("deliver", order_id, SELLER)
        return order_id

    def get(self, order_id: str, sent_token: str | None) -> Answer:
        return self.rpc.call("GetOrder", order_pb2.GetOrderRequest(order_id=order_id), sent_token)

    def actions(self, order_id: str, sent_token: str) -> list[str]:
        return list(self.get(order_id, sent_token).response.order.actions)

    def events(self, order_id: str, sent_token: str | None) -> Answer:
        return self.rpc.call("ListOrderEvents", order_pb2.ListOrderEventsRequest(order_id=order_id), sent_token)

    def page(self, sent_token: str, **filters: Any) -> Answer:
        return self.rpc.call("ListOrders", order_pb2.ListOrdersRequest(**filters), sent_token)

    def listed(self, sent_token: str, **filters: Any) -> list[str]:
        return [order.order_id for order in self.page(sent_token, **filters).response.results]
