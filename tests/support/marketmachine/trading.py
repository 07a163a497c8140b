"""Rules of orders: placing, and all actions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import invariant, multiple, precondition, rule

from tests.support.eventually import eventually
from tests.support.marketmachine.machine import CENTS, GOOD, PRICES, SELLERS, Asked, Machine
from tests.support.marketmodel import ANSWERS, KEY_HOURS, MOST_EXTENDED_DAYS, Order
from tests.support.story import a_name, action_path, ok

PEOPLE = ("buyer", "seller", "admin", "stranger")
ATTEMPTED = (
    *("accept", "decline", "cancel", "deliver", "deliver", "revise", "complete", "dispute"),
    *("extend", "extend", *ANSWERS),
)


class Trading(Machine):
    """Orders are placed, repeated by their keys, and acted on."""

    def prepare(self) -> list[str]:
        """Begin with an order that is PENDING, and one that is IN_PROGRESS."""
        for seller in SELLERS:
            self.place(seller, 2, GOOD, 1, with_extras=False, with_key=True)
        pending, accepted = self.known
        self.act(accepted, "accept", "right", 1, with_file=False)
        return [*super().prepare(), pending, accepted]

    @rule(
        target=Machine.orders,
        seller=st.sampled_from(SELLERS),
        number=st.integers(0, len(PRICES) - 1),
        card=st.sampled_from(
            [GOOD, GOOD, GOOD, "sandbox_declined", "sandbox_confirm", "sandbox_timeout_before",
             "sandbox_timeout_after", "sandbox_capture_declined", "sandbox_capture_timeout", "sandbox_chargeback"]
        ),
        quantity=st.sampled_from([1, 1, 2, 20]),
        with_extras=st.booleans(),
        with_key=st.booleans(),
    )  # fmt: skip
    def place(self, seller: str, number: int, card: str, quantity: int, with_extras: bool, with_key: bool) -> Any:
        gig = self.gigs[seller][number]
        extras = gig.extras if with_extras else ()
        price = gig.price * quantity + sum(each.price for each in extras)
        body = {
            "packageId": gig.package, "quantity": quantity, "extraIds": [each.id for each in extras],
            "paymentMethod": "sandbox", "paymentToken": card,
        }  # fmt: skip
        key = a_name("key")
        headers = {"idempotency-key": key} if with_key else {}
        before = set(self.known)
        answer = self.call("buyer", "POST", "/api/orders", json=body, headers=headers)
        if refusals := self.blocks.refusals("buyer", seller):
            assert (answer.status_code, answer.json()["code"]) in refusals
            return multiple()
        is_confirmed = card == "sandbox_confirm" and with_key
        if card in ("sandbox_declined", "sandbox_confirm"):
            code = "PAYMENT_DECLINED" if card == "sandbox_declined" else "PAYMENT_ACTION_REQUIRED"
            assert (answer.status_code, answer.json()["code"]) == (402, code)
            assert ("confirmation" in answer.json()) == is_confirmed
        if card in ("sandbox_declined", "sandbox_confirm") and not is_confirmed:
            assert set(self.listed()) == before
            return multiple()
        if is_confirmed or ("timeout" in card and "capture" not in card):
            if not is_confirmed:
                assert (answer.status_code, answer.json()["code"]) == (503, "OUTCOME_UNKNOWN")
                assert answer.headers.get("retry-after") == "1"
            order = self.wait_for_order(before)
            if with_key:
                again = self.call("buyer", "POST", "/api/orders", json=body, headers=headers)
                assert ok(again, 201)["orderId"] == order
        else:
            order = ok(answer, 201)["orderId"]
            assert answer.headers["location"] == f"/api/orders/{order}"
        days = gig.days + sum(each.days for each in extras)
        revisions = gig.revisions + sum(each.revisions for each in extras)
        self.known[order] = Order(self.sellers[seller], seller, card, price, days, revisions, self.now)
        if with_key:
            self.keys[key] = Asked(body, self.now, order, "PENDING")
        self.touched.add(order)
        return order

    @precondition(lambda self: self.keys)
    @rule(data=st.data(), other_body=st.booleans())
    def repeat(self, data: st.DataObject, other_body: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.keys)))
        asked = self.keys[key]
        if self.now >= asked.at + KEY_HOURS:
            del self.keys[key]
            return
        sent = {**asked.body, "requirements": "Another one"} if other_body else asked.body
        answer = self.call("buyer", "POST", "/api/orders", json=sent, headers={"idempotency-key": key})
        if other_body:
            assert (answer.status_code, answer.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
        else:
            assert (ok(answer, 201)["orderId"], answer.json()["status"]) == (asked.order, asked.status)

    @rule(
        order=Machine.orders,
        action=st.sampled_from(ATTEMPTED),
        who=st.sampled_from(["right", "right", "right", *PEOPLE]),
        days=st.integers(1, 90),
        with_file=st.booleans(),
    )
    def act(self, order: str, action: str, who: str, days: int, with_file: bool) -> None:
        model = self.known[order]
        if who == "right":
            open_to = [party for party in ("buyer", "seller") if model.can(action, party, self.now)]
            who = open_to[0] if open_to else "buyer"
        is_too_long = action == "extend" and model.extended + days > MOST_EXTENDED_DAYS
        can = model.can(action, who, self.now) and not is_too_long
        files = [self.upload(model.owner, b"The work")] if action == "deliver" and can and with_file else []
        body = {"message": "Please", "days": days, "fileIds": [each.id for each in files]}
        answer = self._do(order, action, who, body)
        self.touched.add(order)
        if not can:
            assert answer.status_code == model.refusal(action, who), answer.text
            return
        card = model.card if action == "accept" else ""
        if card == "sandbox_capture_declined":
            assert (answer.status_code, answer.json()["code"]) == (402, "PAYMENT_DECLINED")
            model.do("capture_failed", "system", self.now)
            return
        model.do(action, who, self.now, days=days)
        if action == "deliver":
            model.delivered.append([each.id for each in files])
        for each in files:
            each.readers |= {"buyer", model.owner}
        if card == "sandbox_capture_timeout":
            assert (answer.status_code, answer.json()["code"]) == (503, "OUTCOME_UNKNOWN")
        else:
            shown = ok(answer)
            assert (shown["status"], set(shown["actions"])) == (model.status, model.open(who, self.now))
        if card == "sandbox_chargeback":
            model.do("chargeback", "system", self.now)

    @rule(
        order=Machine.orders,
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
        order=Machine.orders,
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

    @invariant()
    def what_was_touched_is_as_the_model_says(self) -> None:
        self.compare_all()

    def compare_all(self) -> None:
        """See Machine."""
        for order in sorted(self.touched):
            self._compare(order, self.known[order])
        self.touched.clear()

    def teardown(self) -> None:
        """Check that the list of orders is whole."""
        assert set(self.listed()) == set(self.known)
        super().teardown()

    def listed(self) -> list[str]:
        """Return the ids of the buyer's orders."""
        return [order["orderId"] for order in self.rows("buyer", "/api/orders")]

    def wait_for_order(self, before: set[str]) -> str:
        """Wait until a worker has finished a placing in doubt. Return the new order's id."""
        eventually(lambda: len(set(self.listed()) - before) == 1)
        (order,) = set(self.listed()) - before
        return order

    def _do(self, order: str, action: str, who: str, body: dict[str, Any]) -> httpx.Response:
        client = self.known[order].owner if who == "seller" else who
        return self.call(client, "POST", action_path(order, action), json=body)

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
            assert (shown.get("extension", {}).get("days"), shown.get("offerId")) == (model.asked, model.offer)
            lines = sum(Decimal(str(line["unitPrice"])) * line["quantity"] for line in shown["lines"])
            assert lines == Decimal(str(shown["price"])) == model.price
        events = ok(self.call("buyer", "GET", f"/api/orders/{order}/events"))["events"]
        assert [(event["by"], event["action"], event["to"]) for event in events] == model.history
        delivered = [[file["fileId"] for file in event["files"]] for event in events if event["action"] == "deliver"]
        assert delivered == model.delivered
