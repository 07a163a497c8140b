"""`python -m order_service`: one worker of OrderService."""

from pathlib import Path

from order_service.gigs import Gigs
from order_service.payments.providers import payments_from
from order_service.service import Service
from order_service.settings import Settings
from servicekit.database import Database
from servicekit.server import ServiceSpec, run, service_tokens
from servicekit.settings import load

MIGRATIONS = Path(__file__).parent / "migrations"


def main() -> None:
    """Serves until it is told to stop."""
    settings = load(Settings)
    payments, others = payments_from(settings)

    def build(database: Database) -> ServiceSpec:
        gigs = Gigs(settings.gig_service_addresses, service_tokens(settings, "order"))
        return Service(settings, database, gigs, payments).served()

    run(settings, settings.order_database_url, MIGRATIONS, build, others)


if __name__ == "__main__":
    main()
