"""The parts of one OrderService worker, put together around its database and its payment provider."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from marketplace.conversation.v1 import conversation_pb2, conversation_pb2_grpc
from marketplace.offer.v1 import offer_pb2, offer_pb2_grpc
from marketplace.order.v1 import order_pb2, order_pb2_grpc
from marketplace.webhook.v1 import webhook_pb2, webhook_pb2_grpc
from order_service.commands.accept_order import AcceptOrder
from order_service.commands.adjust_balance import AdjustBalance
from order_service.commands.block_user import BlockUser
from order_service.commands.capture_offer import CaptureOffer
from order_service.commands.change_order import ChangeOrder
from order_service.commands.close_offer import DeclineOffer, WithdrawOffer
from order_service.commands.create_webhook_endpoint import CreateWebhookEndpoint
from order_service.commands.delete_webhook_endpoint import DeleteWebhookEndpoint
from order_service.commands.deliver_order import DeliverOrder
from order_service.commands.encrypt_webhook_secrets import EncryptWebhookSecrets
from order_service.commands.expire_offer import ExpireOffer
from order_service.commands.finish_accepting import FinishAccepting
from order_service.commands.finish_placing import FinishPlacing
from order_service.commands.give_up_placing import GiveUpPlacing
from order_service.commands.make_offer import MakeOffer
from order_service.commands.mark_read import MarkRead
from order_service.commands.place_order import PlaceOrder
from order_service.commands.record_provider_event import RecordProviderEvent
from order_service.commands.record_report import RecordReport
from order_service.commands.record_transfer import RecordTransfer
from order_service.commands.recover_attempt import RecoverAttempt
from order_service.commands.refund_order import RefundOrder
from order_service.commands.refund_payment import RefundPayment
from order_service.commands.release_payout_hold import ReleasePayoutHold
from order_service.commands.remind_of_order import RemindOfOrder
from order_service.commands.remove_message import RemoveMessage
from order_service.commands.request_payout import RequestPayout
from order_service.commands.retry_webhook_delivery import RetryWebhookDelivery
from order_service.commands.send_message import SendMessage
from order_service.commands.send_payout import SendPayout
from order_service.commands.send_webhook_delivery import SendWebhookDelivery
from order_service.commands.set_payout_account import SetPayoutAccount
from order_service.commands.set_payout_hold import SetPayoutHold
from order_service.commands.start_conversation import StartConversation
from order_service.commands.time_out_order import TimeOutOrder
from order_service.commands.unblock_user import UnblockUser
from order_service.commands.void_payment import VoidPayment
from order_service.commands.wake_attempt import WakeAttempt
from order_service.commands.writing import Writing
from order_service.convert.conversations import to_started
from order_service.convert.offers import to_made
from order_service.convert.orders import to_placed
from order_service.convert.webhooks import to_body
from order_service.domain.payment import PaymentPolicy
from order_service.domain.placing import OrderPolicy
from order_service.gigs import Gigs
from order_service.names import Names
from order_service.payments.instrumented import InstrumentedGateway
from order_service.payments.providers import Payments
from order_service.servicer.conversations import ConversationCommands, ConversationServicer
from order_service.servicer.offers import OfferServicer
from order_service.servicer.servicer import OrderServicer
from order_service.servicer.webhooks import WebhookServicer
from order_service.settings import Settings
from order_service.store.store import Store
from order_service.webhooks.places import DeliveryPlaces
from order_service.webhooks.resolver import Resolver
from order_service.webhooks.secrets import SecretBox
from order_service.webhooks.sender import Sender
from order_service.workers.offer_expiry import OfferExpiry
from order_service.workers.order_timeouts import OrderTimeouts
from order_service.workers.outbox_topics import outbox_topics
from order_service.workers.payment_recovery import PaymentRecovery
from order_service.workers.provider_events import ProviderEventPolling
from order_service.workers.reminders import Reminders
from order_service.workers.webhook_sweep import WebhookSweep
from servicekit.database import Database
from servicekit.idempotency import IdempotencyKeys, ResponseStore
from servicekit.outbox import Relay
from servicekit.periodic import PeriodicTask
from servicekit.server import Service, ServiceSpec, service_tokens

MIGRATIONS = Path(__file__).parent / "migrations"
TIMEOUTS_SECONDS = 1.0
REMINDERS_SECONDS = 1.0
RECOVERY_SECONDS = 0.5
PROVIDER_EVENTS_SECONDS = 0.5
OFFER_EXPIRY_SECONDS = 5.0
WEBHOOK_SWEEP_SECONDS = 60.0


class Worker:
    """A worker's servicers and its background work. `sender` replaces the one that calls receivers of webhooks."""

    def __init__(
        self, settings: Settings, database: Database, gigs: Gigs, payments: Payments, sender: Sender | None = None
    ) -> None:
        self._database = database
        self._payment_calls = settings.payment_calls
        self.store = store = Store(database)
        self.names = Names(store)
        self.idempotency_keys = idempotency_keys = IdempotencyKeys(database, settings.idempotency_key_lifetime)
        self.gateway = gateway = InstrumentedGateway(payments.gateway)
        timeouts = settings.timeouts
        payment_policy = PaymentPolicy(settings.payments, needs_token=gateway.needs_token)
        order_policy = OrderPolicy(settings.currency, settings.commission_percent, gateway.minimum)

        limits = settings.attempt_limits
        self.give_up_placing = give_up = GiveUpPlacing(store, gateway, idempotency_keys)
        responses = ResponseStore(idempotency_keys, to_placed)
        record_report = RecordReport(store)
        capture_offer = CaptureOffer(store, gateway, responses, give_up, record_report, limits)
        finish_placing = FinishPlacing(store, gateway, idempotency_keys, responses, give_up, capture_offer, limits)
        self.record_event = record_event = RecordProviderEvent(
            store, record_report, RecordTransfer(store), WakeAttempt(store)
        )
        finish_accepting = FinishAccepting(store, gateway, record_report)
        self.servicer = OrderServicer(
            store,
            timeouts=timeouts,
            currency=settings.currency,
            parse_webhook=payments.parse_webhook,
            place_order=PlaceOrder(
                store, idempotency_keys, gigs, finish_placing, give_up, payment_policy, order_policy, limits
            ),
            accept_order=AcceptOrder(store, finish_accepting, timeouts),
            change_order=ChangeOrder(store, timeouts),
            deliver_order=DeliverOrder(store, timeouts),
            refund_order=RefundOrder(store, timeouts),
            request_payout=RequestPayout(store, settings.currency, needs_account=gateway.needs_token),
            set_payout_account=SetPayoutAccount(store, gateway),
            set_payout_hold=SetPayoutHold(store),
            release_payout_hold=ReleasePayoutHold(store),
            adjust_balance=AdjustBalance(store),
            record_event=record_event,
        )
        self.order_timeouts = OrderTimeouts(store, TimeOutOrder(store, timeouts), timeouts)
        remind_of_order = RemindOfOrder(store, timeouts, settings.leads)
        self.reminders = Reminders(store, remind_of_order, timeouts, settings.leads)
        recover_attempt = RecoverAttempt(store, finish_placing, finish_accepting, give_up, limits)
        self.payment_recovery = PaymentRecovery(database, store, recover_attempt)
        self.provider_events = ProviderEventPolling(store, payments, record_event)
        self.send_payout = SendPayout(store, gateway)

        self.writing = writing = Writing(store, settings.limits)
        self.conversation_servicer = ConversationServicer(
            store,
            ConversationCommands(
                StartConversation(store, gigs, writing, idempotency_keys, ResponseStore(idempotency_keys, to_started)),
                SendMessage(store, writing),
                MarkRead(store),
                RemoveMessage(store),
                BlockUser(store),
                UnblockUser(store),
            ),
        )

        self.offer_servicer = OfferServicer(
            store,
            MakeOffer(store, gigs, writing, idempotency_keys, ResponseStore(idempotency_keys, to_made), order_policy),
            WithdrawOffer(store),
            DeclineOffer(store),
        )
        self.offer_expiry = OfferExpiry(store, ExpireOffer(store))

        secret_box = SecretBox(settings.webhook_key_list)
        sender = sender or Sender(Resolver(), allow_private=settings.webhook_allow_private)
        self.webhook_servicer = WebhookServicer(
            store,
            CreateWebhookEndpoint(store, sender, secret_box),
            DeleteWebhookEndpoint(store),
            RetryWebhookDelivery(store),
        )
        self.webhook_sweep = WebhookSweep(store, EncryptWebhookSecrets(store, secret_box))
        render = partial(to_body, timeouts=timeouts)
        self.topics = outbox_topics(
            VoidPayment(store, gateway, record_report),
            RefundPayment(store, gateway, record_report),
            self.send_payout,
            SendWebhookDelivery(store, sender, DeliveryPlaces(), secret_box, render),
        )

    def spec(self) -> ServiceSpec:
        """Return what the process serves, and its background work."""
        return ServiceSpec(
            [
                Service(
                    self.servicer,
                    order_pb2.DESCRIPTOR.services_by_name["OrderService"],
                    order_pb2_grpc.add_OrderServiceServicer_to_server,
                ),
                Service(
                    self.webhook_servicer,
                    webhook_pb2.DESCRIPTOR.services_by_name["WebhookService"],
                    webhook_pb2_grpc.add_WebhookServiceServicer_to_server,
                ),
                Service(
                    self.conversation_servicer,
                    conversation_pb2.DESCRIPTOR.services_by_name["ConversationService"],
                    conversation_pb2_grpc.add_ConversationServiceServicer_to_server,
                ),
                Service(
                    self.offer_servicer,
                    offer_pb2.DESCRIPTOR.services_by_name["OfferService"],
                    offer_pb2_grpc.add_OfferServiceServicer_to_server,
                ),
            ],
            background=[
                Relay(self._database, self.topics),
                PeriodicTask("order timeouts", self.order_timeouts.move_due, TIMEOUTS_SECONDS, self._database),
                PeriodicTask("reminders", self.reminders.remind_due, REMINDERS_SECONDS, self._database),
                PeriodicTask("payment recovery", self.payment_recovery.recover_due, RECOVERY_SECONDS, self._database),
                PeriodicTask(
                    "provider events", self.provider_events.record_pending, PROVIDER_EVENTS_SECONDS, self._database
                ),
                PeriodicTask("offer expiry", self.offer_expiry.expire_due, OFFER_EXPIRY_SECONDS, self._database),
                PeriodicTask("webhook sweep", self.webhook_sweep.sweep, WEBHOOK_SWEEP_SECONDS, self._database),
            ],
            idempotency_keys=self.idempotency_keys,
            outside_threads=self._payment_calls,
            note_caller=self.names.note,
        )


def build(settings: Settings, database: Database, payments: Payments) -> ServiceSpec:
    """Return what the worker serves, and its background work."""
    gigs = Gigs(settings.gig_service_addresses, service_tokens(settings, "order"), settings.tls)
    return Worker(settings, database, gigs, payments).spec()
