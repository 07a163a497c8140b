"""The public API of a running stack, driven at random and held against a model in memory, money included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from deploy.local.postgres import database_url
from servicekit.clock import Clock
from servicekit.database import Database
from tests.support.eventually import eventually
from tests.support.marketmodel import KEY_HOURS, MOST_EXTENDED_DAYS, Order, Seller
from tests.support.stack import Stack
from tests.support.story import a_gig, a_name, action_path, ok

ROLES = {"buyer": "buyer", "seller": "seller", "admin": "admin", "stranger": "buyer", "other": "seller"}
PEOPLE = ("buyer", "seller", "admin", "stranger")
# Their sums meet none of the contract's limits to the hour.
HOURS = st.sampled_from([7, 31, 100, 360])
CENTS = st.integers(0, 120_000).map(lambda cents: Decimal(cents) / 100)
PRICES = ("0.50", "5", "19.99", "0.65", "999.99")
ATTEMPTED = (
    *("accept", "decline", "cancel", "deliver", "deliver", "revise", "complete", "dispute"),
    *("extend", "extend", "accept_extension", "decline_extension"),
)
GOOD = ""


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """Start a stack whose time nobody else moves."""
    running = Stack()
    try:
        yield running.start()
    finally:
        running.stop()


class Participants:
    """The people of one example, and the clock of the stack."""

    def __init__(self, stack: Stack, clock: Clock) -> None:
        self.clock = clock
        self.clients = {name: stack.client(a_name(name), role) for name, role in ROLES.items()}

    def close(self) -> None:
        for client in self.clients.values():
            client.close()


def machine(make: Callable[[], Participants]) -> type[RuleBasedStateMachine]:
    """Return the state machine for a stack."""

    class Market(RuleBasedStateMachine):
        orders: Bundle[str] = Bundle("orders")

        @initialize()
        def open(self) -> None:
            self.participants = make()
            self.now = 0
            self.known: dict[str, Order] = {}
            self.sellers = {"seller": Seller(), "other": Seller()}
            self.gigs = {name: self._gigs(name) for name in self.sellers}
            # What was asked, when, and the order that was answered.
            self.keys: dict[str, tuple[dict[str, Any], int, str]] = {}
            self.accounts: dict[str, str] = {}
            self.payouts: dict[str, list[tuple[str, str]]] = {name: [] for name in self.sellers}
            self.touched: set[str] = set()

        def _gigs(self, seller: str) -> list[tuple[str, Decimal, int, int]]:
            made = []
            for number, price in enumerate(PRICES):
                days, revisions = (1, 14)[number % 2], number % 3
                body = a_gig(price=float(price), deliveryDays=days, revisions=revisions)
                gig = ok(self.call(seller, "POST", "/api/gigs", json=body), 201)["id"]
                package = ok(self.call(seller, "GET", f"/api/gigs/{gig}"))["packages"][0]["id"]
                made.append((package, Decimal(price), days, revisions))
            return made

        def call(self, who: str, method: str, path: str, **options: Any) -> httpx.Response:
            return self.participants.clients[who].request(method, path, **options)

        @rule(
            target=orders,
            seller=st.sampled_from(["seller", "other"]),
            number=st.integers(0, len(PRICES) - 1),
            card=st.sampled_from(
                [GOOD, GOOD, GOOD, "sandbox_declined", "sandbox_confirm", "sandbox_timeout_before",
                 "sandbox_timeout_after", "sandbox_capture_declined", "sandbox_capture_timeout", "sandbox_chargeback"]
            ),
            with_key=st.booleans(),
        )  # fmt: skip
        def place(self, seller: str, number: int, card: str, with_key: bool) -> Any:
            package, price, days, revisions = self.gigs[seller][number]
            body = {"packageId": package, "paymentMethod": "sandbox", "paymentToken": card}
            key = a_name("key")
            headers = {"idempotency-key": key} if with_key else {}
            before = set(self.known)
            answer = self.call("buyer", "POST", "/api/orders", json=body, headers=headers)
            is_confirmed = card == "sandbox_confirm" and with_key
            if card in ("sandbox_declined", "sandbox_confirm"):
                code = "PAYMENT_DECLINED" if card == "sandbox_declined" else "PAYMENT_ACTION_REQUIRED"
                assert (answer.status_code, answer.json()["code"]) == (402, code)
                assert ("confirmation" in answer.json()) == is_confirmed
            if card in ("sandbox_declined", "sandbox_confirm") and not is_confirmed:
                assert set(self._listed()) == before
                return multiple()
            if is_confirmed or ("timeout" in card and "capture" not in card):
                if not is_confirmed:
                    assert (answer.status_code, answer.json()["code"]) == (503, "OUTCOME_UNKNOWN")
                    assert answer.headers.get("retry-after") == "1"
                # A worker finishes it; the key, if there is one, then answers it.
                eventually(lambda: len(set(self._listed()) - before) == 1)
                (order,) = set(self._listed()) - before
                if with_key:
                    again = self.call("buyer", "POST", "/api/orders", json=body, headers=headers)
                    assert ok(again, 201)["orderId"] == order
            else:
                order = ok(answer, 201)["orderId"]
                assert answer.headers["location"] == f"/api/orders/{order}"
            self.known[order] = Order(self.sellers[seller], seller, card, price, days, revisions, self.now)
            if with_key:
                self.keys[key] = (body, self.now, order)
            self.touched.add(order)
            return order

        @precondition(lambda self: self.keys)
        @rule(data=st.data(), other_body=st.booleans())
        def repeat(self, data: st.DataObject, other_body: bool) -> None:
            key = data.draw(st.sampled_from(sorted(self.keys)))
            body, at, order = self.keys[key]
            if self.now >= at + KEY_HOURS:
                del self.keys[key]
                return
            sent = {**body, "requirements": "Another one"} if other_body else body
            answer = self.call("buyer", "POST", "/api/orders", json=sent, headers={"idempotency-key": key})
            if other_body:
                assert (answer.status_code, answer.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
            else:
                assert (ok(answer, 201)["orderId"], answer.json()["status"]) == (order, "PENDING")

        @rule(
            order=orders,
            action=st.sampled_from(ATTEMPTED),
            who=st.sampled_from(["right", "right", "right", *PEOPLE]),
            days=st.integers(1, 90),
        )
        def act(self, order: str, action: str, who: str, days: int) -> None:
            model = self.known[order]
            if who == "right":
                open_to = [party for party in ("buyer", "seller") if model.can(action, party, self.now)]
                who = open_to[0] if open_to else "buyer"
            answer = self._do(order, action, who, {"message": "Please", "days": days})
            self.touched.add(order)
            is_too_long = action == "extend" and model.extended + days > MOST_EXTENDED_DAYS
            if is_too_long or not model.can(action, who, self.now):
                assert answer.status_code == model.refusal(action, who), answer.text
                return
            card = model.card if action == "accept" else ""
            if card == "sandbox_capture_declined":
                assert (answer.status_code, answer.json()["code"]) == (402, "PAYMENT_DECLINED")
                model.do("capture_failed", "system", self.now)
                return
            model.do(action, who, self.now, days=days)
            if card == "sandbox_capture_timeout":
                assert (answer.status_code, answer.json()["code"]) == (503, "OUTCOME_UNKNOWN")
            else:
                shown = ok(answer)
                assert (shown["status"], set(shown["actions"])) == (model.status, model.open(who, self.now))
            if card == "sandbox_chargeback":
                model.do("chargeback", "system", self.now)

        @rule(
            order=orders,
            outcome=st.sampled_from(["COMPLETED", "CANCELLED"]),
            refund=st.none() | CENTS,
            who=st.sampled_from(["admin", "admin", "admin", "buyer", "seller", "stranger"]),
        )
        def resolve(self, order: str, outcome: str, refund: Decimal | None, who: str) -> None:
            model = self.known[order]
            body: dict[str, Any] = {"outcome": outcome, "message": "Enough"}
            if refund is not None and outcome == "COMPLETED":
                body["refundAmount"] = float(refund)
            answer = self._do(order, "resolve", who, body)
            self.touched.add(order)
            if not model.can("resolve", who, self.now):
                assert answer.status_code == model.refusal("resolve", who), answer.text
            elif outcome == "COMPLETED" and model.status == "PENDING":
                assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "outcome")
            elif outcome == "COMPLETED" and refund is not None and refund > model.price:
                assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "refundAmount")
            else:
                ok(answer)
                model.do("resolve", who, self.now, outcome, refund or Decimal(0))

        @rule(
            order=orders,
            amount=CENTS,
            paid_by=st.sampled_from(["seller", "platform"]),
            who=st.sampled_from(["admin", "admin", "admin", "buyer", "seller", "stranger"]),
        )
        def refund(self, order: str, amount: Decimal, paid_by: str, who: str) -> None:
            model = self.known[order]
            body = {"amount": float(amount), "message": "It never worked", "from": paid_by}
            answer = self._do(order, "refund", who, body)
            self.touched.add(order)
            if amount == 0:
                assert answer.status_code == 400
            elif not model.can("refund", who, self.now):
                assert answer.status_code == model.refusal("refund", who), answer.text
            elif amount > model.price:
                assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "amount")
            elif amount > model.price - model.refunded:
                assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")
            elif paid_by == "seller" and model.refund_takes(amount) > model.seller.available:
                assert (answer.status_code, answer.json()["code"]) == (409, "INSUFFICIENT_BALANCE")
            else:
                ok(answer)
                model.refund(amount, paid_by)

        @rule(seller=st.sampled_from(["seller", "other"]), amount=st.none() | CENTS)
        def pay_out(self, seller: str, amount: Decimal | None) -> None:
            model = self.sellers[seller]
            body = {} if amount is None else {"amount": float(amount)}
            answer = self.call(seller, "POST", "/api/payouts", json=body)
            requested = model.available if amount is None else amount
            if amount == 0:
                assert answer.status_code == 400
            elif not 0 < requested <= model.available:
                assert (answer.status_code, answer.json()["code"]) == (409, "INSUFFICIENT_BALANCE")
            else:
                made = ok(answer, 201)
                assert (Decimal(str(made["amount"])), made["status"]) == (requested, "PENDING")
                model.move("PAYOUT", -requested)
                fails = self.accounts.get(seller) == "sandbox_fails"
                ends = "FAILED" if fails else "PAID"
                eventually(lambda: self._payout_status(seller, made["payoutId"]) == ends)
                if fails:
                    model.move("PAYOUT_FAILED", requested)
                else:
                    model.paid_out += requested
                self.payouts[seller].append((made["payoutId"], ends))

        @rule(seller=st.sampled_from(["seller", "other"]), account=st.sampled_from(["acct_1", "sandbox_fails"]))
        def say_where_to(self, seller: str, account: str) -> None:
            ok(self.call(seller, "PUT", "/api/payout-account", json={"destination": account}))
            self.accounts[seller] = account

        @rule(hours=HOURS)
        def pass_time(self, hours: int) -> None:
            # What is under way is known before time passes over it.
            self.what_was_touched_is_as_the_model_says()
            self.participants.clock.travel(timedelta(hours=hours))
            self.now += hours
            for order, model in self.known.items():
                before = model.status
                model.pass_time(self.now)
                if model.status != before:
                    self.touched.add(order)

        @invariant()
        def what_was_touched_is_as_the_model_says(self) -> None:
            for order in sorted(self.touched):
                self._compare(order, self.known[order])
            self.touched.clear()

        @invariant()
        def balances_are_as_the_model_says(self) -> None:
            for name, model in self.sellers.items():
                balance = ok(self.call(name, "GET", "/api/balance"))
                shown = tuple(Decimal(str(balance[each])) for each in ("inEscrow", "available", "paidOut"))
                assert shown == (model.escrow, model.available, model.paid_out)

        def teardown(self) -> None:
            """At the end all lists are whole."""
            assert set(self._listed()) == set(self.known)
            for name, model in self.sellers.items():
                entries = ok(self.call(name, "GET", "/api/balance/entries", params={"pageSize": 100}))["results"]
                shown = [(entry["kind"], Decimal(str(entry["amount"]))) for entry in entries]
                assert shown == model.entries[::-1][:100]
                payouts = ok(self.call(name, "GET", "/api/payouts", params={"pageSize": 100}))["results"]
                assert [(each["payoutId"], each["status"]) for each in payouts] == self.payouts[name][::-1][:100]
            self.participants.close()

        def _do(self, order: str, action: str, who: str, body: dict[str, Any]) -> httpx.Response:
            client = self.known[order].owner if who == "seller" else who
            return self.call(client, "POST", action_path(order, action), json=body)

        def _payout_status(self, seller: str, payout: str) -> str:
            return str(ok(self.call(seller, "GET", f"/api/payouts/{payout}"))["status"])

        def _listed(self) -> list[str]:
            ids: list[str] = []
            params: dict[str, Any] = {"pageSize": 100}
            while True:
                page = ok(self.call("buyer", "GET", "/api/orders", params=params))
                ids += [order["orderId"] for order in page["results"]]
                if "nextPageToken" not in page:
                    return ids
                params["pageToken"] = page["nextPageToken"]

        def _compare(self, order: str, model: Order) -> None:
            expected = (model.status, model.payment, model.refunded)

            def look() -> tuple[str, str, Decimal]:
                shown = ok(self.call("buyer", "GET", f"/api/orders/{order}"))
                payment = shown["payment"]
                return shown["status"], payment["status"], Decimal(str(payment["refunded"]))

            eventually(lambda: look() == expected)
            for who in ("buyer", "seller", "admin"):
                client = model.owner if who == "seller" else who
                shown = ok(self.call(client, "GET", f"/api/orders/{order}"))
                assert set(shown["actions"]) == model.open(who, self.now)
                assert shown["revisionsLeft"] == model.revisions
                assert shown.get("extension", {}).get("days") == model.asked
            events = ok(self.call("buyer", "GET", f"/api/orders/{order}/events"))["events"]
            assert [(event["by"], event["action"], event["to"]) for event in events] == model.history

    return Market


# Hundreds of steps, each with several requests.
@pytest.mark.timeout(400)
def test_whatever_people_do_the_marketplace_does_as_the_contract_says(own_stack: Stack) -> None:
    database = Database(database_url(own_stack.layout, "orders"))
    clock = Clock(database)
    bounds = settings(
        max_examples=12,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(machine(lambda: Participants(own_stack, clock)), settings=bounds)

    database.close()
