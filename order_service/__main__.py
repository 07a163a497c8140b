"""`python -m order_service`: one worker of OrderService."""

from order_service.payments.providers import payments_from
from order_service.settings import Settings
from order_service.worker import MIGRATIONS, build
from servicekit.server import run
from servicekit.settings import load

if __name__ == "__main__":
    settings = load(Settings)
    payments, databases = payments_from(settings)
    run(
        settings,
        settings.order_database_url,
        MIGRATIONS,
        lambda database: build(settings, database, payments),
        databases,
    )
