"""`python -m review_service.migrate`: bring ReviewService's database up to date."""

from pydantic import Field
from pydantic_settings import BaseSettings

from review_service.worker import MIGRATIONS
from servicekit.migrate import run
from servicekit.settings import load


class Settings(BaseSettings):
    """The database; a worker's other settings are not needed."""

    review_database_url: str = Field(description="ReviewService's database: a libpq URL.")


if __name__ == "__main__":
    settings = load(Settings)
    run([(settings.review_database_url, MIGRATIONS)])
