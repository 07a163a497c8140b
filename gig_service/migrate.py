"""`python -m gig_service.migrate`: bring GigService's database up to date."""

from pydantic import Field
from pydantic_settings import BaseSettings

from gig_service.worker import MIGRATIONS
from servicekit.migrate import run
from servicekit.settings import load


class Settings(BaseSettings):
    """The database; a worker's other settings are not needed."""

    gig_database_url: str = Field(description="GigService's database: a libpq URL.")


if __name__ == "__main__":
    settings = load(Settings)
    run([(settings.gig_database_url, MIGRATIONS)])
