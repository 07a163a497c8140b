"""The class that gRPC calls: the handlers about orders, about money, and of provider events."""

from order_service.commands.accept_order import AcceptOrder
from order_service.commands.adjust_balance import AdjustBalance
from order_service.commands.change_order import ChangeOrder
from order_service.commands.deliver_order import DeliverOrder
from order_service.commands.place_order import PlaceOrder
from order_service.commands.record_provider_event import RecordProviderEvent
from order_service.commands.refund_order import RefundOrder
from order_service.commands.release_payout_hold import ReleasePayoutHold
from order_service.commands.request_payout import RequestPayout
from order_service.commands.set_payout_account import SetPayoutAccount
from order_service.commands.set_payout_hold import SetPayoutHold
from order_service.domain.lifecycle import Timeouts
from order_service.servicer.money import MoneyHandlers
from order_service.servicer.orders import OrderHandlers
from order_service.servicer.provider_events import ProviderEventHandlers, WebhookParser
from order_service.store.store import Store


class OrderServicer(OrderHandlers, MoneyHandlers, ProviderEventHandlers):
    """The RPCs of `marketplace.order.v1.OrderService`."""

    def __init__(
        self,
        store: Store,
        *,
        timeouts: Timeouts,
        currency: str,
        parse_webhook: WebhookParser,
        place_order: PlaceOrder,
        accept_order: AcceptOrder,
        change_order: ChangeOrder,
        deliver_order: DeliverOrder,
        refund_order: RefundOrder,
        request_payout: RequestPayout,
        set_payout_account: SetPayoutAccount,
        set_payout_hold: SetPayoutHold,
        release_payout_hold: ReleasePayoutHold,
        adjust_balance: AdjustBalance,
        record_event: RecordProviderEvent,
    ) -> None:
        OrderHandlers.__init__(
            self, store, timeouts, place_order, accept_order, change_order, deliver_order, refund_order
        )
        MoneyHandlers.__init__(
            self,
            store,
            currency,
            request_payout,
            set_payout_account,
            set_payout_hold,
            release_payout_hold,
            adjust_balance,
        )
        ProviderEventHandlers.__init__(self, parse_webhook, record_event)
