"""The payment provider that the settings name: its gateway, and the way its events reach us."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from order_service.payments.gateway import ConfirmationReport, Gateway, ProviderEvent
from order_service.payments.sandbox.gateway import MIGRATIONS, Sandbox
from order_service.payments.stripe.events import webhook_parser
from order_service.payments.stripe.gateway import StripeGateway
from order_service.settings import PaymentSettings
from servicekit.database import Database
from servicekit.errors import InvalidArgument, Violation


@dataclass(frozen=True)
class Payments:
    """A payment provider. Stripe sends webhooks (`parse_webhook`); the sandbox is polled for its events.

    `parse_webhook` takes body and signature, returns None for an event of no interest, and raises InvalidArgument.
    `pending_events` returns up to so many events, which come again until they are passed to `acknowledge` by id.
    """

    gateway: Gateway
    parse_webhook: Callable[[bytes, str], ProviderEvent | ConfirmationReport | None]
    pending_events: Callable[[int], list[ProviderEvent]]
    acknowledge: Callable[[str], None]


def sandbox_payments(database: Database) -> Payments:
    """Return the sandbox, with its own records in this database."""
    sandbox = Sandbox(database)
    return Payments(sandbox, refuse_webhook, sandbox.pending_events, sandbox.acknowledge)


def stripe_payments(api_key: str, webhook_secret: str, currency: str, api_base: str | None) -> Payments:
    """Return Stripe, with the deployment's keys."""
    gateway = StripeGateway(api_key, currency, api_base)
    return Payments(gateway, webhook_parser(webhook_secret), lambda limit: [], lambda event_id: None)


def payments_from(settings: PaymentSettings) -> tuple[Payments, list[tuple[Database, Path]]]:
    """Return the payment provider that the settings name, and the databases that it needs, with their migrations."""
    if settings.stripe_keys is not None:
        return stripe_payments(*settings.stripe_keys, settings.currency, settings.stripe_api_base), []
    database = Database(str(settings.sandbox_database_url))
    return sandbox_payments(database), [(database, MIGRATIONS)]


def refuse_webhook(payload: bytes, signature: str) -> ProviderEvent | None:
    """Refuse every webhook: Stripe alone sends them, and this deployment does not use Stripe."""
    raise InvalidArgument([Violation("stripe-signature", "is not Stripe's")])
