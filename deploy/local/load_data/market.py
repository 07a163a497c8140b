"""The marketplace as numbers and names: the sellers, gigs, orders and reviews of one batch, the same in every process.

A batch is closed in itself: a seller has all their gigs in one batch, and an order is of a gig of its batch. So
ratings, badges and balances can be added up here. Only buyers are shared between batches; nothing is stored of them
alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from uuid import UUID

from deploy.local.load_data import texts
from deploy.local.load_data.phrases import CRAFTS, EXTRAS, FIRST_NAMES, LAST_NAMES
from deploy.local.load_data.plan import Batch
from edge.tokens import USERS

BUYERS = 400_000
MOST_GIGS_OF_A_SELLER = 60
HOUR, DAY = 3_600_000, 86_400_000
OLDEST = 3 * 365 * DAY
# Beyond the orders that have a review, so many of each hundred.
MORE_ORDERS = 12
DELIVERY_DAYS = (1, 2, 3, 3, 4, 5, 7, 7, 10, 14, 21, 30)
# The outcomes of the orders without a review; see order_service/store/bulk_load.py.
OUTCOMES = {
    "completed": 10, "declined": 18, "withdrawn": 12, "expired": 8, "cancelled": 16, "pending": 4, "in_progress": 20,
    "delivered": 12,
}  # fmt: skip
OPEN = frozenset(("pending", "in_progress", "delivered"))
STARS = (1, 2, 3, 4, 5)
# Of good gigs and of others, added up.
GOOD, OTHERS = (1, 2, 6, 22, 100), (8, 16, 32, 62, 100)


@dataclass(slots=True)
class Seller:
    """A seller with the totals of their buyers' newest reviews, by buyer."""

    id: str
    name: str
    newest: dict[str, Review] = field(default_factory=dict)
    # In cents: what completed orders have brought, and the time of the last one.
    available: int = 0
    last_sale: int = 0


@dataclass(slots=True)
class Gig:
    """A gig. Times are milliseconds since 1970, prices are whole. Its packages have the first `extras` of EXTRAS."""

    id: str
    created: int
    seller: Seller
    service: int
    title: str
    package_ids: tuple[str, str, str]
    prices: tuple[int, int, int]
    days: tuple[int, int, int]
    star_counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0, 0])
    extras: int = 0

    @property
    def extra_price(self) -> int:
        """The price of each extra."""
        return max(5, self.prices[0] // 4)


@dataclass(slots=True)
class Review:
    """A review of an order."""

    id: str
    stars: int
    created: int


@dataclass(slots=True)
class Order:
    """An order, with the first `extras` of EXTRAS; a time of 0 is that of something that has not happened."""

    id: str
    outcome: str
    buyer: str
    buyer_id: str
    gig: Gig
    package: int
    placed: int
    accepted: int
    delivered: int
    ended: int
    review: Review | None = None
    quantity: int = 1
    extras: int = 0


@dataclass(slots=True)
class Market:
    """The contents of a batch. Orders come in no order of time."""

    sellers: list[Seller]
    gigs: list[Gig]
    orders: list[Order]


def at(milliseconds: int) -> str:
    """Return a time as PostgreSQL reads it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()


def new_id(rng: Random, milliseconds: int) -> str:
    """Return a UUID of version 7 of this time."""
    bits = rng.getrandbits(74)
    text = f"{milliseconds:012x}7{bits >> 62:03x}{1 << 63 | bits & (1 << 62) - 1:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def user_id(name: str) -> str:
    """Return the id of the local user of this name: that of `make token`."""
    return str(UUID(bytes=hashlib.sha1(USERS.bytes + name.encode(), usedforsecurity=False).digest()[:16], version=5))


def buyer_name(number: int) -> str:
    """Return the name of a buyer."""
    return f"{FIRST_NAMES[number % len(FIRST_NAMES)]}_{LAST_NAMES[number % len(LAST_NAMES)]}_{number}"


def make(batch: Batch, services: texts.Services) -> Market:
    """Return the contents of a batch."""
    rng = Random(f"{batch.seed}:{batch.number}")  # noqa: S311  # no secrets
    sellers, gigs = _gigs(rng, batch, services)
    market = Market(sellers, gigs, _orders(rng, batch, gigs))
    _add_extras(market, batch)
    return market


def _gigs(rng: Random, batch: Batch, services: texts.Services) -> tuple[list[Seller], list[Gig]]:
    random, number = rng.random, batch.gigs
    words = texts.words().content(rng, 2 * number)
    drawn = services.draw(rng, number)
    sellers: list[Seller] = []
    gigs: list[Gig] = []
    suffix = "" if batch.seed == 1 else f"_{batch.seed}"
    left = 0
    for place in range(number):
        if not left:
            left = min(MOST_GIGS_OF_A_SELLER, int(rng.paretovariate(1.2)))
            name = f"{rng.choice(FIRST_NAMES)}_{rng.choice(CRAFTS)}_{batch.first + place}{suffix}"
            sellers.append(Seller(user_id(name), name))
        left -= 1
        age = 1 - (batch.slice + random()) / batch.slices
        created = batch.anchor - HOUR - int((OLDEST - HOUR) * age**1.5)
        names = services.names[drawn[place]]
        service = names[int(random() ** 1.7 * len(names))]
        # Most cost 20 to 80; few are dear.
        base = max(5, min(20_000, int(rng.lognormvariate(3.6, 0.8))))
        base -= base % 5
        day = DELIVERY_DAYS[int(random() * len(DELIVERY_DAYS))]
        gigs.append(
            Gig(
                id=new_id(rng, created),
                created=created,
                seller=sellers[-1],
                service=drawn[place],
                title=texts.title(rng, service, words[2 * place], words[2 * place + 1]),
                package_ids=(new_id(rng, created), new_id(rng, created), new_id(rng, created)),
                prices=(base, base * 2 + 5, base * 4 + 10),
                days=(day, day + 1, day + 3),
            )
        )
    return sellers, gigs


def _orders(rng: Random, batch: Batch, gigs: list[Gig]) -> list[Order]:
    random, number = rng.random, batch.gigs
    by_popularity = gigs.copy()
    rng.shuffle(by_popularity)
    more = rng.choices(list(OUTCOMES), weights=list(OUTCOMES.values()), k=number * MORE_ORDERS // 100)
    orders = []
    for place, outcome in enumerate(["completed"] * number + more):
        gig = by_popularity[int(random() ** 2.2 * number)]
        package = int(random() ** 1.6 * 3)
        if outcome == "in_progress" and gig.days[package] < 3:
            outcome = "completed"
        order = _order(rng, batch.anchor, outcome, gig, package, buyer_name(int(random() ** 2 * BUYERS)))
        orders.append(order)
        if order.outcome == "completed":
            if random() < 0.1:
                order.outcome = "auto_completed"
            if place < number:
                _review(rng, batch.anchor, order)
    return orders


def _add_extras(market: Market, batch: Batch) -> None:
    """Give three gigs of ten extras, and four orders of ten of such gigs as well; order some packages twice."""
    rng = Random(f"{batch.seed}:{batch.number}:extras")  # noqa: S311  # no secrets
    for gig in market.gigs:
        if rng.random() < 0.3:
            gig.extras = rng.randint(1, len(EXTRAS))
    for order in market.orders:
        if rng.random() < 0.4:
            order.extras = rng.randint(0, order.gig.extras)
        if rng.random() < 0.03:
            order.quantity = 2


def _order(rng: Random, anchor: int, outcome: str, gig: Gig, package: int, buyer: str) -> Order:
    """Return an order whose steps lie between the making of the gig and now."""
    random, days = rng.random, gig.days[package] * DAY
    accepted = delivered = ended = 0
    if outcome in OPEN:
        # Of the last hours or days, so that no timeout is due yet.
        age = {"pending": 20 * HOUR, "delivered": 30 * HOUR}.get(outcome, days - 2 * DAY)
        placed = max(gig.created, anchor - int(random() * age) - 60_000)
        left = anchor - placed
        if outcome != "pending":
            accepted = placed + int(left * 0.3 * random())
        if outcome == "delivered":
            delivered = accepted + int(left * 0.5 * random())
    else:
        placed = gig.created + int((anchor - gig.created) * 0.9 * random())
        left = anchor - placed
        ended = placed + min(int(DAY * random()), int(left * 0.2))
        if outcome in ("completed", "cancelled"):
            accepted = ended
            ended = delivered = accepted + min(int(days * random()), int(left * 0.4))
        if outcome == "completed":
            ended = delivered + min(int(2 * DAY * random()), int(left * 0.3))
        if outcome == "cancelled":
            delivered = 0
    return Order(new_id(rng, placed), outcome, buyer, user_id(buyer), gig, package, placed, accepted, delivered, ended)


def _review(rng: Random, anchor: int, order: Order) -> None:
    gig = order.gig
    # The last digit of a gig's id says how good it is.
    stars = rng.choices(STARS, cum_weights=OTHERS if gig.id[-1] in "012" else GOOD)[0]
    created = order.ended + min(int(5 * DAY * rng.random()), (anchor - order.ended) // 2)
    review = order.review = Review(new_id(rng, created), stars, created)
    gig.star_counts[stars - 1] += 1
    newest = gig.seller.newest.get(order.buyer_id)
    if newest is None or (newest.created, newest.id) < (created, review.id):
        gig.seller.newest[order.buyer_id] = review
