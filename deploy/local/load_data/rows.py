"""The rows of a batch for each database, as lines of COPY's text format.

No text has a tab, a line end or a backslash, so none is escaped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from random import Random

import orjson

from deploy.local.load_data import texts
from deploy.local.load_data.market import DAY, Gig, Market, Order, Review, at, new_id
from deploy.local.load_data.phrases import COMMENTS, EXTRAS, FEATURES, PACKAGES, REPLIES, REQUIREMENTS
from deploy.local.load_data.plan import Batch
from gig_service.domain import analysis
from gig_service.domain.word_bits import word_bits
from gig_service.store.bulk_load import GigRows
from order_service.domain.commission import commission
from order_service.payments.sandbox.bulk_load import SandboxRows
from order_service.payments.sandbox.records import CENT, FEE_FIXED, FEE_PART
from order_service.store.bulk_load import LoadedLine, LoadedOrder, LoadedPayout
from review_service.store.bulk_load import ReviewRows
from servicekit.bulk_load import NULL
from servicekit.rating import mean_rating

_LEXEME = re.compile(r"'([^']+)':")
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
    search_lines: list[str] = []
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
        body = [sentences[int(random() * len(sentences))] for _ in range(2 + int(3 * random()))]
        description = f"{gig.title}. {' '.join([text for text, _ in body])}"
        # The title gives the description nothing that it has not by itself.
        document = analysis.document_of_parts(gig.title, tags, [part for _, part in body])
        words.update(document.words)
        chance, created = random(), at(gig.created)
        status = "ACTIVE" if chance < 0.97 else "PAUSED" if chance < 0.998 else "SUSPENDED"
        count = sum(gig.star_counts)
        total = sum(stars * number for stars, number in enumerate(gig.star_counts, start=1))
        rating = mean_rating(count, total)
        category = services.category_ids[gig.service]
        tag_list = '","'.join(tags)
        # A rating's version is its number of reviews.
        gig_lines.append(
            f'{gig.id}\t{gig.seller.id}\t{gig.title}\t{description}\t{category}\t{{"{tag_list}"}}\t{status}\t1'
            f"\t{created}\t{created}\t{count}\t{count}\t{total}\t{rating}\t{document.lexemes}"
        )
        package_lines += _package_lines(gig, rng)
        before = f"{gig.id}\t{gig.seller.id}\t{status}\t{category}\t{services.section_ids[gig.service]}"
        after = f"{rating}\t{count}\t{created}"
        bits = word_bits(_LEXEME.findall(document.lexemes))
        # The first package is the cheapest.
        search_lines += [
            f"{gig.package_ids[place]}\t{before}\t{gig.prices[place]}\t{gig.days[place]}\t{after}\t{place == 0}\t{bits}"
            for place in range(3)
        ]
    return GigRows(seller_lines, gig_lines, package_lines, review_lines, search_lines, words)


def _package_lines(gig: Gig, rng: Random) -> Iterator[str]:
    titles = PACKAGES[int(rng.random() * len(PACKAGES))]
    features = FEATURES[int(rng.random() * len(FEATURES))]
    for place in range(3):
        extras = [
            {
                "id": new_id(rng, gig.created),
                "title": title,
                "price": gig.extra_price,
                "extra_days": days,
                "extra_revisions": revisions,
            }
            for title, days, revisions in EXTRAS[: gig.extras]
        ]
        yield (
            f"{gig.package_ids[place]}\t{gig.id}\t{place + 1}\t{titles[place]}\t{gig.title}"
            f'\t{gig.prices[place]}\t{gig.days[place]}\t{{"{features}"}}\t{place + 1}'
            f"\t{orjson.dumps(extras).decode()}"
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
def _money(price: int, percent: Decimal) -> tuple[int, int]:
    """Return the commission on a whole price and the sandbox's fee for it, in cents."""
    fee = (price * FEE_PART + FEE_FIXED).quantize(CENT, ROUND_HALF_UP)
    return int(commission(Decimal(price), percent) * 100), int(fee * 100)


def order_rows(market: Market, batch: Batch, percent: Decimal) -> tuple[list[LoadedOrder], list[LoadedPayout]]:
    """Return the orders and payouts of OrderService."""
    rng = Random(f"{batch.seed}:{batch.number}:money")  # noqa: S311  # no secrets
    orders, payouts = [], []
    for order in market.orders:
        gig, place = order.gig, order.package
        extras = EXTRAS[: order.extras]
        lines: tuple[LoadedLine, ...] = ()
        if extras or order.quantity > 1:
            lines = (
                LoadedLine(PACKAGES[0][place], gig.prices[place] * 100, order.quantity),
                *(LoadedLine(title, gig.extra_price * 100, 1) for title, _, _ in extras),
            )
        price = gig.prices[place] * order.quantity + gig.extra_price * order.extras
        part, fee = _money(price, percent)
        loaded = LoadedOrder(
            order.id,
            order.outcome,
            order.buyer_id,
            gig.seller.id,
            gig.id,
            gig.title,
            gig.package_ids[place],
            PACKAGES[0][place],
            lines,
            price * 100,
            part,
            fee,
            max(1, gig.days[place] + sum(days for _, days, _ in extras)),
            place + 1 + sum(revisions for _, _, revisions in extras),
            REQUIREMENTS[order.placed % len(REQUIREMENTS)],
            order.placed,
            order.accepted,
            order.delivered,
            order.ended,
            new_id(rng, order.ended) if order.outcome == "cancelled" else NULL,
        )
        orders.append(loaded)
        if order.outcome in COMPLETED:
            gig.seller.available += price * 100 - part
            gig.seller.last_sale = max(gig.seller.last_sale, order.ended)
    for seller in market.sellers:
        if seller.available < SMALLEST_PAYOUT or rng.random() < 0.4:
            continue
        requested = seller.last_sale + int((batch.anchor - seller.last_sale) * 0.5 * rng.random())
        # Four fifths of it, a whole amount.
        amount = seller.available // 125 * 100
        paid = min(batch.anchor, requested + 5000)
        payouts.append(
            LoadedPayout(new_id(rng, requested), seller.id, amount, f"acct_{seller.id[:8]}", requested, paid)
        )
    return orders, payouts


def sandbox_rows(orders: Iterable[LoadedOrder], payouts: Iterable[LoadedPayout], currency: str) -> SandboxRows:
    """Return the rows of the sandbox."""
    made = SandboxRows([], [], [], [])
    for order in orders:
        state = PAYMENT_STATES.get(order.outcome, "CAPTURED")
        made.payments.append(
            f"{order.id}\tsandbox_{order.id}\t\t{order.price}e-2\t{currency}\t{state}\t{at(order.placed + 7 * DAY)}"
            f"\t{at(order.placed)}"
        )
        if state == "CAPTURED":
            made.fees.append(f"fee_sandbox_{order.id}\t{order.id}\t{order.fee}e-2")
        if order.refund_id != NULL:
            made.refunds.append(f"refund_{order.refund_id}\t{order.refund_id}\t{order.id}\t{order.price}e-2\tSUCCEEDED")
    for payout in payouts:
        made.payouts.append(
            f"{payout.id}\tsandbox_{payout.id}\t{payout.amount}e-2\t{currency}\t{payout.destination}"
            f"\t{at(payout.requested)}"
        )
    return made
