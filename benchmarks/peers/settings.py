"""The settings of the peers, from the environment, and what all of them share."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

# A count of results is exact up to this number, as the product's.
EXACT_TOTAL = 1000
CONFLICT, NOT_FOUND = 409, 404

Sort = Literal["rating", "newest", "price", "-price"]
# The columns of each order, all in one direction; the last one breaks every tie.
SORTS: dict[Sort, tuple[str, ...]] = {
    "rating": ("rating", "review_count", "gig_id"),
    "newest": ("created_at", "gig_id"),
    "price": ("price", "gig_id"),
    "-price": ("price", "gig_id"),
}


class PeerSettings(BaseSettings):
    """The environment of a peer."""

    model_config = SettingsConfigDict(env_prefix="PEER_")

    database_url: str
    media_url: str = ""
    # Connections of each process.
    pool: int = 8
    # A file with the public keys that tokens are checked with, and what the tokens must say; for orders.
    jwks: str = ""
    issuer: str = ""
    audience: str = ""


class SearchQuery(BaseModel):
    """The parameters of a search that browses: no words."""

    model_config = ConfigDict(populate_by_name=True)

    category: str | None = None
    min_price: Decimal | None = Field(None, alias="minPrice", ge=0)
    max_price: Decimal | None = Field(None, alias="maxPrice", ge=0)
    max_delivery_days: int | None = Field(None, alias="maxDeliveryDays", ge=1)
    min_rating: Decimal | None = Field(None, alias="minRating", ge=0, le=5)
    tags: list[str] = []
    sort: Sort = "rating"
    page_size: int = Field(20, alias="pageSize", ge=1, le=100)
    page_token: str = Field("", alias="pageToken")

    @property
    def is_of_package(self) -> bool:
        """Whether a filter is about packages."""
        return any(value is not None for value in (self.min_price, self.max_price, self.max_delivery_days))

    @property
    def after(self) -> list[Any] | None:
        """The sort key that the page begins behind; None for the first page."""
        return json.loads(base64.urlsafe_b64decode(self.page_token)) if self.page_token else None


Search = Annotated[SearchQuery, Query()]


def page_token(key: list[Any]) -> str:
    """Return the token of the page behind this sort key."""
    return base64.urlsafe_b64encode(json.dumps([str(part) for part in key]).encode()).decode()
