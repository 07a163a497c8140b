"""What is known of sellers: their names. What reviews made of them is in ratings.py."""

from uuid import UUID

import peewee

from gig_service.store.models import SellerRow
from servicekit.database import Database


class Sellers:
    """The sellers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, seller_id: UUID, username: str) -> None:
        """Makes the seller known, or gives them the name of their latest write; a token without a name changes none.

        The version grows with another name, since all their gigs show it.
        """
        (
            SellerRow.insert(id=seller_id, username=username, version=1, review_count=0, rating_sum=0)
            .on_conflict(
                conflict_target=[SellerRow.id],
                update={SellerRow.username: peewee.EXCLUDED.username, SellerRow.version: SellerRow.version + 1},
                where=(peewee.EXCLUDED.username != "") & (peewee.EXCLUDED.username != SellerRow.username),
            )
            .execute(self._database.peewee)
        )
