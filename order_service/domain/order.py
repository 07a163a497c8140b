"""An order, its history, and what is stored along with a change of it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from order_service.domain.chargeback import ChargebackState
from order_service.domain.file import FileLabel
from order_service.domain.ledger import Posting
from order_service.domain.payment import PaymentStatus
from servicekit.call import Caller
from servicekit.errors import NotFound


class Status(StrEnum):
    """The status of an order."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    DELIVERED = "DELIVERED"
    DISPUTED = "DISPUTED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


class Party(StrEnum):
    """A role that somebody has in an order, by the names of the history."""

    BUYER = "buyer"
    SELLER = "seller"
    ADMIN = "admin"
    SYSTEM = "system"


class PaidBy(StrEnum):
    """Who pays a refund after the end of an order, by the names that clients use."""

    SELLER = "seller"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Extension:
    """An open request for more time: the days by which the due date would move. `at` is the time of the request."""

    days: int
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order: something that was ordered, by the title it had then. `unit_price` is in major units."""

    title: str
    unit_price: Decimal
    quantity: int = 1

    @property
    def amount(self) -> Decimal:
        """The line's part of the order's price."""
        return self.unit_price * self.quantity


@dataclass(frozen=True, slots=True)
class Order:
    """A promise to deliver one package or offer for a fixed price, at the terms that stood when it was placed.

    Either `package_id` or `offer_id` is set; `package_title` is the title of that.

    `price` is in major units of `currency` (ISO 4217). Times are aware, in UTC. `version` is 1 when placed and grows by
    one with every change, so it is also the number of the change's event. `first_delivered_at` is None until the first
    delivery, and keeps its value when a revision sends the order back; `last_delivered_at` is the most recent delivery.

    Amounts are in major units: `payment_status` is None for an order from before there were payments, and then no money
    is moved for it; `payment_reference` is the provider's id of the payment, whose card authorization ends at
    `capture_before`; `refund_due` is the sum of the refunds that were decided here, and `platform_refund` the part of
    it that the platform pays; `refunded` is the sum of the refunds that the provider took on, by hand ones included;
    `charged_back` is the amount that the buyer's bank holds; `fees` is the sum of the provider's fees;
    `commission_percent` is the marketplace's share, fixed when the order was placed. `postings` is the number of the
    order's ledger transactions. The fields of the chargeback are None for an order that never had one.

    `reminded_of` says which reminder its sides have got: it is the `created_at`, `due_at` or `last_delivered_at` that
    the last one was about. It may be of an earlier status or due date.

    `extension_days`, `extension_message` and `extension_at` are the fields of `extension`; `extended_days` is the sum
    of the days by which accepted requests have moved the due date.

    `lines` are the package and then the extras; their sum is `price`. They are empty where `package_title` and `price`
    say all: `all_lines` then has the one line of the package. `delivery_days` and the revisions are those of the
    package and the extras together.
    """

    id: UUID
    version: int
    status: Status
    buyer_id: UUID
    seller_id: UUID
    gig_id: UUID
    gig_title: str
    package_id: UUID | None
    package_title: str
    price: Decimal
    currency: str
    delivery_days: int
    revisions_left: int
    requirements: str
    payment_method: str
    due_at: datetime
    first_delivered_at: datetime | None
    last_delivered_at: datetime | None
    created_at: datetime
    updated_at: datetime
    payment_status: PaymentStatus | None
    payment_reference: str
    capture_before: datetime | None
    refund_due: Decimal
    refunded: Decimal
    charged_back: Decimal
    commission_percent: Decimal
    platform_refund: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    postings: int = 0
    chargeback_amount: Decimal | None = None
    chargeback_state: ChargebackState | None = None
    evidence_due_by: datetime | None = None
    reminded_of: datetime | None = None
    extension_days: int | None = None
    extension_message: str = ""
    extension_at: datetime | None = None
    extended_days: int = 0
    lines: tuple[Line, ...] = ()
    offer_id: UUID | None = None

    @property
    def all_lines(self) -> tuple[Line, ...]:
        """The lines that clients see, one at least."""
        return self.lines or (Line(self.package_title, self.price),)

    @property
    def is_being_captured(self) -> bool:
        """Whether the seller has accepted, and the provider's response to the capture is not known yet."""
        return self.payment_status is PaymentStatus.CAPTURING

    @property
    def is_authorized_only(self) -> bool:
        """Whether nothing was taken from the card: its authorization is open, or was voided."""
        return self.payment_status in (PaymentStatus.AUTHORIZED, PaymentStatus.VOIDED)

    @property
    def is_captured(self) -> bool:
        """Whether the buyer's money was taken from the card."""
        return self.payment_status in (
            PaymentStatus.CAPTURED,
            PaymentStatus.REFUNDED,
            PaymentStatus.PARTIALLY_REFUNDED,
        )

    @property
    def extension(self) -> Extension | None:
        """The open request for more time; None without one.

        It counts only while the order is IN_PROGRESS: a worker of an older version moves an order on and keeps it.
        """
        if self.extension_days is None or self.extension_at is None or self.status is not Status.IN_PROGRESS:
            return None
        return Extension(self.extension_days, self.extension_message, self.extension_at)

    def is_overdue(self, now: datetime) -> bool:
        """Return whether the due date is over."""
        return now > self.due_at

    def parties(self, caller: Caller) -> frozenset[Party]:
        """Return the caller's roles in this order. Raises NotFound for a stranger, who must not learn of it.

        An admin who is a side of the order is that side alone.
        """
        sides = {Party.BUYER: self.buyer_id, Party.SELLER: self.seller_id}
        parties = frozenset(party for party, user_id in sides.items() if caller.id == user_id)
        if parties:
            return parties
        if not caller.is_admin:
            raise NotFound("Order")
        return frozenset({Party.ADMIN})


@dataclass(frozen=True, slots=True)
class Event:
    """One row of an order's history: an action, who took it, and the statuses before and after.

    `from_status` is None for the placing. `amount` (in major units) and `paid_by` are set for refunds after the end.
    `files` are those of a delivery. A reminder is a row that clients do not see in the history.
    """

    at: datetime
    by: Party
    action: str
    from_status: Status | None
    to_status: Status
    message: str
    amount: Decimal | None = None
    paid_by: PaidBy | None = None
    is_reminder: bool = False
    files: tuple[FileLabel, ...] = ()


class PaymentTask(StrEnum):
    """A call to the payment provider that follows a change, and is repeated until it is done."""

    VOID = "void"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Change:
    """An order after a change, and everything that is stored along with it: all of it, or nothing.

    `event` is the row of the history; None when only the money moved. `postings` go to the ledger, `payment_task` goes
    to the outbox.
    """

    order: Order
    event: Event | None = None
    postings: tuple[Posting, ...] = ()
    payment_task: PaymentTask | None = None
