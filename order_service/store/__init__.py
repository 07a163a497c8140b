"""OrderService's database, behind one facade: every model and every statement stands in this folder."""

from contextlib import AbstractContextManager
from uuid import UUID

from order_service.store.attempts import Attempts
from order_service.store.ledger import Ledger
from order_service.store.orders import Orders
from order_service.store.reports import Reports
from servicekit.database import Database
from servicekit.holding import hold
from servicekit.outbox import Outbox


class Store:
    """OrderService's database. What is written in a `transaction` becomes visible together, or not at all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.ledger = Ledger(database)
        self.orders = Orders(database, self.ledger, Outbox(database))
        self.attempts = Attempts(database)
        self.reports = Reports(database)

    def transaction(self, name: str = "") -> AbstractContextManager[None]:
        """All that is written inside, or nothing when anything is raised. Its commit is a crash point of this name."""
        return self._database.transaction(name)

    def hold(self, order_id: UUID) -> AbstractContextManager[bool]:
        """Whether nobody else is finishing what was begun for this order; if so, nobody else will be meanwhile."""
        return hold(self._database, f"attempt:{order_id}")
