"""The payment provider that the settings name: its gateway, and the way its events reach us."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from order_service.payments.event_source import EventSource
from order_service.payments.gateway import Gateway, ProviderEvent
from order_service.payments.sandbox.gateway import MIGRATIONS, Sandbox
from order_service.settings import PaymentSettings
from servicekit.database import Database
from servicekit.errors import InvalidArgument, Violation


@dataclass(frozen=True)
class Payments:
    """A payment provider. It is polled for its `events`; Stripe also sends webhooks (`parse_webhook`).

    `parse_webhook` takes body and signature, returns None for an event of no interest, and raises InvalidArgument.
    `awaiting_completion` returns orders that the provider waits for, and `on_completed` is told when one of them is
    COMPLETED: a card of the sandbox is charged back then.
    """

    gateway: Gateway
    parse_webhook: Callable[[bytes, str], ProviderEvent | None]
    events: EventSource
    awaiting_completion: Callable[[], list[UUID]]
    on_completed: Callable[[UUID], object]


def sandbox_payments(database: Database) -> Payments:
    """Return the sandbox, with its own records in this database."""
    sandbox = Sandbox(database)
    return Payments(sandbox, refuse_webhook, sandbox, sandbox.awaiting_completion, sandbox.report_completion)


def stripe_payments(api_key: str, webhook_secret: str, currency: str, api_base: str | None) -> Payments:
    """Return Stripe, with the deployment's keys."""
    # Not at the top: with the sandbox a worker does without the time and memory that Stripe's library takes.
    from order_service.payments.stripe.events import webhook_parser
    from order_service.payments.stripe.gateway import StripeGateway

    gateway = StripeGateway(api_key, currency, api_base)
    return Payments(gateway, webhook_parser(webhook_secret), gateway.events, list, lambda order_id: None)


def payments_from(settings: PaymentSettings) -> tuple[Payments, list[tuple[Database, Path]]]:
    """Return the payment provider that the settings name, and the databases that it needs, with their migrations."""
    if settings.stripe_keys is not None:
        return stripe_payments(*settings.stripe_keys, settings.currency, settings.stripe_api_base), []
    database = Database(str(settings.sandbox_database_url))
    return sandbox_payments(database), [(database, MIGRATIONS)]


def refuse_webhook(payload: bytes, signature: str) -> ProviderEvent | None:
    """Refuse every webhook: Stripe alone sends them, and this deployment does not use Stripe."""
    raise InvalidArgument([Violation("stripe-signature", "is not Stripe's")])
