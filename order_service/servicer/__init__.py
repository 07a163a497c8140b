"""OrderService's RPCs: about orders, about money, and what payment providers report."""

from order_service.cashier import Cashier
from order_service.domain.lifecycle import Timeouts
from order_service.gigs import Gigs
from order_service.notices import Notices
from order_service.payments.gateway import Gateway
from order_service.servicer.money import MoneyHandlers
from order_service.servicer.orders import OrderHandlers, PaymentPolicy
from order_service.servicer.reports import Reader, ReportHandlers
from order_service.store import Store


class OrderServicer(OrderHandlers, MoneyHandlers, ReportHandlers):
    """Answers the RPCs of `marketplace.order.v1.OrderService`."""

    def __init__(
        self,
        store: Store,
        *,
        gigs: Gigs,
        gateway: Gateway,
        cashier: Cashier,
        provider_events: Notices,
        policy: PaymentPolicy,
        timeouts: Timeouts,
        reader: Reader,
    ) -> None:
        OrderHandlers.__init__(self, store, gigs, cashier, policy, timeouts)
        MoneyHandlers.__init__(self, store, gateway, policy.policy.currency)
        ReportHandlers.__init__(self, provider_events, reader)
