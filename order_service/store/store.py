"""OrderService's database behind one facade."""

from contextlib import AbstractContextManager
from datetime import datetime
from uuid import UUID

from order_service.store.adjustments import Adjustments
from order_service.store.attempts import Attempts, attempt_lock
from order_service.store.blocks import Blocks
from order_service.store.conversations import Conversations
from order_service.store.feed import Feed
from order_service.store.feed_reader import FeedReader
from order_service.store.files import Files
from order_service.store.ledger import Ledger
from order_service.store.messages import Messages
from order_service.store.offer_lists import OfferLists
from order_service.store.offers import Offers
from order_service.store.order_lists import OrderLists
from order_service.store.orders import Orders
from order_service.store.payout_holds import PayoutHolds
from order_service.store.payouts import Payouts
from order_service.store.people import People
from order_service.store.provider_records import ProviderRecords
from order_service.store.put_off_orders import PutOffOrders
from order_service.store.token_buckets import TokenBuckets
from order_service.store.webhook_deliveries import WebhookDeliveries
from order_service.store.webhook_endpoints import WebhookEndpoints
from servicekit.advisory_lock import advisory_lock, held_lock, unlock_with_commit
from servicekit.clock import Clock
from servicekit.database import Database
from servicekit.outbox import Outbox


class Store:
    """OrderService's database. Everything that is written in a `transaction` becomes visible together, or not at all.

    All writers lock rows in this order, so that no two of them ever wait for each other:

    1. the idempotency key of a call that binds it before its handler runs, or the id of a provider event,
    2. the seller's payout hold: an advisory lock, shared by those who request or send a payout,
    3. the user's token buckets: an advisory lock,
    4. the conversation; where there is none yet, the pair of its two sides, in its index,
    5. the offer,
    6. the attempt,
    7. the order or the payout: one in a transaction,
    8. the files that are sent or removed, by their ids,
    9. the idempotency key that the attempt is bound to,
    10. the order's refunds and chargebacks,
    11. the ledger accounts of sellers: the sellers by their ids, the accounts of each seller by theirs.

    New rows wait for nobody: an order that is not being captured has no attempt, and rows of the history, the feed, the
    outbox, the ledger, payouts and webhook deliveries have ids of their own. Their foreign keys share the locks of rows
    that the transaction has locked before, or of rows that nobody locks. A row of `put_off_orders` is written alone.
    The advisory lock on a user's unsent files is the only one of the transaction that stores an upload; the one that
    removes all files of a user takes it before the files.
    The name of a user is written alone, or, as that of a gig's owner, with a new conversation, after which nothing of
    the above is locked but files.
    Transactions about webhooks lock nothing of the above: they lock a delivery, then its endpoint.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clock = Clock(database)
        outbox = Outbox(database)
        self.ledger = Ledger(database)
        self.webhook_endpoints = WebhookEndpoints(database)
        self.webhook_deliveries = WebhookDeliveries(database, outbox)
        self.feed = Feed(database, self.webhook_deliveries)
        self.feed_reader = FeedReader(database)
        self.files = Files(database, outbox)
        self.people = People(database)
        self.blocks = Blocks(database)
        self.token_buckets = TokenBuckets(database)
        self.conversations = Conversations(database)
        self.messages = Messages(database, self.conversations, self.people, self.files, self.feed)
        self.orders = Orders(database, self.ledger, outbox)
        self.order_lists = OrderLists(database)
        self.payouts = Payouts(database, outbox)
        self.payout_holds = PayoutHolds(database)
        self.adjustments = Adjustments(database)
        self.attempts = Attempts(database)
        self.provider_records = ProviderRecords(database)
        self.put_off_orders = PutOffOrders(database)
        self.offers = Offers(database)
        self.offer_lists = OfferLists(database)

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return self._clock.now()

    def transaction(self, name: str) -> AbstractContextManager[None]:
        """Commit everything that the block writes, or nothing when it raises. The name names its crash points."""
        return self._database.transaction(name)

    def attempt_lock(self, order_id: UUID) -> AbstractContextManager[bool]:
        """Try to take the advisory lock on the order's attempt; yield whether this call holds it.

        Only its holder begins, continues or finishes an attempt. The lock ends with the holder's connection.
        """
        return advisory_lock(self._database, attempt_lock(order_id))

    def scan_lock(self, file_id: UUID) -> AbstractContextManager[bool]:
        """Try to take the advisory lock on the scan of a file; yield whether this process holds it."""
        return advisory_lock(self._database, f"scan:{file_id}")

    def new_attempt_lock(self, order_id: UUID) -> AbstractContextManager[None]:
        """Hold the lock on an attempt that this call has just begun, until the end of the block or of the attempt."""
        return held_lock(self._database, attempt_lock(order_id))

    def unlock_attempt_with_commit(self, order_id: UUID) -> None:
        """Release the lock on the attempt, if this call holds it, with the transaction that ends the attempt."""
        unlock_with_commit(self._database, attempt_lock(order_id))
