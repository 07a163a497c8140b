"""`python -m order_service`: one worker of OrderService."""

from pathlib import Path

from order_service.gigs import Gigs
from order_service.payments.providers import payments_from
from order_service.settings import Settings
from order_service.worker import Worker
from servicekit.database import Database
from servicekit.server import ServiceSpec, run, service_tokens
from servicekit.settings import load

MIGRATIONS = Path(__file__).parent / "migrations"


def main() -> None:
    """Serve until a signal to stop."""
    settings = load(Settings)
    payments, provider_databases = payments_from(settings)

    def build(database: Database) -> ServiceSpec:
        gigs = Gigs(settings.gig_service_addresses, service_tokens(settings, "order"))
        return Worker(settings, database, gigs, payments).spec()

    run(settings, settings.order_database_url, MIGRATIONS, build, provider_databases)


if __name__ == "__main__":
    main()
