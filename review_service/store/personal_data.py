"""What ReviewService knows of a user: the reviews that they have written, and their replies to those that they got."""

from __future__ import annotations

from servicekit.personal_data import ERASED, IDEMPOTENCY_KEYS, Records

# `$2` are the orders that the user has sold, which OrderService knows.
RECORDS = (
    Records(
        "reviews_written",
        "reviews",
        "buyer_id = $1",
        shown="id, order_id, gig_id, buyer_name, stars, comment, created_at",
        order="created_at, id",
        erased={"buyer_name": f"'{ERASED}'", "comment": "''"},
    ),
    Records(
        "reviews_received",
        "reviews",
        "$1::uuid IS NOT NULL AND order_id = ANY ($2::uuid[])",
        shown="id, order_id, gig_id, stars, comment, created_at, reply, replied_at",
        order="created_at, id",
        # Of the two both or none has a value.
        erased={"reply": "NULL", "replied_at": "NULL"},
    ),
    IDEMPOTENCY_KEYS,
)
