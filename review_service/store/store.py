"""ReviewService's store."""

from contextlib import AbstractContextManager

from review_service.store.rating_audit import RatingAudit
from review_service.store.review_lists import ReviewLists
from review_service.store.reviews import Reviews
from servicekit.clock import Clock
from servicekit.database import Database
from servicekit.outbox import Outbox


class Store:
    """ReviewService's database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.reviews = Reviews(database, Clock(database), Outbox(database))
        self.review_lists = ReviewLists(database)
        self.rating_audit = RatingAudit(database)

    def transaction(self, name: str) -> AbstractContextManager[None]:
        """Commit everything that the block writes, or nothing when it raises. The name names its crash points."""
        return self._database.transaction(name)
