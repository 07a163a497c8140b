"""Sellers and their names. The totals of their reviews are in ratings.py."""

from uuid import UUID

import peewee

from gig_service.store.models import SellerRow
from servicekit.database import Database


class Sellers:
    """The sellers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, seller_id: UUID, username: str) -> None:
        """Store the seller with the name of their access token, which may be new; an empty name changes nothing.

        A new name raises the seller's version, since all their gigs show it.
        """
        (
            SellerRow.insert(id=seller_id, username=username, version=1, buyer_count=0, buyer_rating_sum=0)
            .on_conflict(
                conflict_target=[SellerRow.id],
                update={SellerRow.username: peewee.EXCLUDED.username, SellerRow.version: SellerRow.version + 1},
                where=(peewee.EXCLUDED.username != "") & (peewee.EXCLUDED.username != SellerRow.username),
            )
            .execute(self._database.peewee)
        )
