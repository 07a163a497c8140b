"""A model in memory of the marketplace's orders and money, as the public contract describes them.

It is written from the contract alone and shares no code with the services. Times are hours since the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal

CENT = Decimal("0.01")
COMMISSION = Decimal("0.10")
ANSWER_HOURS, APPROVAL_HOURS, ABANDON_HOURS, KEY_HOURS = 48, 72, 24 * 30, 48

# (status, action): the parties that may take it. `Order.can` has the other conditions.
WHO = {
    ("PENDING", "accept"): ("seller",),
    ("PENDING", "decline"): ("seller",),
    ("PENDING", "cancel"): ("buyer",),
    ("IN_PROGRESS", "deliver"): ("seller",),
    ("IN_PROGRESS", "cancel"): ("seller", "buyer"),
    ("IN_PROGRESS", "dispute"): ("buyer",),
    ("IN_PROGRESS", "extend"): ("seller",),
    ("IN_PROGRESS", "accept_extension"): ("buyer",),
    ("IN_PROGRESS", "decline_extension"): ("buyer",),
    ("DELIVERED", "revise"): ("buyer",),
    ("DELIVERED", "complete"): ("buyer",),
    ("DELIVERED", "dispute"): ("buyer",),
    ("PENDING", "resolve"): ("admin",),
    ("IN_PROGRESS", "resolve"): ("admin",),
    ("DELIVERED", "resolve"): ("admin",),
    ("DISPUTED", "resolve"): ("admin",),
    ("COMPLETED", "refund"): ("admin",),
}
ADMIN_ACTIONS = ("resolve", "refund")
ANSWERS = ("accept_extension", "decline_extension")
ACTIONS = (
    *("accept", "decline", "cancel", "deliver", "extend", *ANSWERS, "revise", "complete", "dispute"),
    *ADMIN_ACTIONS,
)
MOST_EXTENDED_DAYS = 365


def commission(amount: Decimal) -> Decimal:
    """Return the marketplace's commission on an amount."""
    return (amount * COMMISSION).quantize(CENT, rounding=ROUND_HALF_EVEN)


@dataclass
class Seller:
    """A seller's balance, and every entry of the available balance, oldest first."""

    escrow: Decimal = Decimal(0)
    paid_out: Decimal = Decimal(0)
    entries: list[tuple[str, Decimal]] = field(default_factory=list)

    @property
    def available(self) -> Decimal:
        return sum((amount for _, amount in self.entries), Decimal(0))

    def move(self, kind: str, amount: Decimal) -> None:
        if amount:
            self.entries.append((kind, amount))


@dataclass
class Order:
    """An order by the contract. `owner` is the seller's name, `card` the payment token.

    `offer` is the id of the offer that it was placed from: it begins IN_PROGRESS, and paid.
    """

    seller: Seller
    owner: str
    card: str
    price: Decimal
    days: int
    revisions: int
    placed_at: int
    offer: str | None = None
    status: str = "PENDING"
    payment: str = "AUTHORIZED"
    refunded: Decimal = Decimal(0)
    # The part of `refunded` that the seller has paid.
    from_seller: Decimal = Decimal(0)
    due_at: int = 0
    delivered_at: int | None = None
    # The days of the open request for more time, and of all that were accepted.
    asked: int | None = None
    extended: int = 0
    history: list[tuple[str, str, str]] = field(default_factory=list)
    # The ids of the files of each delivery.
    delivered: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.due_at = self.placed_at + 24 * self.days
        if self.offer:
            self._capture()
            self.status = "IN_PROGRESS"
        self.history.append(("buyer", "place", self.status))

    def can(self, action: str, who: str, now: int) -> bool:
        """Return whether this party can take the action now."""
        if who not in WHO.get((self.status, action), ()):
            return False
        overdue, delivered = now > self.due_at, self.delivered_at is not None
        if (self.status, action, who) == ("IN_PROGRESS", "cancel", "buyer"):
            return overdue and not delivered
        if (self.status, action) == ("IN_PROGRESS", "dispute"):
            return overdue and delivered
        if action == "refund":
            return self.refunded < self.price
        if action == "extend":
            return self.asked is None and self.extended < MOST_EXTENDED_DAYS
        if action in ANSWERS:
            return self.asked is not None
        return action != "revise" or self.revisions > 0

    def open(self, who: str, now: int) -> set[str]:
        """Return the actions that are open to this party now."""
        return {action for action in ACTIONS if self.can(action, who, now)}

    def refusal(self, action: str, who: str) -> int:
        """Return the HTTP status of an action that this party cannot take."""
        if who == "stranger":
            return 404
        allowed = WHO.get((self.status, action))
        if (who == "admin") != (action in ADMIN_ACTIONS):
            return 403
        return 403 if allowed and who not in allowed else 409

    def do(
        self, action: str, who: str, now: int, outcome: str = "", refund: Decimal = Decimal(0), days: int = 0
    ) -> None:
        """Take an action that is open to this party."""
        match self.status, action:
            case "PENDING", "accept":
                self._capture()
                self.due_at = now + 24 * self.days
                self._to("IN_PROGRESS", who, action)
            case "PENDING", _:
                self.payment = "VOIDED"
                self._to("CANCELLED", who, action)
            case "IN_PROGRESS", "deliver":
                self.delivered_at = now
                self._to("DELIVERED", who, action)
            case "IN_PROGRESS", ("cancel" | "abandon"):
                self._cancel_with_refund(who, action)
            case "IN_PROGRESS", "extend":
                self._to("IN_PROGRESS", who, action)
                self.asked = days
            case "IN_PROGRESS", ("accept_extension" | "decline_extension"):
                if action == "accept_extension" and self.asked is not None:
                    self.due_at += 24 * self.asked
                    self.extended += self.asked
                self._to("IN_PROGRESS", who, action)
            case "DELIVERED", "revise":
                self.revisions -= 1
                self.due_at = now + 24 * self.days
                self._to("IN_PROGRESS", who, action)
            case "DELIVERED", ("complete" | "auto_complete"):
                self._release(who, action, Decimal(0))
            case _, ("dispute" | "chargeback"):
                self._to("DISPUTED", who, action)
            case _, "resolve":
                if outcome == "CANCELLED":
                    self._cancel_with_refund(who, action)
                else:
                    self._release(who, action, refund)

    def pass_time(self, now: int) -> None:
        """Expire, complete or abandon the order when its time has passed."""
        if self.status == "PENDING" and now >= self.placed_at + ANSWER_HOURS:
            self.do("expire", "system", now)
        elif self.status == "DELIVERED" and self.delivered_at is not None and now >= self.delivered_at + APPROVAL_HOURS:
            self.do("auto_complete", "system", now)
        elif self.status == "IN_PROGRESS" and now >= self.due_at + ABANDON_HOURS:
            self.do("abandon", "system", now)

    def _capture(self) -> None:
        self.payment = "CAPTURED"
        self.seller.escrow += self.price - commission(self.price)

    def _cancel_with_refund(self, who: str, action: str) -> None:
        self.seller.escrow -= self.price - commission(self.price)
        self.refunded, self.payment = self.price, "REFUNDED"
        self._to("CANCELLED", who, action)

    def _release(self, who: str, action: str, refund: Decimal) -> None:
        self.seller.escrow -= self.price - commission(self.price)
        self.seller.move("SALE", self.price)
        self.seller.move("REFUND", -refund)
        self.seller.move("COMMISSION", -commission(self.price - refund))
        self.refunded = self.from_seller = refund
        if refund:
            self.payment = "REFUNDED" if refund == self.price else "PARTIALLY_REFUNDED"
        self._to("COMPLETED", who, action)

    def refund_takes(self, refund: Decimal) -> Decimal:
        """Return the part of the seller's available balance that a further refund from the seller takes."""
        before, after = self.price - self.from_seller, self.price - self.from_seller - refund
        return refund - commission(before) + commission(after)

    def refund(self, refund: Decimal, paid_by: str) -> None:
        """Refund a completed order, as an admin."""
        if paid_by == "seller":
            self.seller.move("COMMISSION", refund - self.refund_takes(refund))
            self.seller.move("REFUND", -refund)
            self.from_seller += refund
        self.refunded += refund
        self.payment = "REFUNDED" if self.refunded == self.price else "PARTIALLY_REFUNDED"
        self._to("COMPLETED", "admin", "refund")

    def _to(self, status: str, who: str, action: str) -> None:
        self.status = status
        self.asked = None
        self.history.append((who, action, status))
