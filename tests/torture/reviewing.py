"""Reviews and replies of the load, and their comparison with the lists and the ratings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deploy.local.postgres import database_url
from edge import signing_keys
from review_service.gigs import Gigs
from review_service.repair_ratings import RatingRepair
from review_service.store.store import Store
from servicekit.database import Database
from servicekit.identity import ServiceTokens
from servicekit.internal_tls import InternalTls
from tests.support.stack import Stack
from tests.torture.retries import RetryingClient


@dataclass
class Written:
    """An acknowledged review, and its acknowledged reply; empty without one."""

    id: str
    gig: str
    order: str
    stars: int
    comment: str
    reply: str = ""

    def answer(self, seller: RetryingClient, text: str) -> str:
        """Reply to the review. Return the difference; empty when there is none."""
        answer = seller.until_definite("POST", f"/api/reviews/{self.id}/reply", json={"text": text})
        # Sent again after a lost response, it was there already.
        if answer.status_code != 200 and answer.json()["code"] != "ALREADY_REPLIED":
            return f"reply to {self.id}: {answer.status_code} {answer.text}"
        self.reply = text
        return ""


def wrong_reviews(reader: RetryingClient, gigs: list[str], written: list[Written]) -> Iterator[str]:
    """Yield what is wrong unless each acknowledged review and reply is there once, and every rating is their mean."""
    for gig in gigs:
        of_gig = [review for review in written if review.gig == gig]
        acknowledged = Counter((each.id, each.order, each.stars, each.comment, each.reply) for each in of_gig)
        path = f"/api/gigs/{gig}/reviews"
        listed = Counter(map(_as_listed, reader.all(path)))
        if listed != acknowledged:
            yield f"gig {gig}: missing {acknowledged - listed}; there and not acknowledged {listed - acknowledged}"
        rating, page, totals = (mean(of_gig), len(of_gig)), reader.get(f"/api/gigs/{gig}"), reader.get(path)
        found = {each["id"]: each for each in reader.all("/api/gigs", sellerId=page["seller"]["id"])}[gig]
        shown = {
            "page": (page["rating"], page["reviewCount"]),
            "search": (found["rating"], found["reviewCount"]),
            "list": (totals["averageRating"], totals["total"]),
        }
        yield from (
            f"gig {gig}: its {place} shows {each}; it is {rating}" for place, each in shown.items() if each != rating
        )
        stars = Counter(review.stars for review in of_gig)
        if totals["histogram"] != {str(number): stars[number] for number in range(1, 6)}:
            yield f"gig {gig}: the histogram is {totals['histogram']}, and should be {stars}"


def mean(reviews: list[Written]) -> float:
    """Return the mean of the stars, rounded half up to one decimal; 0 without reviews.

    It is computed apart from servicekit, whose mistakes would be made here too.
    """
    total, number = sum(review.stars for review in reviews), len(reviews)
    return (20 * total + number) // (2 * number) / 10 if number else 0.0


def wrong_ratings(stack: Stack) -> list[str]:
    """Return what `make repair-ratings ARGS=--dry-run` finds."""
    addresses = ",".join(f"127.0.0.1:{stack.ports.rpc('gig', worker)}" for worker in range(stack.workers))
    key = signing_keys.service_key(stack.data_dir).private.read_text()
    store = Store(Database(database_url(stack.layout, "reviews")))
    tls = InternalTls(stack.layout.tls / "review", "review") if stack.has_internal_tls else None
    gigs = Gigs(addresses, ServiceTokens(key, "review"), tls)
    return RatingRepair(store, gigs, only_reports=True).execute().differences


def _as_listed(review: dict[str, Any]) -> tuple[str, str, int, str, str]:
    reply = review.get("reply", {}).get("text", "")
    return review["id"], review["orderId"], review["rating"], review["comment"], reply
