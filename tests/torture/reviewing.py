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
from servicekit.rating import mean_rating
from tests.support.stack import Stack
from tests.torture.retries import RetryingClient


@dataclass
class Written:
    """An acknowledged review, and its acknowledged reply; empty without one."""

    id: str
    gig: str
    stars: int
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
        acknowledged = Counter((review.id, review.stars, review.reply) for review in of_gig)
        listed = Counter(map(_as_listed, reader.all(f"/api/gigs/{gig}/reviews")))
        if listed != acknowledged:
            yield f"gig {gig}: missing {acknowledged - listed}; there and not acknowledged {listed - acknowledged}"
        mean = float(mean_rating(len(of_gig), sum(review.stars for review in of_gig)))
        page, average = reader.get(f"/api/gigs/{gig}"), reader.get(f"/api/gigs/{gig}/reviews")["averageRating"]
        if (page["rating"], page["reviewCount"], average) != (mean, len(of_gig), mean):
            yield f"gig {gig}: shows {page['rating']} of {page['reviewCount']}, the list {average}; it is {mean}"


def wrong_ratings(stack: Stack) -> list[str]:
    """Return what `make repair-ratings ARGS=--dry-run` finds."""
    addresses = ",".join(f"127.0.0.1:{stack.ports.rpc('gig', worker)}" for worker in range(stack.workers))
    key = signing_keys.service_key(stack.data_dir).private.read_text()
    store = Store(Database(database_url(stack.layout, "reviews")))
    return RatingRepair(store, Gigs(addresses, ServiceTokens(key, "review")), only_reports=True).execute().differences


def _as_listed(review: dict[str, Any]) -> tuple[str, int, str]:
    return review["id"], review["rating"], review.get("reply", {}).get("text", "")
