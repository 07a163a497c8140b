"""GigService's database, put together from the other modules of this folder."""

from contextlib import AbstractContextManager

from gig_service.store.categories import Categories
from gig_service.store.documents import Documents
from gig_service.store.gigs import Gigs
from gig_service.store.images import Images
from gig_service.store.packages import Packages
from gig_service.store.ratings import Ratings
from gig_service.store.search import Search
from gig_service.store.search_index import SearchIndex
from gig_service.store.sellers import Sellers
from gig_service.store.vocabulary import Vocabulary
from servicekit.database import Database
from servicekit.outbox import Outbox


class Store:
    """All data of GigService.

    Writers lock in one order, so that no two of them wait for each other: the gig, then its seller, then words.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        index = SearchIndex(database)
        self.categories = Categories(database)
        self.packages = Packages(database)
        self.vocabulary = Vocabulary(database)
        self.documents = Documents(database, self.vocabulary)
        self.gigs = Gigs(database, self.packages, index, self.documents)
        self.images = Images(database, self.gigs, Outbox(database))
        self.sellers = Sellers(database)
        self.ratings = Ratings(database, index)
        self.search = Search(database)

    def transaction(self) -> AbstractContextManager[None]:
        """Commit everything that the block writes, or nothing when it raises."""
        return self._database.transaction()
