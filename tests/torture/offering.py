"""Offers of the load: made, and then withdrawn, declined, or ordered by several requests at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

import httpx

from order_service.payments.sandbox import scenarios
from tests.torture.making import Maker
from tests.torture.retries import RetryingClient
from tests.torture.talking import Said, Talk

# The cards with which no offer is ordered, since its payment is captured at once.
REFUSED = frozenset((scenarios.DECLINED, scenarios.CONFIRM_REFUSED, scenarios.CAPTURE_DECLINED))
# The codes of an order that comes second: the offer is closed, or another payment for it is in doubt.
TOO_LATE = ("OFFER_CLOSED", "CONFLICT")
MOST_ORDERS = 4
# How often an offer is ordered, and how often its seller or its buyer ends it, perhaps at the same moment.
ORDERED, ENDED = 0.7, 0.3
ENDS = {"withdraw": ("seller", "WITHDRAWN"), "decline": ("buyer", "DECLINED")}


@dataclass
class Made:
    """An acknowledged offer, its status as its seller last saw it, and its order."""

    id: str
    price: Decimal
    status: str = "OPEN"
    order: str | None = None


class Offers:
    """The offers of a seller to a buyer."""

    def __init__(self, maker: Maker, talk: Talk, cards: Sequence[str]) -> None:
        self._maker = maker
        self._talk = talk
        # Nobody waits a quarter of an hour for a confirmation that never comes.
        self._cards = [card for card in cards if card != scenarios.CONFIRM_NEVER]
        self.made: list[Made] = []

    def trade(self, gig: str) -> Made | None:
        """Make an offer about a gig; several requests, all at once, then order it or end it. Return it if ordered."""
        offer = self._make(gig)
        if offer is None:
            return None
        chance = self._maker.random
        number = chance.randint(1, MOST_ORDERS) if chance.random() < ORDERED else 0
        orders = [partial(self._order, offer, chance.choice(self._cards)) for _ in range(number)]
        ends = [partial(self._end, offer, chance.choice(sorted(ENDS)))] if chance.random() < ENDED else []
        if orders or ends:
            self._do_at_once(offer, orders, ends)
        return offer if offer.order else None

    def _make(self, gig: str) -> Made | None:
        price = Decimal(self._maker.random.randrange(500, 20_000)) / 100
        body = {"gigId": gig, "title": f"For you {uuid4().hex}", "price": float(price), "deliveryDays": 3}
        # Some offers stay open.
        made = self._maker.make("seller", f"/api/conversations/{self._talk.id}/offers", body, "LIMIT_REACHED")
        if made is None:
            self._end(next(each for each in self.made if each.status == "OPEN"), "withdraw")
            return None
        self._maker.counts.add("offers made")
        self.made.append(Made(made["id"], price))
        self._talk.said.append(Said("seller", "", offer=made["id"]))
        return self.made[-1]

    def _do_at_once(
        self, offer: Made, orders: Sequence[Callable[[], str | None]], ends: Sequence[Callable[[], bool]]
    ) -> None:
        with ThreadPoolExecutor(len(orders) + len(ends)) as pool:
            ordering, ending = [pool.submit(each) for each in orders], [pool.submit(each) for each in ends]
        won = [order for each in ordering if (order := each.result())]
        is_ended = any(each.result() for each in ending)
        shown = self._see(offer)
        offer.order = won[0] if won else None
        if len(won) > 1 or (won and is_ended):
            self._maker.differences.append(f"offer {offer.id}: ordered as {won}, ended: {is_ended}")
        if (shown["status"] == "ACCEPTED") != bool(won) or shown.get("orderId") != offer.order:
            self._maker.differences.append(f"offer {offer.id}: ordered as {won}, and shown as {shown}")
        self._maker.counts.add(f"offers {offer.status}")

    def _order(self, offer: Made, card: str) -> str | None:
        """Order the offer with a card. Return the order's id; None when it is refused."""
        body = {
            "offerId": offer.id,
            "paymentMethod": "sandbox",
            "paymentToken": card,
            "expectedPrice": float(offer.price),
        }
        refusals = (*TOO_LATE, "PAYMENT_DECLINED") if card in REFUSED else TOO_LATE
        made = self._maker.make("buyer", "/api/orders", body, *refusals)
        if made is not None and card in REFUSED:
            self._maker.differences.append(f"order {made['orderId']}: there although the card was refused")
        return made and str(made["orderId"])

    def _end(self, offer: Made, action: str) -> bool:
        """Withdraw or decline the offer. Return whether that has ended it."""
        who, status = ENDS[action]
        said = Said(who, f"No, {uuid4().hex}", offer=offer.id) if action == "decline" else None
        answer = self._maker.people[who].until_definite(
            "POST", f"/api/offers/{offer.id}/{action}", json={"message": said.text} if said else {}
        )
        if not answer.is_success and answer.json()["code"] not in TOO_LATE:
            self._maker.differences.append(f"offer {offer.id}: {action} got {answer.text}")
        # Sent again after a lost response, it was ended already. Nobody else ends it so.
        is_ended = self._see(offer)["status"] == status or answer.is_success
        if is_ended and said:
            self._talk.said.append(said)
        return is_ended

    def _see(self, offer: Made) -> Any:
        shown = self._maker.people["seller"].get(f"/api/offers/{offer.id}")
        offer.status = shown["status"]
        return shown


def wrong_offers(offers: Offers, people: Mapping[str, RetryingClient], stranger: RetryingClient) -> Iterator[str]:
    """Yield where offers differ from what was acknowledged, where one has two orders, or a stranger sees one."""
    expected = {each.id: (each.status, each.order, each.price) for each in offers.made}
    for side in ("buyer", "seller"):
        listed = people[side].all("/api/offers", role=side)
        shown = {each["id"]: (each["status"], each.get("orderId"), Decimal(str(each["price"]))) for each in listed}
        if shown != expected or len(listed) != len(expected):
            yield f"the {side}'s offers are {shown}, acknowledged were {expected}"
    orders = people["buyer"].all("/api/orders")
    ordered = Counter(order["offerId"] for order in orders if "offerId" in order)
    if ordered != Counter(each.id for each in offers.made if each.order):
        yield f"orders of offers: {ordered}; accepted: {[each.id for each in offers.made if each.order]}"
    for offer in expected:
        answer: httpx.Response = stranger.until_definite("GET", f"/api/offers/{offer}")
        if answer.status_code != 404:
            yield f"offer {offer} of a stranger: {answer.status_code} {answer.text}"
    if seen := stranger.all("/api/offers"):
        yield f"a stranger has offers: {seen}"
