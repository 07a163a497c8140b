"""The names of our metadata on Stripe's objects."""

ORDER = "order_id"
REFUND = "refund_id"
PAYOUT = "payout_id"
