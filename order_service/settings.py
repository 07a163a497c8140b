"""Settings of an OrderService process."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field

from order_service.domain.currency import check_currency
from order_service.domain.lifecycle import Patience
from order_service.domain.payment import Provider
from servicekit.settings import Addresses, ServiceSettings


class Settings(ServiceSettings):
    """What OrderService has to know beside what every service does."""

    order_database_url: str = Field(description="OrderService's database: a libpq URL.")
    gig_service_addresses: Addresses = Field(description="The workers of GigService: host:port,host:port.")
    currency: Annotated[str, AfterValidator(check_currency)] = Field(
        "USD", description="The deployment's one currency: ISO 4217, with two decimals."
    )
    # Without a default, so that a lost setting never gives work away.
    payments: Provider = Field(description="Who handles payments: `stripe`, or `sandbox`, which moves no money.")
    commission_percent: Decimal = Field(
        Decimal(10),
        ge=0,
        le=100,
        decimal_places=2,
        description="The marketplace's share of each sale, in percent; an order keeps the one of its placing.",
    )
    # At most six days: a card's authorisation lasts about seven.
    order_expire_hours: int = Field(
        48, ge=1, le=144, description="Hours after its placing at which an order that is still PENDING is CANCELLED."
    )
    order_auto_complete_hours: int = Field(
        72,
        ge=1,
        le=8760,
        description="Hours after the last delivery at which a DELIVERED order is COMPLETED by itself.",
    )

    @property
    def patience(self) -> Patience:
        """How long orders wait for people."""
        return Patience(timedelta(hours=self.order_expire_hours), timedelta(hours=self.order_auto_complete_hours))
