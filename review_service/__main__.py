"""`python -m review_service`: one worker of ReviewService."""

from review_service.settings import Settings
from review_service.worker import MIGRATIONS, build
from servicekit.server import run
from servicekit.settings import load

if __name__ == "__main__":
    settings = load(Settings)
    run(settings, settings.review_database_url, MIGRATIONS, lambda database: build(settings, database))
