"""Rules of the sellers' money: accounts, payouts and balances."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from tests.support.eventually import eventually
from tests.support.marketmachine.machine import CENTS, SELLERS, Machine
from tests.support.story import ok


class Paying(Machine):
    """Sellers are paid out, and see what they have."""

    @rule(seller=st.sampled_from(SELLERS), amount=st.none() | CENTS)
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

    @rule(seller=st.sampled_from(SELLERS), account=st.sampled_from(["acct_1", "sandbox_fails"]))
    def say_where_to(self, seller: str, account: str) -> None:
        ok(self.call(seller, "PUT", "/api/payout-account", json={"destination": account}))
        self.accounts[seller] = account

    @invariant()
    def balances_are_as_the_model_says(self) -> None:
        # Orders that time has moved move money.
        self.compare_all()
        for name, model in self.sellers.items():
            balance = ok(self.call(name, "GET", "/api/balance"))
            shown = tuple(Decimal(str(balance[each])) for each in ("inEscrow", "available", "paidOut"))
            assert shown == (model.escrow, model.available, model.paid_out)

    def teardown(self) -> None:
        """Check that the lists of entries and payouts are whole."""
        for name, model in self.sellers.items():
            entries = ok(self.call(name, "GET", "/api/balance/entries", params={"pageSize": 100}))["results"]
            shown = [(entry["kind"], Decimal(str(entry["amount"]))) for entry in entries]
            assert shown == model.entries[::-1][:100]
            payouts = ok(self.call(name, "GET", "/api/payouts", params={"pageSize": 100}))["results"]
            assert [(each["payoutId"], each["status"]) for each in payouts] == self.payouts[name][::-1][:100]
        super().teardown()

    def _payout_status(self, seller: str, payout: str) -> str:
        return str(ok(self.call(seller, "GET", f"/api/payouts/{payout}"))["status"])
