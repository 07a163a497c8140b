"""The payment provider that the settings name, with how it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from order_service.payments.gateway import Gateway, Notice
from order_service.payments.sandbox import MIGRATIONS, Sandbox
from order_service.payments.stripe_gateway import StripeGateway
from order_service.payments.stripe_gateway.events import reader
from order_service.settings import PaymentSettings
from servicekit.database import Database
from servicekit.errors import InvalidArgument, Violation


@dataclass(frozen=True)
class Payments:
    """A provider. Stripe calls us (`read_event`), the sandbox waits to be asked (`notices`, `taken`)."""

    gateway: Gateway
    read_event: Callable[[bytes, str], Notice | None]
    notices: Callable[[int], list[Notice]]
    taken: Callable[[str], None]


def sandboxed(book: Database) -> Payments:
    """The sandbox, with its own book in this database."""
    sandbox = Sandbox(book)
    return Payments(sandbox, refuse_event, sandbox.notices, sandbox.taken)


def by_stripe(api_key: str, webhook_secret: str, currency: str, api_base: str | None) -> Payments:
    """Stripe, with the deployment's keys."""
    gateway = StripeGateway(api_key, currency, api_base)
    return Payments(gateway, reader(webhook_secret), lambda limit: [], lambda event_id: None)


def payments_of(settings: PaymentSettings) -> tuple[Payments, list[tuple[Database, Path]]]:
    """The payment provider that the settings name, and the database that it needs, with its migrations."""
    if settings.stripe_keys is not None:
        return by_stripe(*settings.stripe_keys, settings.currency, settings.stripe_api_base), []
    book = Database(str(settings.sandbox_database_url))
    return sandboxed(book), [(book, MIGRATIONS)]


def refuse_event(payload: bytes, signature: str) -> Notice | None:
    """Nobody but Stripe calls, and Stripe is not what this deployment runs on."""
    raise InvalidArgument([Violation("stripe-signature", "is not Stripe's")])
