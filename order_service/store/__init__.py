"""OrderService's database, behind one facade: every model and every statement stands in this folder."""

from contextlib import AbstractContextManager

from order_service.store.orders import Orders
from servicekit.database import Database


class Store:
    """OrderService's database. What is written in a `transaction` becomes visible together, or not at all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.orders = Orders(database)

    def transaction(self) -> AbstractContextManager[None]:
        """All that is written inside, or nothing when anything is raised."""
        return self._database.transaction()
