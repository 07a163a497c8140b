"""A buyer and a seller who trade at random and record everything that was acknowledged."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Protocol
from uuid import uuid4

import httpx

from order_service.payments.sandbox import scenarios
from tests.support.story import a_gig, a_name, action_path
from tests.torture.filing import Files
from tests.torture.making import Maker
from tests.torture.offering import Offers
from tests.torture.retries import Counts, GivenUpError, RetryingClient
from tests.torture.reviewing import Written, mean
from tests.torture.talking import Talk

# Most cards work: a confirmation takes seconds of a trader's time. An order whose refund is refused for good waits for
# people.
CARDS = [*[""] * 10, *(card for card in scenarios.CARDS if card != scenarios.REFUND_REFUSED)]
REFUSED = {scenarios.DECLINED: "PAYMENT_DECLINED", scenarios.CONFIRM_REFUSED: "PAYMENT_DECLINED"}
LONGEST_LIFE = 12
# How often an admin acts where somebody else can act, too.
ADMIN_ACTS = 0.08
# The weights of actions that end an order before its work is done, and of those about more time; of the others it is 1.
WEIGHTS = {"decline": 0.15, "cancel": 0.15, "extend": 0.3, "accept_extension": 0.6, "decline_extension": 0.6}
EXTRAS = [
    {"title": "Source files", "price": 7.77, "extraDays": 0, "extraRevisions": 1},
    {"title": "Faster", "price": 0.35, "extraDays": -1, "extraRevisions": 0},
]
MOST_OF_ONE = 3
CENT = Decimal("0.01")


def commission(amount: Decimal) -> Decimal:
    """Return a tenth of the amount, as the contract rounds it."""
    return (amount / 10).quantize(CENT, rounding=ROUND_HALF_EVEN)


class HasClients(Protocol):
    """A marketplace, of one host or of several."""

    def client(self, name: str = "", *roles: str) -> httpx.Client:
        """Return an HTTP client of a person."""
        ...


@dataclass
class Life:
    """An acknowledged order: the actions of people on it, the refunds that its seller has paid, and its deliveries."""

    order: str
    price: Decimal
    offer: str | None = None
    done: list[tuple[str, str]] = field(default_factory=list)
    refund: Decimal = Decimal(0)
    review: Written | None = None
    delivered: list[list[str]] = field(default_factory=list)
    """The files of each delivery."""


@dataclass(frozen=True)
class Package:
    """A package that can be ordered, and the prices of its extras by their ids."""

    id: str
    price: Decimal
    extras: dict[str, Decimal]


class Trader:
    """One client of the load. Each difference that it sees is added to `differences`."""

    def __init__(self, stack: HasClients, seed: int, counts: Counts, cards: Sequence[str] = CARDS) -> None:
        self._cards = cards
        self._random = random.Random(seed)  # no secret
        self._counts = counts
        self.differences: list[str] = []
        self.lives: list[Life] = []
        self.payouts: dict[str, Decimal] = {}
        self.adjusted = Decimal(0)
        self.seller_id = ""
        self._is_held = False
        self.gigs: list[str] = []
        self.names = {role: a_name(role) for role in ("buyer", "seller", "admin")}
        self.people = {role: RetryingClient(stack.client(name, role), counts) for role, name in self.names.items()}
        self.stranger = RetryingClient(stack.client(a_name("stranger"), "buyer", "seller"), counts)
        self._packages: list[Package] = []
        self._maker = Maker(self.people, self._random, counts, self.differences)
        self._make = self._maker.make
        self.files = Files(self._maker)
        self.talk = Talk(self._maker, self.files)
        self.offers = Offers(self._maker, self.talk, cards)

    def open(self) -> None:
        """Create three gigs to trade with, and start a conversation about them."""
        for price in ("0.65", "19.99", "500"):
            made = self._make("seller", "/api/gigs", a_gig(price=float(price), revisions=2, extras=EXTRAS))
            assert made is not None
            self.gigs.append(made["id"])
            self.seller_id = made["sellerId"]
            package = self.people["seller"].get(f"/api/gigs/{made['id']}")["packages"][0]
            extras = {extra["id"]: Decimal(str(extra["price"])) for extra in package["extras"]}
            self._packages.append(Package(package["id"], Decimal(price), extras))
        self.talk.start(self.gigs)

    def trade(self) -> None:
        """Talk, place one order and act on it, and sometimes request a payout, or let an admin act on its money."""
        self.talk.talk(self.lives[-1].order if self.lives else None)
        if self._random.random() < 0.1:
            self.talk.block(self._random.choice(self._packages).id)
        life = self._place_offer() if self._random.random() < 0.3 else self._place()
        if life is not None:
            self._live(life)
        if self._random.random() < 0.4:
            self._pay_out()
        if self._random.random() < 0.2:
            self._adjust()
        if self._is_held or self._random.random() < 0.1:
            self._hold(not self._is_held)

    def finish(self) -> None:
        """Release the seller's payouts."""
        if self._is_held:
            self._hold(False)

    def close(self) -> None:
        for person in (*self.people.values(), self.stranger):
            person.close()

    def _place(self) -> Life | None:
        package = self._random.choice(self._packages)
        quantity = self._random.randint(1, MOST_OF_ONE)
        extras = self._random.sample(sorted(package.extras), self._random.randint(0, len(package.extras)))
        price = package.price * quantity + sum(package.extras[extra] for extra in extras)
        card = self._random.choice(self._cards)
        body = {
            "packageId": package.id, "quantity": quantity, "extraIds": extras, "expectedPrice": float(price),
            "paymentMethod": "sandbox", "paymentToken": card,
        }  # fmt: skip
        if card == scenarios.CONFIRM_NEVER:
            self._fail_to_confirm(body)
            return None
        expected = REFUSED.get(card)
        made = self._make("buyer", "/api/orders", body, *([expected] if expected else []))
        if made is None:
            self._counts.add("orders refused by the card")
            return None
        if expected:
            self.differences.append(f"order {made['orderId']}: there although the card was refused")
        self._counts.add("orders placed")
        self.lives.append(Life(made["orderId"], price))
        return self.lives[-1]

    def _place_offer(self) -> Life | None:
        offer = self.offers.trade(self._random.choice(self.gigs))
        if offer is None or offer.order is None:
            return None
        self._counts.add("orders placed")
        self.lives.append(Life(offer.order, offer.price, offer.id))
        return self.lives[-1]

    def _fail_to_confirm(self, body: dict[str, Any]) -> None:
        """Place an order without a key, with a card that nobody confirms: nothing is kept of it."""
        answer = self.people["buyer"].until_definite("POST", "/api/orders", json=body)
        self._counts.add("orders refused by the card")
        if answer.status_code != 402 or "confirmation" in answer.json():
            self.differences.append(f"an order that nobody confirmed: {answer.status_code} {answer.text}")

    def _live(self, life: Life) -> None:
        """Take random open actions, for a while or until the order is over."""
        for _ in range(self._random.randrange(1, LONGEST_LIFE)):
            path = f"/api/orders/{life.order}"
            choices = []
            for who, person in self.people.items():
                shown = person.get(path)
                choices += [(who, action) for action in shown["actions"]]
                status = shown["status"]
            if status in ("DELIVERED", "COMPLETED") and life.review is None and self._random.random() < 0.5:
                self._review(life)
            if not choices:
                if status in ("COMPLETED", "CANCELLED"):
                    return
                time.sleep(0.1)
                continue
            by_sides = [choice for choice in choices if choice[0] != "admin"]
            if by_sides and self._random.random() > ADMIN_ACTS:
                choices = by_sides
            weights = [WEIGHTS.get(action, 1.0) for _, action in choices]
            ((who, action),) = self._random.choices(choices, weights)
            if action == "refund":
                self._refund(life)
            else:
                self._act(life, who, action, status)

    def _refund(self, life: Life) -> None:
        """Refund a completed order, from the seller's balance or at the platform's cost."""
        amount = Decimal(self._random.randrange(1, int(life.price * 100) + 1)) / 100
        paid_by = self._random.choice(["seller", "platform"])
        body = {"amount": float(amount), "message": "It never worked", "from": paid_by}
        answer = self.people["admin"].until_definite(
            "POST", f"/api/orders/{life.order}/refund", json=body, headers={"idempotency-key": str(uuid4())}
        )
        if answer.status_code != 200:
            self._refused(life, "refund", answer.status_code, answer.text)
            return
        self._counts.add(f"refunds from the {paid_by}")
        life.done.append(("admin", "refund"))
        if paid_by == "seller":
            life.refund += amount

    def _adjust(self) -> None:
        amount = Decimal(self._random.randrange(-500, 501)) / 100
        if amount:
            path = f"/api/sellers/{self.seller_id}/adjustments"
            body = {"amount": float(amount), "message": "A correction"}
            if self._make("admin", path, body, "INSUFFICIENT_BALANCE", "NOT_FOUND") is not None:
                self._counts.add("adjustments")
                self.adjusted += amount

    def _hold(self, is_held: bool) -> None:
        """Hold or release the seller's payouts."""
        path = f"/api/sellers/{self.seller_id}/payout-hold"
        answer = self.people["admin"].until_definite(
            "PUT" if is_held else "DELETE", path, json={"reason": "Under review"} if is_held else None
        )
        if answer.status_code not in (200, 204):
            self.differences.append(f"{path}: {answer.status_code} {answer.text}")
        self._is_held = is_held
        self._counts.add("sellers held" if is_held else "sellers released")

    def _act(self, life: Life, who: str, action: str, status: str) -> None:
        body: dict[str, Any] = {"message": "Please"}
        refund = Decimal(0)
        if action == "resolve":
            outcomes = ["CANCELLED"] if status == "PENDING" else ["COMPLETED", "COMPLETED", "CANCELLED"]
            body["outcome"] = self._random.choice(outcomes)
            if body["outcome"] == "COMPLETED":
                refund = Decimal(self._random.randrange(int(life.price * 100) + 1)) / 100
                body["refundAmount"] = float(refund)
        files = self.files.upload(who, self._random.randrange(3)) if action == "deliver" else []
        if files:
            body["fileIds"] = files
        if action == "extend":
            body["days"] = self._random.randint(1, 90)
        known = len(self._done(life))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = self.people[who].once("POST", action_path(life.order, action), json=body)
            if answer is not None and answer.status_code == 200:
                break
            # The outcome is unknown, or a repeated action is refused because it was taken: the history has it then.
            if (who, action) in self._done(life)[known:]:
                self._counts.add("actions found in the history")
                break
            # An interrupted accept is finished by payment recovery; until then no action is open.
            if answer is not None and "just being accepted" not in answer.text:
                self._refused(life, action, answer.status_code, answer.text)
                return
            time.sleep(0.2)
        else:
            raise GivenUpError(f"{action} of {life.order}")
        self._counts.add("actions acknowledged")
        life.done.append((who, action))
        if action == "resolve":
            life.refund = refund
        if action == "deliver":
            self.files.sent(files)
            life.delivered.append(files)

    def _refused(self, life: Life, action: str, status: int, text: str) -> None:
        """Count a refused action. It is a difference unless the bank or a worker acted first or the capture failed."""
        self._counts.add("actions refused")
        is_fine = status == 409 or (status, action) == (402, "accept")
        if not is_fine:
            self.differences.append(f"order {life.order}: {action} got {status} {text}")

    def _done(self, life: Life) -> list[tuple[str, str]]:
        """Return the actions of people in the order's history."""
        events = self.people["admin"].get(f"/api/orders/{life.order}/events")["events"]
        return [(event["by"], event["action"]) for event in events if event["by"] != "system"]

    def _review(self, life: Life) -> None:
        path = f"/api/orders/{life.order}/review"
        stars, comment = self._random.randint(1, 5), f"Well, {uuid4().hex}"
        body = {"rating": stars, "comment": comment}
        made = self._make("buyer", path, body, "ORDER_NOT_DELIVERED")
        if made is None:
            return
        life.review = Written(made["reviewId"], made["gigId"], life.order, stars, comment)
        self._counts.add("reviews")
        # Nobody else reviews this trader's gigs, and it submits one review after the other.
        average = mean([each.review for each in self.lives if each.review and each.review.gig == made["gigId"]])
        if made["newAverageRating"] != average:
            self.differences.append(f"{path}: the average is {made['newAverageRating']}, and should be {average}")
        if self._random.random() < 0.1 and self._make("buyer", path, body, "ALREADY_REVIEWED", "ORDER_NOT_DELIVERED"):
            self.differences.append(f"{path}: there are two reviews")
        if self._random.random() < 0.5:
            if difference := life.review.answer(self.people["seller"], f"Thank you, {uuid4().hex}"):
                self.differences.append(difference)
            self._counts.add("replies")

    def _pay_out(self) -> None:
        amount = Decimal(self._random.randrange(1, 30_000)) / 100
        account = self._random.choice(["acct_1", "acct_1", *scenarios.ACCOUNTS])
        self.people["seller"].until_definite("PUT", "/api/payout-account", json={"destination": account})
        made = self._make("seller", "/api/payouts", {"amount": float(amount)}, "INSUFFICIENT_BALANCE", "PAYOUTS_HELD")
        if made is not None:
            self.payouts[made["payoutId"]] = amount
            self._counts.add("payouts")
