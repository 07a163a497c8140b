"""The run of the seed: what of the catalogue is missing is made, in any order that the API allows.

Nothing is remembered between runs. What is there is read from the API: gigs by their seller and title, orders by buyer,
gig and package, and how far an order has come by its history; conversations by their two people, and how far one has
come by its messages. So a run that was broken off is continued, and a run
after a complete one changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any, TypeVar

from deploy.local.seed import pictures
from deploy.local.seed.api import Api, ApiError, Person
from deploy.local.seed.catalogue import Catalogue, PlannedConversation, PlannedGig, PlannedLine, PlannedOrder
from edge.tokens import user_id

# Enough for two cores: more only wait for each other.
_THREADS = 6
_ADMIN = "seed_admin"
# Gigs with these places in the catalogue have a second picture.
_EVERY = 3

KINDS = ("gigs", "pictures", "orders", "reviews", "messages", "offers")
_OFFER_HOURS = 720

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# Called with a phase and the number of its steps, then with each step's end.
Report = Callable[[str, int], Callable[[], None]]


@dataclass
class Outcome:
    """What a run has made and what it found changed, so that it let it be."""

    made: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    steps: int = 0
    """Writes of all kinds."""
    changed: list[str] = field(default_factory=list)

    def add(self, what: str = "") -> None:
        """Count a write."""
        self.steps += 1
        if what:
            self.made[what] += 1


class Seeding:
    """One run of the seed against one API."""

    def __init__(self, api: Api, catalogue: Catalogue, report: Report) -> None:
        self._api, self._catalogue, self._report = api, catalogue, report
        self._sellers = {name: api.person(name, "seller") for name in catalogue.sellers}
        self._buyers = {name: api.person(name, "buyer") for name in catalogue.buyers}
        self._admin = api.person(_ADMIN, "admin")
        self._gigs: dict[str, dict[str, Any]] = {}
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Make what is missing. Raises ApiError."""
        categories = self._api.anyone().get("/api/categories")["categories"]
        self._categories = {each["slug"]: each for each in categories}
        self._tops = {each["id"]: each["slug"] for each in categories}
        gigs = dict(self._in_parallel("Reading what is there", self._catalogue.sellers, self._gigs_of))
        known = {(name, title): gig_id for name, found in gigs.items() for title, gig_id in found.items()}
        self._in_parallel("Gigs and pictures", self._catalogue.gigs, lambda gig: self._gig(gig, known))
        orders = dict(self._in_parallel("Reading what is there", self._catalogue.buyers, self._orders_of))
        self._in_parallel("Orders and reviews", self._catalogue.orders, lambda each: self._order(each, orders))
        self._in_parallel("Conversations", self._catalogue.conversations, self._conversation)
        self._in_parallel("Last touches", self._catalogue.gigs, self._pause)
        return self.outcome

    def _in_parallel(self, phase: str, items: Iterable[_Item], step: Callable[[_Item], _Result]) -> list[_Result]:
        """Do a step for each item, several at once. The first error ends the phase."""
        todo = list(items)
        tick = self._report(phase, len(todo))
        with ThreadPoolExecutor(_THREADS) as pool:
            futures = [pool.submit(step, item) for item in todo]
            try:
                for done in as_completed(futures):
                    done.result()
                    tick()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return [future.result() for future in futures]

    # Gigs

    def _gigs_of(self, seller: str) -> tuple[str, dict[str, str]]:
        """Return the ids of a seller's gigs by their titles, paused ones included."""
        person = self._sellers[seller]
        found: dict[str, str] = {}
        for status in ("ACTIVE", "PAUSED", "SUSPENDED"):
            found |= {
                each["title"]: each["id"] for each in person.all("/api/gigs", sellerId=user_id(seller), status=status)
            }
        return seller, found

    def _gig(self, planned: PlannedGig, known: dict[tuple[str, str], str]) -> None:
        """Make a gig and its pictures, as far as they are missing."""
        seller = self._sellers[planned.seller]
        gig_id = known.get((planned.seller, planned.title))
        if gig_id is None:
            body = planned.request | {"categoryId": self._categories[planned.category]["id"]}
            gig_id = seller.post("/api/gigs", body, key=f"seed-gig-{planned.id}")["id"]
            self.outcome.add("gigs")
        try:
            gig = seller.get(f"/api/gigs/{gig_id}")
        except ApiError as error:
            if error.status != 404:
                raise
            # Its idempotency key answers with the gig that somebody has deleted since.
            self.outcome.changed.append(planned.title)
            return
        self._gigs[planned.id] = gig
        wanted = 2 if self._catalogue.gigs.index(planned) % _EVERY == 0 else 1
        for variant in range(len(gig["images"]), wanted):
            picture = pictures.draw(planned.title, self._top_of(planned.category), planned.seller, variant)
            seller.upload(f"/api/gigs/{gig_id}/images", picture)
            self.outcome.add("pictures")

    def _top_of(self, slug: str) -> str:
        category = self._categories[slug]
        return self._tops[category["parentId"]] if "parentId" in category else slug

    def _pause(self, planned: PlannedGig) -> None:
        gig = self._gigs.get(planned.id)
        if gig and planned.id in self._catalogue.paused and gig["status"] == "ACTIVE":
            self._sellers[planned.seller].post(f"/api/gigs/{gig['id']}/status", {"status": "PAUSED"}, method="PATCH")
            self.outcome.add()

    # Orders

    def _orders_of(self, buyer: str) -> tuple[str, dict[tuple[str, str], str]]:
        """Return the ids of a buyer's orders by gig and package."""
        orders = self._buyers[buyer].all("/api/orders", role="buyer")
        return buyer, {(each["gigId"], each["package"]): each["orderId"] for each in orders}

    def _order(self, planned: PlannedOrder, known: dict[str, dict[tuple[str, str], str]]) -> None:
        """Place an order and bring it to its state, as far as it has not come by itself."""
        gig = self._gigs.get(planned.gig.id)
        if gig is None:
            return
        buyer = self._buyers[planned.buyer]
        order_id = known[planned.buyer].get((gig["id"], planned.package_title))
        done: list[str] = []
        if order_id is None:
            body = _placing(planned, gig)
            if body is None:
                self.outcome.changed.append(planned.gig.title)
                return
            key = f"seed-order-{planned.gig.id}-{planned.package}"
            order_id = buyer.post("/api/orders", body, key=key)["orderId"]
            self.outcome.add("orders")
        else:
            events = buyer.get(f"/api/orders/{order_id}/events")["events"]
            done = [each["action"] for each in events[1:]]
        expected = [each.removesuffix("_by_seller") for each in planned.actions]
        if done[: len(expected)] != expected[: len(done)]:
            self.outcome.changed.append(f"{planned.gig.title} for {planned.buyer}")
            return
        for action in planned.actions[len(done) :]:
            self._act(planned, order_id, action)
        if planned.stars:
            self._review(planned, order_id, gig["id"])

    def _act(self, planned: PlannedOrder, order_id: str, action: str) -> None:
        people = {
            "accept": self._sellers[planned.gig.seller],
            "decline": self._sellers[planned.gig.seller],
            "deliver": self._sellers[planned.gig.seller],
            "cancel_by_seller": self._sellers[planned.gig.seller],
            "resolve": self._admin,
            "refund": self._admin,
        }
        message = self._catalogue.messages.get(action)
        body: dict[str, Any] = {"message": message} if message else {}
        if action == "resolve":
            body |= {"outcome": "COMPLETED", "refundAmount": round(planned.price / 3, 2)}
        if action == "refund":
            body |= {"amount": round(planned.price / 10, 2), "from": "platform"}
        person = people.get(action, self._buyers[planned.buyer])
        name = action.removesuffix("_by_seller")
        person.post(f"/api/orders/{order_id}/{name}", body, key=f"seed-{name}-{order_id}")
        self.outcome.add()

    def _review(self, planned: PlannedOrder, order_id: str, gig_id: str) -> None:
        # Of a paused gig they are for its seller alone.
        reviews = self._sellers[planned.gig.seller].all(f"/api/gigs/{gig_id}/reviews")
        review = next((each for each in reviews if each["orderId"] == order_id), None)
        if review is None:
            body = {"rating": planned.stars, "comment": planned.text}
            path = f"/api/orders/{order_id}/review"
            made = self._buyers[planned.buyer].post(path, body, key=f"seed-review-{order_id}")
            review = {"id": made["reviewId"]}
            self.outcome.add("reviews")
        if planned.reply and "reply" not in review:
            self._sellers[planned.gig.seller].post(f"/api/reviews/{review['id']}/reply", {"text": planned.reply})
            self.outcome.add()

    # Conversations

    def _conversation(self, planned: PlannedConversation) -> None:
        """Let two people say what they have not said yet."""
        gig = self._gigs.get(planned.gig.id)
        if gig is None:
            return
        buyer = self._buyers[planned.buyer]
        known = buyer.all("/api/conversations")
        conversation = next((each["id"] for each in known if each["with"]["id"] == gig["seller"]["id"]), "")
        said = buyer.all(f"/api/conversations/{conversation}/messages")[::-1] if conversation else []
        if any(not _is_said(line, message) for line, message in zip(planned.lines, said, strict=False)):
            self.outcome.changed.append(f"{planned.gig.title} and what {planned.buyer} says of it")
            return
        for number, line in enumerate(planned.lines[len(said) :], len(said)):
            key = f"seed-line-{planned.gig.id}-{number}"
            if not conversation:
                start = {"gigId": gig["id"], "text": line.text}
                conversation = buyer.post("/api/conversations", start, key=key)["id"]
                self.outcome.add("messages")
            else:
                person = buyer if line.by == "buyer" else self._sellers[planned.gig.seller]
                self._say(person, conversation, gig["id"], line, key)

    def _say(self, person: Person, conversation: str, gig_id: str, line: PlannedLine, key: str) -> None:
        path = f"/api/conversations/{conversation}"
        if not line.price:
            person.post(f"{path}/messages", {"text": line.text}, key=key)
            self.outcome.add("messages")
            return
        terms = {"price": line.price, "deliveryDays": line.days, "revisions": line.revisions}
        body = {"gigId": gig_id, "title": line.title, "description": line.text, "expiresInHours": _OFFER_HOURS}
        person.post(f"{path}/offers", body | terms, key=key)
        self.outcome.add("offers")


def _is_said(line: PlannedLine, message: dict[str, Any]) -> bool:
    """Whether a message is this line of the catalogue."""
    return "offerId" in message if line.price else bool(message["text"] == line.text)


def _placing(planned: PlannedOrder, gig: dict[str, Any]) -> dict[str, Any] | None:
    """Return the body of an order's placing; None when its gig cannot be ordered, or has changed."""
    package = next((each for each in gig["packages"] if each["title"] == planned.package_title), None)
    if package is None or gig["status"] != "ACTIVE":
        return None
    ids = {extra["title"]: extra["id"] for extra in package["extras"]}
    if not ids.keys() >= set(planned.extra_titles):
        return None
    return {
        "packageId": package["id"],
        "requirements": planned.gig.brief,
        "paymentMethod": "sandbox",
        "quantity": planned.quantity,
        "extraIds": [ids[title] for title in planned.extra_titles],
    }
