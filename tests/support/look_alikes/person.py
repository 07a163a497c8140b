"""One of two look-alikes, and one of everything that a user can have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import jwt

from edge import signing_keys
from order_service.payments.sandbox import scenarios
from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import AN_EXTRA, SEED_GIG, SEED_PACKAGE, SEED_REVIEW, Market, a_gig, action_path, ok
from tests.support.uploads import JPEG, a_jpeg

ROLES = ("seller", "buyer")
# Both use these idempotency keys, the first one on every path.
KEY = {"idempotency-key": "the same"}
SECOND_KEY = {"idempotency-key": "the same, again"}
SEED_REPLY = {"text": "Thank you!"}
PRICE = 500
# The actions that bring an order from PENDING to a status.
ACCEPTED = (("seller", "accept"),)
DELIVERED = (*ACCEPTED, ("seller", "deliver"))
STEPS: dict[str, tuple[tuple[str, str], ...]] = {
    "PENDING": (),
    "IN_PROGRESS": ACCEPTED,
    "DELIVERED": DELIVERED,
    "COMPLETED": (*DELIVERED, ("buyer", "complete")),
    "DISPUTED": (*DELIVERED, ("buyer", "dispute")),
    "CANCELLED": (("seller", "decline"),),
}


@dataclass(frozen=True)
class Keyed:
    """A request with the idempotency key, and its response."""

    path: str
    body: dict[str, Any]
    answer: httpx.Response


@dataclass
class Person:
    """A user with a client, and what they have."""

    id: str
    name: str
    client: httpx.Client
    token: str
    word: str = field(default_factory=lambda: uuid4().hex)
    """Stands in every private text of this person, and in no other."""
    marks: dict[str, str] = field(default_factory=dict)
    """Texts that nobody else may be shown, and what they are."""
    gig: dict[str, Any] = field(default_factory=dict)
    """The page of the ACTIVE gig."""
    paused: list[dict[str, Any]] = field(default_factory=list)
    bought: dict[str, str] = field(default_factory=dict)
    """An order in each status, as its buyer."""
    sold: dict[str, str] = field(default_factory=dict)
    orders: list[str] = field(default_factory=list)
    payouts: list[str] = field(default_factory=list)
    reviewed: str = ""
    """The order that this person has reviewed."""
    replied: str = ""
    """A review of the gig, by a buyer, to which this person has replied."""
    unreplied: str = ""
    """One to which they have not."""
    keyed: dict[str, Keyed] = field(default_factory=dict)
    endpoint: str = ""
    secret: str = ""
    deliveries: list[str] = field(default_factory=list)
    conversation: str = ""
    """A conversation with the market's seller."""
    got: list[str] = field(default_factory=list)
    """Offers of the market's seller: open, declined, accepted."""
    made: str = ""
    """An open offer to the market's seller."""
    message: str = ""
    """A message of it, by this person."""
    blocked: str = ""
    """A user whom this person has blocked."""

    @classmethod
    def of(cls, stack: Stack, name: str) -> Person:
        """Return a new user of this name. All claims of their token but `sub` are those of others of the name."""
        user = str(uuid4())
        key = signing_keys.user_key(stack.data_dir).load()
        claims = jwt.decode(stack.token(name, *ROLES), options={"verify_signature": False}) | {"sub": user}
        token = jwt.encode(claims, key, algorithm=signing_keys.ALGORITHM, headers={"kid": signing_keys.key_id(key)})
        client = httpx.Client(base_url=stack.url, headers={"authorization": f"Bearer {token}"}, timeout=15)
        person = cls(user, name, client, token)
        person.marks |= {user: "the user's id", person.word: "a private text"}
        return person

    def owns(self, identity: str, what: str) -> str:
        """Record that nobody else may be shown this text. Return it."""
        self.marks[identity] = what
        return identity

    def ask_once(self, name: str, path: str, body: dict[str, Any], key: dict[str, str] = KEY) -> Any:
        """Post with the idempotency key, and keep request and response under a name. Return the JSON."""
        self.keyed[name] = Keyed(path, body, self.client.post(path, json=body, headers=key))
        return self.keyed[name].answer.json()

    def repeat(self, name: str) -> httpx.Response:
        """Send a kept request again."""
        return self.client.post(self.keyed[name].path, json=self.keyed[name].body, headers=KEY)

    def buys(self, market: Market, gig: dict[str, Any], status: str = "PENDING") -> str:
        """Bring a new order of the market's seller's gig to a status. Return its id."""
        return self._bring(gig, status, {"buyer": self.client, "seller": market.seller})

    def sells(self, market: Market, status: str = "PENDING") -> str:
        """Bring a new order of the own gig, by the market's buyer, to a status. Return its id."""
        return self._bring(self.gig, status, {"buyer": market.buyer, "seller": self.client})

    def _bring(self, gig: dict[str, Any], status: str, sides: dict[str, httpx.Client]) -> str:
        body = {**order_request(gig), "requirements": f"Need dark theme, {self.word}"}
        order = str(ok(sides["buyer"].post("/api/orders", json=body), 201)["orderId"])
        self.orders.append(self.owns(order, f"an order that came to {status}"))
        for side, action in STEPS[status]:
            ok(sides[side].post(f"/api/orders/{order}/{action}", json={"message": f"{action}, {self.word}"}))
        return order


def order_request(gig: dict[str, Any], card: str = "") -> dict[str, Any]:
    """Return the body that orders a gig's first package; the same for all buyers."""
    return {"packageId": gig["packages"][0]["id"], "paymentMethod": "sandbox", "paymentToken": card}


def furnish(person: Person, market: Market, gig: dict[str, Any], adjustment: float) -> None:
    """Give a person one of everything. Both look-alikes get the same, but for the amount of the adjustment.

    `gig` is the gig of the market's seller.
    """
    _gigs(person)
    person.bought = {status: person.buys(market, gig, status) for status in STEPS}
    person.sold = {status: person.sells(market, status) for status in STEPS}
    # One order waits for the buyer's answer; for the other one the seller can still ask.
    more_time = {"days": 5, "message": f"More time, {person.word}"}
    ok(market.seller.post(action_path(person.bought["IN_PROGRESS"], "extend"), json=more_time))
    placed = person.ask_once("PlaceOrder", "/api/orders", order_request(gig))
    person.orders.append(person.owns(placed["orderId"], "an order by a key"))
    to_confirm = order_request(gig, scenarios.CONFIRM_NEVER)
    waiting = person.ask_once("PlaceOrder to confirm", "/api/orders", to_confirm, SECOND_KEY)
    person.owns(waiting["confirmation"]["clientSecret"], "a client secret")
    person.reviewed = person.bought["COMPLETED"]
    person.ask_once("SubmitReview", f"/api/orders/{person.reviewed}/review", SEED_REVIEW)
    person.replied, person.unreplied = (
        ok(market.buyer.post(f"/api/orders/{person.sold[status]}/review", json=SEED_REVIEW), 201)["reviewId"]
        for status in ("COMPLETED", "DELIVERED")
    )
    ok(person.client.post(f"/api/reviews/{person.replied}/reply", json=SEED_REPLY))
    _money(person, market, adjustment)


def _gigs(person: Person) -> None:
    """Create an ACTIVE gig and two PAUSED ones, the same as those of everyone who is furnished."""
    client = person.client
    made = person.ask_once("CreateGig", "/api/gigs", a_gig(price=PRICE, revisions=1))
    package = {**SEED_PACKAGE, "extras": [AN_EXTRA]}
    person.ask_once("AddPackage", f"/api/gigs/{made['id']}/packages", package)
    _picture(client, made["id"])
    person.gig = ok(client.get(f"/api/gigs/{made['id']}"))
    for _ in range(2):
        paused = ok(client.post("/api/gigs", json={**SEED_GIG, "packages": [package, package]}), 201)["id"]
        _picture(client, paused)
        ok(client.patch(f"/api/gigs/{paused}/status", json={"status": "PAUSED"}))
        page = ok(client.get(f"/api/gigs/{paused}"))
        extras = [extra for each in page["packages"] for extra in each["extras"]]
        for each in (page, *page["packages"], *extras, *page["images"]):
            person.owns(each["id"], "of a paused gig")
        person.paused.append(page)


def _picture(client: httpx.Client, gig: str) -> None:
    ok(client.post(f"/api/gigs/{gig}/images", content=a_jpeg(), headers={"content-type": JPEG}), 201)


def _money(person: Person, market: Market, adjustment: float) -> None:
    """Refund a sale, adjust the balance, and pay a part of it out."""
    refund = {"amount": 1, "message": f"A refund, {person.word}", "from": "platform"}
    ok(market.admin.post(f"/api/orders/{person.sold['COMPLETED']}/refund", json=refund, headers=KEY))
    adjusted = {"amount": adjustment, "message": f"An adjustment, {person.word}"}
    ok(market.admin.post(f"/api/sellers/{person.id}/adjustments", json=adjusted, headers=KEY), 201)
    ok(person.client.put("/api/payout-account", json={"destination": f"acct_{person.word}"}))
    payout = person.ask_once("RequestPayout", "/api/payouts", {"amount": 100})
    person.payouts.append(person.owns(payout["payoutId"], "a payout"))


def settle(person: Person) -> None:
    """Wait until nothing of a person's changes by itself any more. Raises AssertionError."""

    def is_settled() -> bool:
        # One by one: a list may be what a test finds at fault.
        payouts = [ok(person.client.get(f"/api/payouts/{payout}")) for payout in person.payouts]
        payments = [ok(person.client.get(f"/api/orders/{order}"))["payment"] for order in person.orders]
        page = ok(person.client.get(f"/api/gigs/{person.gig['id']}"))
        return (
            all(payout["status"] != "PENDING" for payout in payouts)
            and sum(payment["refunded"] for payment in payments) == 1
            and sum(payment["status"] == "VOIDED" for payment in payments) == 2
            and (page["reviewCount"], page["seller"]["badges"]) == (2, [])
        )

    eventually(is_settled)
