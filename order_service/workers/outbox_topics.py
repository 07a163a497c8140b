"""The topics of OrderService's outbox: which command delivers a row."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from order_service.commands.refund_payment import RefundPayment
from order_service.commands.send_payout import SendPayout
from order_service.commands.send_webhook_delivery import SendWebhookDelivery
from order_service.commands.void_payment import VoidPayment
from order_service.domain.order import PaymentTask
from order_service.store.orders import PAYMENTS
from order_service.store.payouts import PAYOUTS
from order_service.store.webhook_deliveries import WEBHOOK
from order_service.webhooks import places
from servicekit.outbox import Message, Topic

# Deliveries at once by each worker, of voids and refunds and of payouts. A provider's call takes 0.3 to 1 s, so two
# workers make some thirty payouts a second, far below the hundred calls a second that Stripe takes from an account.
PAYMENTS_AT_ONCE = 8
PAYOUTS_AT_ONCE = 8


def outbox_topics(
    void_payment: VoidPayment,
    refund_payment: RefundPayment,
    send_payout: SendPayout,
    send_webhook_delivery: SendWebhookDelivery,
) -> Mapping[str, Topic]:
    """Return the topics with their deliveries. A delivery raises Unavailable when it has to be tried again."""
    payment_commands = {PaymentTask.VOID: void_payment.execute, PaymentTask.REFUND: refund_payment.execute}

    def deliver_payment_task(message: Message) -> None:
        payment_commands[PaymentTask(message.payload["task"])](UUID(message.key))

    def deliver_payout(message: Message) -> None:
        send_payout.execute(UUID(message.key))

    def deliver_webhook(message: Message) -> None:
        send_webhook_delivery.execute(UUID(message.key), message.version)

    return {
        PAYMENTS: Topic(deliver_payment_task, concurrency=PAYMENTS_AT_ONCE),
        PAYOUTS: Topic(deliver_payout, concurrency=PAYOUTS_AT_ONCE),
        WEBHOOK: Topic(deliver_webhook, concurrency=places.CALLS),
    }
