"""Reviews and replies of one trader: what was acknowledged, and what of it everybody can read."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.torture.retries import Counts, RetryingClient

# How often a trader reads a list while it trades, or tries a second review or reply.
SOMETIMES = 0.1
PAGE_SIZE = 7


@dataclass
class Review:
    """An acknowledged review, with the text of its acknowledged reply."""

    id: str
    gig: str
    order: str
    rating: int
    comment: str
    reply: str = ""

    @property
    def row(self) -> tuple[str, str, int, str, str]:
        """What a list shows of it."""
        return self.id, self.order, self.rating, self.comment, self.reply


class Reviews:
    """The reviews that a trader's buyer has submitted, and the replies of their seller.

    `make` posts something with an idempotency key and returns the response, or None for a refusal with one of the codes
    that it is given. Differences are added to `differences`.
    """

    def __init__(
        self,
        seed: int,
        people: dict[str, RetryingClient],
        counts: Counts,
        make: Callable[..., Any],
        differences: list[str],
    ) -> None:
        self._random = random.Random(seed)  # no secret
        self._people = people
        self._counts = counts
        self._make = make
        self._differences = differences
        self.acknowledged: list[Review] = []

    def submit(self, order: str) -> bool:
        """Review an order. Return whether that was acknowledged."""
        path = f"/api/orders/{order}/review"
        rating, comment = self._random.randint(1, 5), f"Well, {uuid4().hex}"
        body = {"rating": rating, "comment": comment}
        made = self._make("buyer", path, body, "ORDER_NOT_DELIVERED")
        if made is None:
            return False
        self._counts.add("reviews")
        self.acknowledged.append(Review(made["reviewId"], made["gigId"], order, rating, comment))
        # Nobody else reviews this trader's gigs, and it submits one review after the other.
        average = mean(self._of_gig(made["gigId"]))
        if made["newAverageRating"] != average:
            self._differences.append(f"{path}: the average is {made['newAverageRating']}, and should be {average}")
        if self._random.random() < SOMETIMES and self._make("buyer", path, body, "ALREADY_REVIEWED"):
            self._differences.append(f"order {order} has two reviews")
        return True

    def reply(self) -> None:
        """Reply to a review that has no reply."""
        waiting = [review for review in self.acknowledged if not review.reply]
        if not waiting:
            return
        review = self._random.choice(waiting)
        path, text = f"/api/reviews/{review.id}/reply", f"Thank you, {uuid4().hex}"
        answer = self._people["seller"].until_definite("POST", path, json={"text": text})
        if answer.status_code == 200:
            self._counts.add("replies")
        elif answer.json().get("code") == "ALREADY_REPLIED":
            # By a request whose response was lost: the list has this text then.
            self._counts.add("replies found in the list")
        else:
            self._differences.append(f"{path}: {answer.status_code} {answer.text}")
            return
        review.reply = text
        if self._random.random() < SOMETIMES:
            again = self._people["seller"].until_definite("POST", path, json={"text": "Once more"})
            if again.json().get("code") != "ALREADY_REPLIED":
                self._differences.append(f"{path}: a second reply got {again.status_code} {again.text}")

    def look(self, gigs: list[str]) -> None:
        """Sometimes compare the list of a gig with what was acknowledged, while the load goes on."""
        if self._random.random() < SOMETIMES:
            self._counts.add("lists of reviews compared")
            self._differences.extend(self._listed(self._random.choice(gigs)))

    def compare(self, gigs: list[str]) -> Iterator[str]:
        """Yield each difference at the end: between what was acknowledged, the lists, the gigs' pages and a search."""
        found: dict[str, Any] = {}
        for gig in gigs:
            yield from self._listed(gig)
            page = self._people["buyer"].get(f"/api/gigs/{gig}")
            if not found:
                results = self._people["buyer"].all("/api/gigs", sellerId=page["seller"]["id"])
                found = {result["id"]: result for result in results}
            reviews = self._of_gig(gig)
            expected = (mean(reviews), len(reviews))
            for place, shown in (("page", page), ("search", found.get(gig, {}))):
                rating = (shown.get("rating"), shown.get("reviewCount"))
                if rating != expected:
                    yield f"gig {gig}: its {place} shows {rating}, its reviews come to {expected}"
            self._counts.add("ratings compared")

    def _listed(self, gig: str) -> Iterator[str]:
        """Yield each difference between a gig's list of reviews and what was acknowledged."""
        path, buyer, reviews = f"/api/gigs/{gig}/reviews", self._people["buyer"], self._of_gig(gig)
        rows: list[Any] = []
        params: dict[str, Any] = {"pageSize": PAGE_SIZE}
        while True:
            page = buyer.get(path, **params)
            rows += page["results"]
            if "nextPageToken" not in page:
                break
            params["pageToken"] = page["nextPageToken"]
        shown = Counter(
            (row["id"], row["orderId"], row["rating"], row["comment"], row.get("reply", {}).get("text", ""))
            for row in rows
        )
        acknowledged = Counter(review.row for review in reviews)
        if shown != acknowledged:
            missing, surplus = acknowledged - shown, shown - acknowledged
            yield f"{path}: acknowledged and missing: {missing}; there and not acknowledged: {surplus}"
        stars = Counter(review.rating for review in reviews)
        expected = {
            "total": len(reviews),
            "averageRating": mean(reviews),
            "histogram": {str(number): stars[number] for number in range(1, 6)},
        }
        totals = {name: page[name] for name in expected}
        if totals != expected:
            yield f"{path}: {totals}, and its reviews come to {expected}"

    def _of_gig(self, gig: str) -> list[Review]:
        return [review for review in self.acknowledged if review.gig == gig]


def mean(reviews: list[Review]) -> float:
    """Return the mean of the ratings, rounded half up to one decimal; 0 without reviews."""
    if not reviews:
        return 0.0
    total, number = sum(review.rating for review in reviews), len(reviews)
    return (20 * total + number) // (2 * number) / 10
