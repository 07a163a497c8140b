"""Settings of a GigService process."""

from pydantic import Field

from servicekit.settings import ServiceSettings


class Settings(ServiceSettings):
    """What GigService has to know beside what every service does."""

    gig_database_url: str = Field(description="GigService's database: a libpq URL.")
