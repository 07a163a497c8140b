"""`python -m order_service`: one worker of OrderService."""

from pathlib import Path

from order_service.gigs import Gigs
from order_service.payments import sandbox
from order_service.payments.providers import Payments, by_stripe, sandboxed
from order_service.service import Service
from order_service.settings import Settings
from servicekit.database import Database
from servicekit.server import Served, run, service_tokens
from servicekit.settings import load

MIGRATIONS = Path(__file__).parent / "migrations"


def payments_of(settings: Settings) -> tuple[Payments, list[tuple[Database, Path]]]:
    """The payment provider that the settings name, and the database that it needs, with its migrations."""
    if settings.stripe_keys is not None:
        return by_stripe(*settings.stripe_keys, settings.currency, settings.stripe_api_base), []
    book = Database(str(settings.sandbox_database_url))
    return sandboxed(book), [(book, sandbox.MIGRATIONS)]


def main() -> None:
    """Serves until it is told to stop."""
    settings = load(Settings)
    payments, others = payments_of(settings)

    def build(database: Database) -> Served:
        gigs = Gigs(settings.gig_service_addresses, service_tokens(settings, "order"))
        return Service(settings, database, gigs, payments).served()

    run(settings, settings.order_database_url, MIGRATIONS, build, others)


if __name__ == "__main__":
    main()
