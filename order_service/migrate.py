"""`python -m order_service.migrate`: bring OrderService's database up to date, and the sandbox's where it is used."""

from pydantic import Field
from pydantic_settings import BaseSettings

from order_service.payments.sandbox.gateway import MIGRATIONS as SANDBOX_MIGRATIONS
from order_service.worker import MIGRATIONS
from servicekit.migrate import run
from servicekit.settings import load


class Settings(BaseSettings):
    """The databases; a worker's other settings are not needed."""

    order_database_url: str = Field(description="OrderService's database: a libpq URL.")
    sandbox_database_url: str | None = Field(None, description="The sandbox's database, with PAYMENTS=sandbox.")


if __name__ == "__main__":
    settings = load(Settings)
    sandbox = [(settings.sandbox_database_url, SANDBOX_MIGRATIONS)] if settings.sandbox_database_url else []
    run([(settings.order_database_url, MIGRATIONS), *sandbox])
