"""`python -m order_service`: one worker of OrderService."""

from pathlib import Path

from marketplace.order.v1 import order_pb2, order_pb2_grpc
from order_service.gigs import Gigs
from order_service.servicer import OrderServicer
from order_service.settings import Settings
from order_service.store import Store
from order_service.timekeeper import Timekeeper
from servicekit.database import Database
from servicekit.server import Served, run, service_tokens
from servicekit.settings import load


def main() -> None:
    """Serves until it is told to stop."""
    settings = load(Settings)

    def build(database: Database) -> Served:
        gigs = Gigs(settings.gig_service_addresses, service_tokens(settings, "order"))
        store = Store(database)
        servicer = OrderServicer(
            store, gigs, payments=settings.payments, currency=settings.currency, patience=settings.patience
        )
        timekeeper = Timekeeper(store, database, settings.patience)
        descriptor = order_pb2.DESCRIPTOR.services_by_name["OrderService"]
        return Served(servicer, descriptor, order_pb2_grpc.add_OrderServiceServicer_to_server, background=[timekeeper])

    run(settings, settings.order_database_url, Path(__file__).parent / "migrations", build)


if __name__ == "__main__":
    main()
