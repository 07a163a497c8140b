"""`python -m order_service.events`: the process of watches and the feed."""

from order_service.events.process import build
from order_service.settings import EventSettings
from order_service.worker import MIGRATIONS
from servicekit.aio import run_aio
from servicekit.settings import load

if __name__ == "__main__":
    settings = load(EventSettings)
    run_aio(settings, settings.order_database_url, MIGRATIONS, lambda database: build(settings, database))
