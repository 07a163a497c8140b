"""Settings of a ReviewService process."""

from typing import ClassVar

from pydantic import Field

from servicekit.settings import CallingSettings, Workers


class Settings(CallingSettings):
    """The settings of ReviewService, those of every service included."""

    program: ClassVar[str] = "review"

    review_database_url: str = Field(description="ReviewService's database: a libpq URL.")
    gig_service_addresses: Workers = Field(
        description="The workers of GigService: host:port,host:port, or one name for all."
    )
    order_service_addresses: Workers = Field(
        description="The workers of OrderService: host:port,host:port, or one name for all."
    )
