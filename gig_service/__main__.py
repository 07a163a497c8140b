"""`python -m gig_service`: one worker of GigService."""

from gig_service.settings import Settings
from gig_service.worker import MIGRATIONS, build
from servicekit.server import run
from servicekit.settings import load

if __name__ == "__main__":
    settings = load(Settings)
    run(settings, settings.gig_database_url, MIGRATIONS, lambda database: build(settings, database))
