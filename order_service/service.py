"""Everything of OrderService put together, around its database and its payment provider."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from marketplace.order.v1 import order_pb2, order_pb2_grpc
from order_service.cashier import Cashier
from order_service.domain.order import OrderPolicy
from order_service.effects import Effects
from order_service.finisher import Finisher
from order_service.gigs import Gigs
from order_service.notices import Notices
from order_service.payments.instrumented import InstrumentedGateway
from order_service.payments.providers import Payments
from order_service.payouts import PayoutDelivery
from order_service.servicer import OrderServicer
from order_service.servicer.orders import PaymentPolicy
from order_service.settings import Settings
from order_service.store import PAYOUTS, Store
from order_service.store.orders import PAYMENTS
from order_service.timekeeper import Timekeeper
from servicekit.database import Database
from servicekit.errors import Unavailable
from servicekit.idempotency import IdempotencyKeys
from servicekit.outbox import Relay, Topic
from servicekit.periodic import PeriodicTask
from servicekit.server import Background, ServiceSpec

TIME_SECONDS = 1.0
ATTEMPT_SECONDS = 0.5
REPORT_SECONDS = 0.5
# Reports that are taken in one round.
REPORTS = 20


class Service:
    """A worker's parts."""

    def __init__(self, settings: Settings, database: Database, gigs: Gigs, payments: Payments) -> None:
        self.store = Store(database)
        self.keys = IdempotencyKeys(database, settings.idempotency_key_lifetime)
        self.gateway = InstrumentedGateway(payments.gateway, settings.rpc_threads)
        self.timekeeper = Timekeeper(self.store, settings.timeouts)
        self._database = database
        self._payments = payments
        self._provider_events = Notices(self.store)
        cashier = Cashier(self.store, self.gateway, self.keys, settings.timeouts)
        self.finisher = Finisher(self.store, cashier)
        policy = OrderPolicy(settings.currency, settings.commission_percent, self.gateway.minimum)
        self.servicer = OrderServicer(
            self.store,
            gigs=gigs,
            gateway=self.gateway,
            cashier=cashier,
            provider_events=self._provider_events,
            policy=PaymentPolicy(settings.payments, self.gateway.needs_token, policy),
            timeouts=settings.timeouts,
            reader=payments.read_event,
        )

    @property
    def topics(self) -> Mapping[str, Topic]:
        """What goes out by the outbox."""
        return {
            PAYMENTS: Topic(Effects(self.store, self.gateway).deliver),
            PAYOUTS: Topic(PayoutDelivery(self.store, self.gateway).deliver),
        }

    def take_reports(self) -> None:
        """Takes what the payment provider has to report, where it waits to be asked."""
        for event in self._payments.provider_events(REPORTS):
            # One that has come too early comes again.
            with contextlib.suppress(Unavailable):
                self._provider_events.take(event)
                self._payments.taken(event.event_id)

    def served(self) -> ServiceSpec:
        """What the worker serves, and what it does beside."""
        background: list[Background] = [
            Relay(self._database, self.topics),
            PeriodicTask("orders' time", self.timekeeper.move_due, TIME_SECONDS, self._database),
            PeriodicTask("payment attempts", self.finisher.finish_due, ATTEMPT_SECONDS, self._database),
            PeriodicTask("payment reports", self.take_reports, REPORT_SECONDS, self._database),
        ]
        descriptor = order_pb2.DESCRIPTOR.services_by_name["OrderService"]
        return ServiceSpec(
            self.servicer,
            descriptor,
            order_pb2_grpc.add_OrderServiceServicer_to_server,
            background=background,
            idempotency_keys=self.keys,
        )
