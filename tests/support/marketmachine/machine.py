"""The ground of the market's state machine: its people, its time, and the models that they are held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule

from servicekit.clock import Clock
from tests.support.marketmodel import Order, Seller
from tests.support.stack import Stack
from tests.support.story import a_gig, a_name, ok
from tests.support.talkmodel import Blocks, File, Offer, Talk

ROLES = {"buyer": "buyer", "seller": "seller", "admin": "admin", "stranger": "buyer", "other": "seller"}
SELLERS = ("seller", "other")
# Their sums meet none of the contract's limits to the hour.
HOURS = st.sampled_from([7, 31, 100, 360])
CENTS = st.integers(0, 120_000).map(lambda cents: Decimal(cents) / 100)
PRICES = ("0.50", "5", "19.99", "0.65", "999.99")
GOOD = ""


class Participants:
    """The people of one example, and the clock of the stack."""

    def __init__(self, stack: Stack, clock: Clock) -> None:
        self.clock = clock
        self.clients = {name: stack.client(a_name(name), role) for name, role in ROLES.items()}

    def close(self) -> None:
        for client in self.clients.values():
            client.close()


@dataclass(frozen=True)
class Extra:
    """An extra of a package."""

    id: str
    price: Decimal
    days: int
    revisions: int


@dataclass(frozen=True)
class Gig:
    """A gig with one package."""

    id: str
    package: str
    price: Decimal
    days: int
    revisions: int
    extras: tuple[Extra, ...]


@dataclass(frozen=True)
class Asked:
    """A placing with an idempotency key: its body, its time, the order that was answered, and its status then."""

    body: dict[str, Any]
    at: int
    order: str
    status: str


class Machine(RuleBasedStateMachine):
    """What all rules share. A subclass has `make`, which returns new people."""

    orders: Bundle[str] = Bundle("orders")
    make: ClassVar[Callable[[], Participants]]

    @initialize(target=orders)
    def open(self) -> Any:
        self.participants = type(self).make()
        self.now = 0
        self.known: dict[str, Order] = {}
        self.sellers = {name: Seller() for name in SELLERS}
        self.gigs = {name: self._gigs(name) for name in SELLERS}
        self.keys: dict[str, Asked] = {}
        self.accounts: dict[str, str] = {}
        self.payouts: dict[str, list[tuple[str, str]]] = {name: [] for name in SELLERS}
        self.touched: set[str] = set()
        self.talks: dict[frozenset[str], Talk] = {}
        self.touched_talks: set[str] = set()
        self.files: list[File] = []
        self.offers: dict[str, Offer] = {}
        self.blocks = Blocks()
        # The user ids by the names of people, as far as conversations have told them.
        self.ids: dict[str, str] = {}
        return multiple(*self.prepare())

    def prepare(self) -> list[str]:
        """Make what an example begins with, so that few steps lead far. Return the orders."""
        return []

    def call(self, who: str, method: str, path: str, **options: Any) -> httpx.Response:
        return self.participants.clients[who].request(method, path, **options)

    def rows(self, who: str, path: str, **params: Any) -> list[Any]:
        """Return all rows of a list."""
        rows: list[Any] = []
        params["pageSize"] = 100
        while True:
            page = ok(self.call(who, "GET", path, params=params))
            rows += page["results"]
            if "nextPageToken" not in page:
                return rows
            params["pageToken"] = page["nextPageToken"]

    def upload(self, who: str, content: bytes) -> File:
        """Upload a file."""
        body = {"content": content, "headers": {"content-type": "text/plain"}}
        made = ok(self.call(who, "POST", "/api/files", params={"name": "notes.txt"}, **body), 201)
        self.files.append(File(made["fileId"], who, content, self.now))
        return self.files[-1]

    @rule(hours=HOURS)
    def pass_time(self, hours: int) -> None:
        # What is under way is known before time passes over it.
        self.compare_all()
        self.participants.clock.travel(timedelta(hours=hours))
        self.now += hours
        for order, model in self.known.items():
            before = model.status
            model.pass_time(self.now)
            if model.status != before:
                self.touched.add(order)
        for offer in self.offers.values():
            offer.pass_time(self.now)

    def compare_all(self) -> None:
        """Compare all orders that were touched with the model."""
        raise NotImplementedError

    def teardown(self) -> None:
        """Check the whole lists of everybody; each set of rules adds its own."""
        self.participants.close()

    def _gigs(self, seller: str) -> list[Gig]:
        made = []
        for number, price in enumerate(PRICES):
            extras = (
                [{"title": "Source files", "price": 3.5, "extraDays": 5, "extraRevisions": 1}] if number % 2 else []
            )
            days, revisions = (1, 14)[number % 2], number % 3
            body = a_gig(price=float(price), deliveryDays=days, revisions=revisions, extras=extras)
            gig = ok(self.call(seller, "POST", "/api/gigs", json=body), 201)["id"]
            package = ok(self.call(seller, "GET", f"/api/gigs/{gig}"))["packages"][0]
            shown = tuple(
                Extra(each["id"], Decimal(str(each["price"])), each["extraDays"], each["extraRevisions"])
                for each in package["extras"]
            )
            made.append(Gig(gig, package["id"], Decimal(price), days, revisions, shown))
        return made
