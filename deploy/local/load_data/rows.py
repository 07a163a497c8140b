"""The rows of a batch for each database, as lines of COPY's text format.

No text has a tab, a line end or a backslash, so none is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from random import Random

from deploy.local.load_data import texts
from deploy.local.load_data.market import DAY, Gig, Market, Order, Review, at, new_id
from deploy.local.load_data.phrases import COMMENTS, FEATURES, PACKAGES, REPLIES, REQUIREMENTS
from deploy.local.load_data.plan import Batch
from gig_service.domain import analysis
from gig_service.store.bulk_load import GigRows
from order_service.domain.commission import commission
from order_service.payments.sandbox.bulk_load import SandboxRows
from order_service.payments.sandbox.records import CENT, FEE_FIXED, FEE_PART
from order_service.store.bulk_load import OrderRows
from review_service.store.bulk_load import ReviewRows
from servicekit.bulk_load import NULL
from servicekit.rating import mean_rating

# A seller whose sales have brought this much, in cents, may have been paid out.
SMALLEST_PAYOUT = 5_000
COMPLETED = frozenset(("completed", "auto_completed"))
# The state of a payment in the sandbox, by the order's outcome; captured for the others.
PAYMENT_STATES = {"declined": "VOIDED", "withdrawn": "VOIDED", "expired": "VOIDED", "pending": "HELD"}


def gig_rows(market: Market, batch: Batch, services: texts.Services) -> GigRows:
    """Return the rows of GigService."""
    rng = Random(f"{batch.seed}:{batch.number}:texts")  # noqa: S311  # no secrets
    sentences, random = texts.sentences(batch.seed), rng.random
    seller_lines, review_lines, gig_lines = [], [], []
    package_lines: list[str] = []
    words: Counter[str] = Counter()
    for seller in market.sellers:
        newest = seller.newest
        total = sum(review.stars for review in newest.values())
        seller_lines.append(f"{seller.id}\t{seller.name}\t1\t{len(newest)}\t{total}")
        review_lines += [
            f"{seller.id}\t{buyer}\t{review.id}\t{at(review.created)}\t{review.stars}"
            for buyer, review in newest.items()
        ]
    drawn = texts.words().content(rng, 4 * len(market.gigs))
    for place, gig in enumerate(market.gigs):
        names = services.names[gig.service]
        tags = [*dict.fromkeys((names[int(random() * len(names))].lower(), *drawn[4 * place : 4 * place + 4]))]
        description = " ".join(
            (f"{gig.title}.", *(sentences[int(random() * len(sentences))] for _ in range(2 + int(3 * random()))))
        )
        document = analysis.document(gig.title, tags, description)
        words.update(document.words)
        gig_lines.append(f"{_gig_line(gig, services, description, tags, random())}\t{document.lexemes}")
        package_lines += _package_lines(gig, rng)
    return GigRows(seller_lines, gig_lines, package_lines, review_lines, [gig.id for gig in market.gigs], words)


def _gig_line(gig: Gig, services: texts.Services, description: str, tags: list[str], chance: float) -> str:
    count = sum(gig.star_counts)
    total = sum(stars * number for stars, number in enumerate(gig.star_counts, start=1))
    status = "ACTIVE" if chance < 0.97 else "PAUSED" if chance < 0.998 else "SUSPENDED"
    quoted = ",".join(f'"{tag}"' for tag in tags)
    created = at(gig.created)
    # A rating's version is its number of reviews.
    return (
        f"{gig.id}\t{gig.seller.id}\t{gig.title}\t{description}\t{services.category_ids[gig.service]}\t{{{quoted}}}"
        f"\t{status}\t1\t{created}\t{created}\t{count}\t{count}\t{total}\t{mean_rating(count, total)}"
    )


def _package_lines(gig: Gig, rng: Random) -> Iterator[str]:
    titles = PACKAGES[int(rng.random() * len(PACKAGES))]
    features = FEATURES[int(rng.random() * len(FEATURES))]
    for place in range(3):
        yield (
            f"{gig.package_ids[place]}\t{gig.id}\t{place + 1}\t{titles[place]}\t{gig.title}"
            f'\t{gig.prices[place]}\t{gig.days[place]}\t{{"{features}"}}\t{place + 1}'
        )


def review_rows(market: Market, batch: Batch) -> ReviewRows:
    """Return the rows of ReviewService."""
    rng = Random(f"{batch.seed}:{batch.number}:comments")  # noqa: S311  # no secrets
    reviews = [_review_line(rng, batch, order, order.review) for order in market.orders if order.review is not None]
    ratings = [
        f"{gig.id}\t{sum(gig.star_counts)}\t" + "\t".join(map(str, gig.star_counts))
        for gig in market.gigs
        if any(gig.star_counts)
    ]
    return ReviewRows(reviews, ratings)


def _review_line(rng: Random, batch: Batch, order: Order, review: Review) -> str:
    comment = COMMENTS[int(rng.random() * len(COMMENTS))] if rng.random() < 0.8 else ""
    reply = f"{NULL}\t{NULL}"
    if rng.random() < 0.2:
        replied = min(batch.anchor, review.created + int(2 * DAY * rng.random()))
        reply = f"{REPLIES[int(rng.random() * len(REPLIES))]}\t{at(replied)}"
    return (
        f"{review.id}\t{order.id}\t{order.gig.id}\t{order.buyer_id}\t{order.buyer}\t{review.stars}\t{comment}"
        f"\t{at(review.created)}\t{reply}"
    )


@lru_cache(maxsize=100_000)
def _money(price: int, percent: Decimal) -> tuple[str, str, int]:
    """Return the commission on a price, the sandbox's fee for it, and the seller's part in cents."""
    part = commission(Decimal(price), percent)
    fee = (price * FEE_PART + FEE_FIXED).quantize(CENT, ROUND_HALF_UP)
    return str(part), str(fee), int((price - part) * 100)


def order_rows(market: Market, batch: Batch, currency: str, percent: Decimal) -> tuple[OrderRows, SandboxRows]:
    """Return the rows of OrderService and of the sandbox."""
    rng = Random(f"{batch.seed}:{batch.number}:money")  # noqa: S311  # no secrets
    orders, payments, fees, refunds = [], [], [], []
    for order in market.orders:
        gig, place = order.gig, order.package
        price = gig.prices[place]
        part, fee, net = _money(price, percent)
        refund_id = new_id(rng, order.ended) if order.outcome == "cancelled" else NULL
        times = "\t".join(
            at(time) if time else NULL for time in (order.placed, order.accepted, order.delivered, order.ended)
        )
        orders.append(
            f"{order.id}\t{order.outcome}\t{order.buyer_id}\t{gig.seller.id}\t{gig.id}\t{gig.title}"
            f"\t{gig.package_ids[place]}\t{PACKAGES[0][place]}\t{price}\t{part}\t{fee}\t{gig.days[place]}\t{place + 1}"
            f"\t{REQUIREMENTS[order.placed % len(REQUIREMENTS)]}\t{times}\t{refund_id}"
        )
        state = PAYMENT_STATES.get(order.outcome, "CAPTURED")
        payments.append(
            f"{order.id}\tsandbox_{order.id}\t\t{price}\t{currency}\t{state}\t{at(order.placed + 7 * DAY)}"
            f"\t{at(order.placed)}"
        )
        if state == "CAPTURED":
            fees.append(f"fee_sandbox_{order.id}\t{order.id}\t{fee}")
        if refund_id is not NULL:
            refunds.append(f"refund_{refund_id}\t{refund_id}\t{order.id}\t{price}\tSUCCEEDED")
        if order.outcome in COMPLETED:
            gig.seller.available += net
            gig.seller.last_sale = max(gig.seller.last_sale, order.ended)
    payouts, paid = [], []
    for seller in market.sellers:
        if seller.available < SMALLEST_PAYOUT or rng.random() < 0.4:
            continue
        requested = seller.last_sale + int((batch.anchor - seller.last_sale) * 0.5 * rng.random())
        payout_id, amount = new_id(rng, requested), seller.available // 125
        destination = f"acct_{seller.id[:8]}"
        done = at(min(batch.anchor, requested + 5000))
        payouts.append(f"{payout_id}\t{seller.id}\t{amount}\t{destination}\t{at(requested)}\t{done}")
        paid.append(f"{payout_id}\tsandbox_{payout_id}\t{amount}\t{currency}\t{destination}\t{at(requested)}")
    return OrderRows(orders, payouts, currency, str(percent)), SandboxRows(payments, fees, refunds, paid)
