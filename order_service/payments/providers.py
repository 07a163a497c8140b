"""The payment provider that the settings name, with how it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from order_service.payments.gateway import Gateway, ProviderEvent
from order_service.payments.sandbox.gateway import MIGRATIONS, Sandbox
from order_service.payments.stripe.events import reader
from order_service.payments.stripe.gateway import StripeGateway
from order_service.settings import PaymentSettings
from servicekit.database import Database
from servicekit.errors import InvalidArgument, Violation


@dataclass(frozen=True)
class Payments:
    """A provider. Stripe calls us (`read_event`), the sandbox waits to be asked (`provider_events`, `taken`)."""

    gateway: Gateway
    read_event: Callable[[bytes, str], ProviderEvent | None]
    provider_events: Callable[[int], list[ProviderEvent]]
    taken: Callable[[str], None]


def sandbox_payments(book: Database) -> Payments:
    """The sandbox, with its own book in this database."""
    sandbox = Sandbox(book)
    return Payments(sandbox, refuse_event, sandbox.provider_events, sandbox.taken)


def stripe_payments(api_key: str, webhook_secret: str, currency: str, api_base: str | None) -> Payments:
    """Stripe, with the deployment's keys."""
    gateway = StripeGateway(api_key, currency, api_base)
    return Payments(gateway, reader(webhook_secret), lambda limit: [], lambda event_id: None)


def payments_from(settings: PaymentSettings) -> tuple[Payments, list[tuple[Database, Path]]]:
    """The payment provider that the settings name, and the database that it needs, with its migrations."""
    if settings.stripe_keys is not None:
        return stripe_payments(*settings.stripe_keys, settings.currency, settings.stripe_api_base), []
    book = Database(str(settings.sandbox_database_url))
    return sandbox_payments(book), [(book, MIGRATIONS)]


def refuse_event(payload: bytes, signature: str) -> ProviderEvent | None:
    """Nobody but Stripe calls, and Stripe is not what this deployment runs on."""
    raise InvalidArgument([Violation("stripe-signature", "is not Stripe's")])
