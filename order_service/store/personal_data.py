"""What OrderService knows of a user: their orders and conversations on both sides, their money, and their webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from servicekit.database import Database, Statement
from servicekit.personal_data import ERASED, IDEMPOTENCY_KEYS, Records

_BOUGHT = "order_id IN (SELECT id FROM orders WHERE buyer_id = $1)"
_SOLD = "order_id IN (SELECT id FROM orders WHERE seller_id = $1)"
_OF_ORDERS = (
    "order_id IN (SELECT id FROM orders WHERE buyer_id = $1 UNION ALL SELECT id FROM orders WHERE seller_id = $1)"
)
_TALKED = "conversation_id IN (SELECT id FROM conversations WHERE starter_id = $1 OR owner_id = $1)"
_OF_ENDPOINTS = "endpoint_id IN (SELECT id FROM webhook_endpoints WHERE owner_id = $1)"
_OF_ACCOUNTS = "account_id IN (SELECT id FROM ledger_accounts WHERE owner = $1)"

_ORDER = (
    "id, status, buyer_id, seller_id, gig_id, gig_title, package_id, offer_id, package_title, price, currency,"
    " delivery_days, revisions_left, requirements, payment_method, payment_status, payment_reference, refund_due,"
    " refunded, due_at, first_delivered_at, last_delivered_at, created_at, updated_at,"
    " extension_days, extension_message, extension_at, extended_days"
)

# The titles of the lines of an event are replaced in their places; an event from before there were lines has none.
_ERASED_LINES = f"""jsonb_build_object('lines', (
    SELECT coalesce(jsonb_agg(line || '{{"title": "{ERASED}"}}' ORDER BY place), '[]')
    FROM jsonb_array_elements(subject -> 'lines') WITH ORDINALITY AS lines (line, place)
))"""

_OFFER = (
    "id, conversation_id, gig_id, seller_id, buyer_id, title, description, price, delivery_days, revisions, status,"
    " expires_at, created_at, order_id"
)

_ENDED = "CASE status WHEN 'OPEN' THEN least(expires_at, app_now()) ELSE expires_at END"

RECORDS = (
    # Before the events of offers, for the same reason as lines before orders. An offer without one of its sides ends.
    Records("offers_got", "offers", "buyer_id = $1", shown=_OFFER, order="created_at, id",
            erased={"expires_at": _ENDED}),
    Records(
        "offers_made",
        "offers",
        "seller_id = $1",
        shown=_OFFER,
        order="created_at, id",
        erased={
            "title": f"'{ERASED}'",
            "description": "''",
            "expires_at": _ENDED,
        },
    ),
    Records("lines_of_orders", "order_lines", _OF_ORDERS, key="order_id, position",
            shown="order_id, position, title, unit_price, quantity"),
    # Before the orders: a command that has read the old titles has locked its order, so its event is stored before the
    # events are erased.
    Records("lines_of_orders_sold", "order_lines", _SOLD, key="order_id, position", erased={"title": f"'{ERASED}'"}),
    Records("orders_bought", "orders", "buyer_id = $1", shown=_ORDER, order="created_at, id",
            erased={"requirements": "''"}),
    Records(
        "orders_sold",
        "orders",
        "seller_id = $1",
        shown=f"{_ORDER}, commission_percent, charged_back, chargeback_amount, chargeback_state, evidence_due_by",
        order="created_at, id",
        erased={"gig_title": f"'{ERASED}'", "package_title": f"'{ERASED}'", "extension_message": "''"},
    ),
    # The history has what both sides and admins have written. Each side's messages are its own.
    Records(
        "history_of_orders",
        "order_events",
        _OF_ORDERS,
        key="order_id, version",
        shown="order_id, at, by, action, came_from, went_to, message, amount, paid_by",
    ),
    Records("messages_as_buyer", "order_events", f"by = 'buyer' AND {_BOUGHT}", key="order_id, version",
            erased={"message": "''"}),
    Records("messages_as_seller", "order_events", f"by = 'seller' AND {_SOLD}", key="order_id, version",
            erased={"message": "''"}),
    Records("refunds", "refunds", _BOUGHT, shown="order_id, amount, state, created_at", order="created_at, id"),
    # The feed has copies of the orders, offers and payouts as they were; it reads messages from their own rows.
    Records("events_of_orders_bought", "events", "buyer_id = $1 AND order_id IS NOT NULL",
            erased={"subject": """subject || '{"requirements": ""}'"""}),
    Records(
        "events_of_orders_sold",
        "events",
        "seller_id = $1 AND order_id IS NOT NULL",
        erased={
            "subject": f"""
                subject || '{{"gig_title": "{ERASED}", "package_title": "{ERASED}", "extension_message": ""}}'
                || {_ERASED_LINES}
            """
        },
    ),
    Records(
        "events_of_offers_made",
        "events",
        "seller_id = $1 AND offer_id IS NOT NULL",
        erased={"subject": f"""subject || '{{"title": "{ERASED}", "description": ""}}'"""},
    ),
    Records(
        "events_of_payouts",
        "events",
        "seller_id = $1 AND payout_id IS NOT NULL",
        erased={"subject": """subject || '{"destination": "", "error": ""}'"""},
    ),
    Records("name", "people", "id = $1", shown="username", is_deleted=True),
    Records(
        "conversations",
        "conversations",
        "starter_id = $1 OR owner_id = $1",
        shown="id, starter_id, owner_id, gig_id, created_at, last_at, last_number AS messages",
        order="created_at, id",
    ),
    # As in the history: what both sides have written, of which each side's is its own.
    Records(
        "messages",
        "messages",
        _TALKED,
        shown="id, conversation_id, from_id, text, order_id, offer_id, at, is_removed",
        order="conversation_id, number",
    ),
    Records("messages_written", "messages", f"from_id = $1 AND {_TALKED}", erased={"text": "''"}),
    Records("blocks", "blocks", "blocker_id = $1", key="blocker_id, blocked_id", shown="blocked_id, since",
            order="since, blocked_id", is_deleted=True),
    Records("limits", "token_buckets", "user_id = $1", key="user_id, kind", is_deleted=True),
    Records("orders_put_off", "put_off_orders", _OF_ORDERS, key="order_id", is_deleted=True),
    Records("payout_account", "payout_accounts", "seller_id = $1", key="seller_id",
            shown="destination, updated_at", is_deleted=True),
    Records(
        "payouts",
        "payouts",
        "seller_id = $1",
        shown="id, amount, currency, status, destination, reference, error, reversed, created_at, updated_at",
        order="created_at, id",
        erased={"destination": "''", "error": "''"},
    ),
    Records("payout_hold", "payout_holds", "seller_id = $1", key="seller_id", shown="reason, since"),
    Records("adjustments", "adjustments", "seller_id = $1", shown="id, amount, at", order="at, id"),
    Records(
        "messages_of_adjustments",
        "ledger_transactions",
        "adjustment_id IN (SELECT id FROM adjustments WHERE seller_id = $1)",
        shown="adjustment_id, message",
        erased={"message": f"'{ERASED}'"},
    ),
    Records(
        "entries_of_the_balance",
        "ledger_entries AS entry JOIN ledger_transactions AS transaction ON transaction.id = transaction_id"
        " JOIN ledger_accounts AS account ON account.id = account_id",
        _OF_ACCOUNTS,
        key="entry.id",
        shown="account.name AS account, entry.number, transaction.at, entry.kind, entry.amount, entry.balance,"
        " transaction.order_id, transaction.payout_id",
    ),
    Records(
        "webhook_endpoints",
        "webhook_endpoints",
        "owner_id = $1",
        shown="id, url, types, status, created_at, deleted_at",
        order="created_at, id",
        erased={
            "url": "''",
            "secret": "''",
            "status": "'DISABLED'",
            "deleted_at": "coalesce(deleted_at, app_now())",
        },
    ),
    Records("webhook_deliveries", "webhook_deliveries", _OF_ENDPOINTS,
            shown="id, endpoint_id, event_id, status, attempts, last_status, created_at", order="created_at, id",
            is_deleted=True),
    # Files.remove_of_owner has removed them before, with their bytes.
    Records("files", "files", "owner_id = $1", shown="id, name, size, type, status, created_at, sent_at",
            order="created_at, id", is_deleted=True),
    IDEMPOTENCY_KEYS,
)  # fmt: skip

# Tables whose rows with texts of users are deleted when they are over.
DERIVED = ("attempts", "payout_holds")

SOLD = Statement("SELECT id FROM orders WHERE seller_id = $1 ORDER BY id")
BOUGHT = Statement("SELECT id FROM orders WHERE buyer_id = $1 ORDER BY id")
PAYOUTS_OF = Statement("SELECT id FROM payouts WHERE seller_id = $1 ORDER BY id")
# What is under way, or owed: an erasure would leave it without somebody who can end it.
OBSTACLES = Statement("""
    SELECT 'order' AS kind, id::text AS id, status AS state FROM orders
    WHERE $1 IN (buyer_id, seller_id) AND status IN ('PENDING', 'IN_PROGRESS', 'DELIVERED', 'DISPUTED')
    UNION ALL
    SELECT 'attempt', attempts.order_id::text, kind FROM attempts LEFT JOIN orders ON orders.id = attempts.order_id
    WHERE $1 IN (orders.buyer_id, orders.seller_id) OR $1::text IN (
        data -> 'wish' ->> 'buyer_id', data -> 'offer' ->> 'seller_id'
    )
    UNION ALL
    SELECT 'refund', order_id::text, state FROM refunds
    WHERE state IN ('REQUESTED', 'REQUIRES_ACTION', 'PENDING')
    AND order_id IN (SELECT id FROM orders WHERE buyer_id = $1)
    UNION ALL
    SELECT 'payment', key, payload ->> 'task' FROM outbox
    WHERE topic = 'payment' AND key IN (SELECT id::text FROM orders WHERE buyer_id = $1)
    UNION ALL
    SELECT 'chargeback', order_id::text, state FROM chargebacks
    WHERE state IN ('NEEDS_RESPONSE', 'UNDER_REVIEW')
    AND order_id IN (SELECT id FROM orders WHERE $1 IN (buyer_id, seller_id))
    UNION ALL
    SELECT 'payout', id::text, status FROM payouts WHERE seller_id = $1 AND status = 'PENDING'
    UNION ALL
    SELECT 'balance', account.name, last.balance::text FROM ledger_accounts AS account CROSS JOIN LATERAL (
        SELECT balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1
    ) AS last
    WHERE account.owner = $1 AND account.name <> 'paid_out' AND last.balance <> 0
    UNION ALL
    SELECT 'hold', seller_id::text, reason FROM payout_holds WHERE seller_id = $1
    ORDER BY kind, id
""")
# Responses to others with texts of the user: of orders, by their ids, of adjustments, and of starts of conversations,
# by the message that was added.
RESPONSES = Statement("""
    WITH own AS MATERIALIZED (
        SELECT id, id::text AS text, buyer_id = $1 AS is_bought FROM orders WHERE $1 IN (buyer_id, seller_id)
    ), others AS MATERIALIZED (
        SELECT caller, scope, key, attempt, answer, right(scope, 36) AS subject FROM idempotency_keys
        WHERE caller <> $1 AND answer IS NOT NULL
    )
    SELECT caller, scope, key, answer, is_bought FROM others JOIN own ON own.id = others.attempt
    UNION SELECT caller, scope, key, answer, is_bought FROM others JOIN own ON own.text = others.subject
    UNION SELECT caller, scope, key, answer, NULL FROM others WHERE subject = $1::text
    UNION SELECT caller, scope, key, answer, NULL FROM others JOIN messages ON messages.id = others.attempt
        JOIN conversations ON conversations.id = conversation_id
    WHERE $1 IN (starter_id, owner_id)
""")
REPLACE_RESPONSE = Statement("""
    UPDATE idempotency_keys SET answer = $5 WHERE caller = $1 AND scope = $2 AND key = $3 AND answer = $4
""")


class Obstacle(NamedTuple):
    """Something that must be settled before a user can be erased: its kind, its id or name, and its state."""

    kind: str
    id: str
    state: str


class OtherCallersResponse(NamedTuple):
    """A stored response to another caller. `is_bought`: the user is the buyer of the order; None without an order."""

    caller: UUID
    scope: str
    key: str
    answer: bytes
    is_bought: bool | None


class UserOrders:
    """What stands against the erasure of a user, and what repeats their texts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def obstacles(self, user_id: UUID) -> list[Obstacle]:
        """Return what is under way or owed."""
        return [Obstacle(**row) for row in self._database.fetch_all(OBSTACLES, user_id)]

    def sold(self, user_id: UUID) -> list[UUID]:
        """Return the orders that the user has sold."""
        return [row["id"] for row in self._database.fetch_all(SOLD, user_id)]

    def bought(self, user_id: UUID) -> list[UUID]:
        """Return the orders that the user has placed."""
        return [row["id"] for row in self._database.fetch_all(BOUGHT, user_id)]

    def payouts(self, user_id: UUID) -> list[UUID]:
        """Return the user's payouts."""
        return [row["id"] for row in self._database.fetch_all(PAYOUTS_OF, user_id)]

    def responses_to_others(self, user_id: UUID) -> Iterator[OtherCallersResponse]:
        """Yield the stored responses to others about the user's orders, balance and conversations."""
        for row in self._database.fetch_all(RESPONSES, user_id):
            yield OtherCallersResponse(**{**row, "answer": bytes(row["answer"])})

    def replace_response(self, stored: OtherCallersResponse, response: bytes) -> None:
        """Store another response, unless it has changed meanwhile."""
        self._database.fetch_all(REPLACE_RESPONSE, stored.caller, stored.scope, stored.key, stored.answer, response)
