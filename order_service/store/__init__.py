"""OrderService's database, behind one facade: every model and every statement stands in this folder."""

from contextlib import AbstractContextManager
from datetime import datetime
from uuid import UUID

from order_service.store.attempts import Attempts
from order_service.store.ledger import Ledger
from order_service.store.orders import Orders
from order_service.store.payouts import Payouts
from order_service.store.reports import Reports
from servicekit.advisory_lock import advisory_lock
from servicekit.clock import Clock
from servicekit.database import Database
from servicekit.outbox import Outbox

# The outbox's topic for payouts that are to be made; its key is the payout's id, its payload empty.
PAYOUTS = "payout"


class Store:
    """OrderService's database. What is written in a `transaction` becomes visible together, or not at all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clock = Clock(database)
        self.outbox = Outbox(database)
        self.ledger = Ledger(database)
        self.orders = Orders(database, self.ledger, self.outbox)
        self.payouts = Payouts(database)
        self.attempts = Attempts(database)
        self.reports = Reports(database)

    def now(self) -> datetime:
        """The time, aware, in UTC."""
        return self._clock.now()

    def transaction(self, name: str) -> AbstractContextManager[None]:
        """All that is written inside, or nothing when anything is raised. Its commit is a crash point of this name."""
        return self._database.transaction(name)

    def hold(self, order_id: UUID) -> AbstractContextManager[bool]:
        """Whether nobody else is finishing what was begun for this order; if so, nobody else will be meanwhile."""
        return advisory_lock(self._database, f"attempt:{order_id}")
