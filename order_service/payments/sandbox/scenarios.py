"""The scenarios that a `paymentToken` or a payout's destination asks the sandbox for. See docs/payments.md.

Every other value that does not begin with `sandbox_`, the empty one included, is a card or an account that works.
"""

from datetime import timedelta

from servicekit.errors import InvalidArgument, Violation

PREFIX = "sandbox_"

DECLINED = "sandbox_declined"
CONFIRM = "sandbox_confirm"
CONFIRM_REFUSED = "sandbox_confirm_refused"
CONFIRM_NEVER = "sandbox_confirm_never"
TIMEOUT_BEFORE = "sandbox_timeout_before"
TIMEOUT_AFTER = "sandbox_timeout_after"
CAPTURE_DECLINED = "sandbox_capture_declined"
CAPTURE_TIMEOUT = "sandbox_capture_timeout"
CHARGEBACK = "sandbox_chargeback"
CHARGEBACK_PARTIAL = "sandbox_chargeback_partial"
CHARGEBACK_WON = "sandbox_chargeback_won"
CHARGEBACK_LOST = "sandbox_chargeback_lost"
CHARGEBACK_LATE = "sandbox_chargeback_late"
REFUND_FAILS = "sandbox_refund_fails"
REFUND_REFUSED = "sandbox_refund_refused"
REFUND_WAITS = "sandbox_refund_waits"
SLOW = "sandbox_slow"

CARDS = {
    DECLINED: "is declined: 402 `PAYMENT_DECLINED`, and no order",
    CONFIRM: "wants the buyer's confirmation (402 `PAYMENT_ACTION_REQUIRED`), which comes by itself after two seconds",
    CONFIRM_REFUSED: "wants the buyer's confirmation, which is refused after two seconds: 402 `PAYMENT_DECLINED`",
    CONFIRM_NEVER: "wants the buyer's confirmation, which never comes",
    TIMEOUT_BEFORE: "the first authorization times out before anything was done: 503, then the order is there",
    TIMEOUT_AFTER: "the first authorization times out after it was done: 503, then the order is there",
    CAPTURE_DECLINED: "is authorized, and its capture refused: `accept` is 402, and the order CANCELLED",
    CAPTURE_TIMEOUT: "the first capture times out after it was done: `accept` is 503, then the order is IN_PROGRESS",
    CHARGEBACK: "right after the capture its bank takes all of it back: the order becomes DISPUTED",
    CHARGEBACK_PARTIAL: "right after the capture its bank takes a tenth of it back: the order becomes DISPUTED",
    CHARGEBACK_WON: "as `sandbox_chargeback`, and won two seconds later",
    CHARGEBACK_LOST: "as `sandbox_chargeback`, and lost two seconds later",
    CHARGEBACK_LATE: "when the order is COMPLETED, its bank takes all of it back",
    REFUND_FAILS: "the first refund is accepted, and fails a second later; the next one succeeds",
    REFUND_REFUSED: "every refund is refused for good",
    REFUND_WAITS: "no refund is made in the ten seconds after the first request for one: the balance does not cover it",
    SLOW: "each call takes a second",
}

# The time after which the buyer confirms a payment, or fails to; None for never.
CONFIRMED_AFTER = {CONFIRM: timedelta(seconds=2), CONFIRM_REFUSED: timedelta(seconds=2), CONFIRM_NEVER: None}

PAYOUT_REFUSED = "sandbox_fails"
PAYOUT_TIMEOUT = "sandbox_payout_timeout"
PAYOUT_WAITS = "sandbox_payout_waits"

ACCOUNTS = {
    PAYOUT_REFUSED: "cannot be paid: the payout FAILED, and the money is available again",
    PAYOUT_TIMEOUT: "the first call times out after it was paid: PAID a little later",
    PAYOUT_WAITS: "the platform's balance does not cover it for ten seconds: PENDING, then PAID",
}


def check_card(token: str) -> None:
    """Refuse a payment token that has the sandbox's prefix and is no scenario. Raises InvalidArgument."""
    _check("paymentToken", token, CARDS)


def check_account(destination: str) -> None:
    """Refuse a destination that has the sandbox's prefix and is no scenario. Raises InvalidArgument."""
    _check("destination", destination, ACCOUNTS)


def _check(field: str, value: str, known: dict[str, str]) -> None:
    if value.startswith(PREFIX) and value not in known:
        raise InvalidArgument([Violation(field, f"is none of the sandbox's own: {', '.join(known)}")])
