"""Rules of offers: made, withdrawn, declined, ordered, and expired."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, multiple, rule

from tests.support.marketmachine.machine import GOOD, ROLES, SELLERS, Asked
from tests.support.marketmachine.talking import EVERYBODY, Talking
from tests.support.marketmachine.trading import Trading
from tests.support.marketmodel import Order
from tests.support.story import a_name, ok
from tests.support.talkmodel import OPEN_OFFERS, Offer, Said, Talk

OFFER_PRICES = st.integers(50, 90_000).map(lambda cents: Decimal(cents) / 100)
# None is the default. Like the hours that pass, they meet no sum of those.
EXPIRIES = st.sampled_from([None, 5, 53, 719])
DEFAULT_HOURS = 168


class Offering(Trading, Talking):
    """Sellers make offers to those whom they talk with, and the buyer orders some."""

    def prepare(self) -> list[str]:
        """Begin with two offers to the buyer, and one to a seller."""
        orders = super().prepare()
        to_buyer, to_seller = self.talks.values()
        for talk, hours in ((to_buyer, None), (to_buyer, 53), (to_seller, None)):
            self._make_offer(talk, "seller", "seller", Decimal("19.99"), hours)
        return orders

    @rule(
        data=st.data(),
        who=st.sampled_from([*SELLERS, *SELLERS, *EVERYBODY]),
        price=OFFER_PRICES,
        expires_in=EXPIRIES,
        of_own_gig=st.sampled_from([True, True, True, False]),
    )
    def make_offer(
        self, data: st.DataObject, who: str, price: Decimal, expires_in: int | None, of_own_gig: bool
    ) -> None:
        owner = who if of_own_gig and who in SELLERS else next(name for name in SELLERS if name != who)
        self._make_offer(self.a_talk(data), who, owner, price, expires_in)

    def _make_offer(self, talk: Talk, who: str, owner: str, price: Decimal, expires_in: int | None) -> None:
        """Let somebody make an offer about a gig of `owner`."""
        body: dict[str, Any] = {"gigId": self.gigs[owner][0].id, "title": "All of it", "price": float(price)}
        body |= {"deliveryDays": 14, "revisions": 1} | ({"expiresInHours": expires_in} if expires_in else {})
        answer = self.call(who, "POST", f"/api/conversations/{talk.id}/offers", json=body)
        is_open = [each for each in self.offers.values() if each.talk is talk and each.status == "OPEN"]
        if who not in talk.sides:
            assert answer.status_code == (403 if who == "admin" else 404)
        elif owner != who:
            assert answer.status_code == 403
        elif refusals := self.blocks.refusals(who, talk.other(who)):
            assert (answer.status_code, answer.json()["code"]) in refusals
        elif len(is_open) == OPEN_OFFERS:
            assert (answer.status_code, answer.json()["code"]) == (409, "LIMIT_REACHED")
        else:
            made = ok(answer, 201)
            assert (Decimal(str(made["price"])), made["status"]) == (price, "OPEN")
            expires_at = self.now + (expires_in or DEFAULT_HOURS)
            self.offers[made["id"]] = Offer(made["id"], talk, who, price, 14, 1, expires_at)
            newest = ok(self.call(who, "GET", f"/api/conversations/{talk.id}"))["lastMessage"]
            assert newest["offerId"] == made["id"]
            self.said(talk, Said(newest["id"], who, "", offer=made["id"]))

    @rule(
        data=st.data(),
        action=st.sampled_from(["withdraw", "decline"]),
        who=st.sampled_from(["right", "right", *EVERYBODY]),
        with_message=st.booleans(),
    )
    def end_offer(self, data: st.DataObject, action: str, who: str, with_message: bool) -> None:
        offer = self._an_offer(data)
        right = offer.seller if action == "withdraw" else offer.buyer
        who = right if who == "right" else who
        text = a_name("No") if action == "decline" and with_message else ""
        body = {"message": text} if text else {}
        answer = self.call(who, "POST", f"/api/offers/{offer.id}/{action}", json=body)
        if who != right:
            assert answer.status_code == (403 if who in (*offer.talk.sides, "admin") else 404)
        elif offer.status != "OPEN":
            assert (answer.status_code, answer.json()["code"]) == (409, "OFFER_CLOSED")
        else:
            offer.status = {"withdraw": "WITHDRAWN", "decline": "DECLINED"}[action]
            assert ok(answer)["status"] == offer.status
            if text:
                newest = ok(self.call(who, "GET", f"/api/conversations/{offer.talk.id}"))["lastMessage"]
                self.said(offer.talk, Said(newest["id"], who, text, offer=offer.id))

    @rule(
        target=Trading.orders,
        data=st.data(),
        who=st.sampled_from(["buyer", "buyer", "buyer", *EVERYBODY]),
        card=st.sampled_from(
            [GOOD, GOOD, "sandbox_declined", "sandbox_capture_declined", "sandbox_timeout_after",
             "sandbox_capture_timeout", "sandbox_chargeback"]
        ),
        with_key=st.booleans(),
    )  # fmt: skip
    def order_offer(self, data: st.DataObject, who: str, card: str, with_key: bool) -> Any:
        offer = self._an_offer(data)
        body = {"offerId": offer.id, "paymentMethod": "sandbox", "paymentToken": card}
        key = a_name("key")
        before = set(self.known)
        headers = {"idempotency-key": key} if with_key else {}
        answer = self.call(who, "POST", "/api/orders", json=body, headers=headers)
        refusals = self.blocks.refusals(who, offer.seller)
        closed = {(409, "OFFER_CLOSED")} if offer.status != "OPEN" else set()
        if ROLES[who] != "buyer":
            assert answer.status_code == 403
        elif who != offer.buyer:
            assert (answer.status_code, answer.json()["error"]) == (404, "Offer not found")
        elif refusals or closed:
            assert (answer.status_code, answer.json()["code"]) in refusals | closed
        elif card in ("sandbox_declined", "sandbox_capture_declined"):
            assert (answer.status_code, answer.json()["code"]) == (402, "PAYMENT_DECLINED")
            assert set(self.listed()) == before
        else:
            if "timeout" in card:
                assert (answer.status_code, answer.json()["code"]) == (503, "OUTCOME_UNKNOWN")
                order = self.wait_for_order(before)
            else:
                order = ok(answer, 201)["orderId"]
            self._ordered(offer, order, card)
            if with_key:
                self.keys[key] = Asked(body, self.now, order, "IN_PROGRESS")
            return order
        return multiple()

    def _ordered(self, offer: Offer, order: str, card: str) -> None:
        offer.status, offer.order = "ACCEPTED", order
        seller = self.sellers[offer.seller]
        model = Order(seller, offer.seller, card, offer.price, offer.days, offer.revisions, self.now, offer.id)
        if card == "sandbox_chargeback":
            model.do("chargeback", "system", self.now)
        self.known[order] = model
        self.touched.add(order)

    @invariant()
    def offers_are_as_the_model_says(self) -> None:
        for side in ("buyer", "seller"):
            for who in (*self.sellers, "buyer", "stranger"):
                own = [each for each in self.offers.values() if getattr(each, side) == who]
                shown = [
                    (each["id"], each["status"], each.get("orderId"))
                    for each in self.rows(who, "/api/offers", role=side)
                ]
                assert shown == [(each.id, each.status, each.order) for each in reversed(own)]

    def _an_offer(self, data: st.DataObject) -> Offer:
        return self.offers[data.draw(st.sampled_from(list(self.offers)))]
