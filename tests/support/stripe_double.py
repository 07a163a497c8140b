"""A small double of Stripe's API, for what `localstripe` lacks: transfers, accounts, idempotency keys, search.

It keeps a book in memory and answers over HTTP as the public documentation says, as far as OrderService asks:
PaymentIntents that are captured by hand, refunds, disputes, transfers, accounts. It honours idempotency keys: the same
key with the same parameters gets the same answer, also when that was a fault of Stripe's own; with others it is
`idempotency_error`, and while the first is under way 409. It refuses what the documentation says is refused: too small
or too large an amount, an unknown card, capturing or cancelling what is in another state, refunding more than is left
or what is disputed, paying out what is not there or to whom it cannot be.
It knows no webhooks, no currencies but the one asked for, and no time: nothing lapses by itself.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Object = dict[str, Any]
HOLD_SECONDS = 7 * 24 * 3600
SMALLEST, LARGEST = 50, 99_999_999
# What a payment by one of these cards is at first. That of `pm_card_expires` is answered as held, and is not any more.
STATUSES = {
    "pm_card_visa": "requires_capture",
    "tok_visa": "requires_capture",
    "pm_card_authenticationRequired": "requires_action",
    "pm_card_processing": "processing",
    "pm_card_expires": "requires_capture",
}
# A dispute of one of these statuses has the money.
HAS_THE_MONEY = ("needs_response", "under_review", "lost")


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, kind: str, code: str, message: str = "", param: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"type": kind, "code": code, "message": message or code, "param": param}}


def invalid(code: str, param: str = "", status: int = 400) -> Refusal:
    return Refusal(status, "invalid_request_error", code, param=param)


@dataclass(frozen=True)
class Failure:
    """How a call whose path matches `path` goes wrong: before its work was done or `after` it.

    What `is_kept` is Stripe's own fault, which it repeats for the idempotency key; else it is one of the way there.
    """

    path: str
    status: int
    kind: str = "api_error"
    after: bool = False
    is_kept: bool = False

    @property
    def answer(self) -> tuple[int, Object]:
        return self.status, Refusal(self.status, self.kind, "").body


@dataclass
class StripeDouble:
    """The book, and what `fail` has said is to go wrong next."""

    intents: dict[str, Object] = field(default_factory=dict)
    refunds: list[Object] = field(default_factory=list)
    disputes: list[Object] = field(default_factory=list)
    transfers: list[Object] = field(default_factory=list)
    accounts: dict[str, Object] = field(default_factory=dict)
    balance: int = 1_000_000
    failures: list[Failure] = field(default_factory=list)
    calls: list[tuple[str, str, Object, str]] = field(default_factory=list)
    url: str = ""
    # Seconds that each answer takes.
    slowness: float = 0.0

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._answers: dict[str, tuple[str, int, Object] | None] = {}
        for account, transfers in (("acct_good", "active"), ("acct_new", "pending")):
            self.accounts[account] = {"id": account, "object": "account", "capabilities": {"transfers": transfers}}

    def fail(self, path: str, status: int, **how: Any) -> None:
        """Has the next call of this path (a regular expression) fail with this status. `how`: see Failure."""
        self.failures.append(Failure(path, status, **how))

    def dispute(self, reference: str, status: str = "needs_response") -> Object:
        """Have the bank take a captured payment back. Return the object that events about it carry."""
        charge = self.intents[reference]["latest_charge"]
        # As documented: whether it has ever been, so it stays when the dispute is won.
        charge["disputed"] = True
        dispute = {
            "id": f"dp_{reference}",
            "object": "dispute",
            "payment_intent": reference,
            "amount": charge["amount"] - charge["amount_refunded"],
            "status": status,
        }
        self.disputes.append(dispute)
        return dispute

    def forget_keys(self) -> None:
        """Forget all idempotency keys, as Stripe does after a day."""
        self._answers.clear()

    def answer(self, method: str, path: str, params: Object, key: str) -> tuple[int, Object, bool]:
        """One call: its status, its body, and whether this is a repetition of what was answered to the same key."""
        self.calls.append((method, path, params, key))
        time.sleep(self.slowness)
        if method != "POST" or not key:
            return *self._attempt(method, path, params), False
        told = json.dumps([path, params], sort_keys=True)
        with self._lock:
            if key in self._answers:
                known = self._answers[key]
                if known is None:
                    return 409, Refusal(409, "idempotency_error", "idempotency_key_in_use").body, False
                if known[0] != told:
                    return 400, Refusal(400, "idempotency_error", "").body, False
                return known[1], known[2], True
            self._answers[key] = None
        status, body = self._attempt(method, path, params, lambda done: self._remember(key, told, done))
        with self._lock:
            # Stripe keeps an answer once the work has begun; what failed before may be tried again.
            if self._answers.get(key) is None:
                self._answers.pop(key, None)
        return status, body, False

    def _remember(self, key: str, told: str, done: tuple[int, Object]) -> None:
        with self._lock:
            self._answers[key] = (told, *done)

    def _attempt(
        self, method: str, path: str, params: Object, remember: Callable[[tuple[int, Object]], None] | None = None
    ) -> tuple[int, Object]:
        failure = next((each for each in self.failures if re.search(each.path, path)), None)
        if failure:
            self.failures.remove(failure)
        if failure and failure.is_kept and remember:
            remember(failure.answer)
        if failure and not failure.after:
            return failure.answer
        try:
            done = 200, self._work(method, path, params)
        except Refusal as refused:
            done = refused.status, refused.body
        # A deep copy: what was answered does not change with the book.
        done = done[0], json.loads(json.dumps(done[1]))
        if remember and not (failure and failure.is_kept):
            remember(done)
        return failure.answer if failure else done

    def _work(self, method: str, path: str, params: Object) -> Object:
        with self._lock:
            match method, path.removeprefix("/v1/").split("/"):
                case "POST", ["payment_intents"]:
                    return self._create_intent(params)
                case "GET", ["payment_intents"]:
                    return self._list("payment_intents", list(self.intents.values())[::-1], params)
                case "GET", ["payment_intents", "search"]:
                    wanted = re.fullmatch(r"metadata\['(\w+)'\]:'(.*)'", params["query"])
                    assert wanted
                    found = [each for each in self.intents.values() if each["metadata"].get(wanted[1]) == wanted[2]]
                    return {"object": "search_result", "data": found, "has_more": False}
                case "GET", ["payment_intents", name]:
                    return self._intent(name)
                case "POST", ["payment_intents", name, "capture"]:
                    return self._capture(self._intent(name), int(params["amount_to_capture"]))
                case "POST", ["payment_intents", name, "cancel"]:
                    return self._cancel(self._intent(name))
                case "POST", ["refunds"]:
                    return self._refund(params)
                case "GET", ["refunds"]:
                    found = [each for each in self.refunds if each["payment_intent"] == params["payment_intent"]]
                    return self._list("refunds", found, params)
                case "GET", ["disputes"]:
                    found = [each for each in self.disputes if each["payment_intent"] == params["payment_intent"]]
                    return self._list("disputes", found, params)
                case "POST", ["transfers"]:
                    return self._transfer(params)
                case "GET", ["transfers"]:
                    group = params.get("transfer_group")
                    found = [each for each in self.transfers[::-1] if group in (None, each["transfer_group"])]
                    return self._list("transfers", found, params)
                case "GET", ["accounts", name]:
                    if name not in self.accounts:
                        raise Refusal(403, "invalid_request_error", "account_invalid")
                    return self.accounts[name]
        raise invalid("url_invalid", status=404)

    def _list(self, of: str, found: list[Object], params: Object) -> Object:
        after = params.get("starting_after")
        if after:
            found = found[[each["id"] for each in found].index(after) + 1 :]
        limit = int(params.get("limit", 10))
        return {"object": "list", "data": found[:limit], "has_more": len(found) > limit, "url": f"/v1/{of}"}

    def _intent(self, name: str) -> Object:
        if name not in self.intents:
            raise invalid("resource_missing", "intent", 404)
        return self.intents[name]

    def _create_intent(self, params: Object) -> Object:
        if params.get("capture_method") != "manual" or params.get("confirm") != "true":
            raise invalid("parameter_missing")
        card = params.get("payment_method") or params["payment_method_data"]["card"]["token"]
        if int(params["amount"]) < SMALLEST:
            raise invalid("amount_too_small", "amount")
        if int(params["amount"]) > LARGEST:
            raise invalid("amount_too_large", "amount")
        if card in ("pm_card_chargeDeclined", "tok_chargeDeclined"):
            raise Refusal(402, "card_error", "card_declined", "Your card was declined.")
        if card not in STATUSES:
            raise invalid("resource_missing", "payment_method")
        number, now = next(self._numbers), int(time.time())
        needs_action = card == "pm_card_authenticationRequired"
        charge = {
            "id": f"ch_{number}",
            "object": "charge",
            "amount": int(params["amount"]),
            "amount_refunded": 0,
            "created": now,
            "disputed": False,
            "payment_method_details": {"card": {"capture_before": now + HOLD_SECONDS}},
        }
        intent = {
            "id": f"pi_{number}",
            "object": "payment_intent",
            "amount": int(params["amount"]),
            "currency": params["currency"],
            "status": STATUSES[card],
            "metadata": params.get("metadata", {}),
            "latest_charge": None if needs_action else charge,
        }
        if card == "pm_card_expires":
            intent["status"] = "canceled"
            self.intents[str(intent["id"])] = intent
            return {**intent, "status": "requires_capture"}
        self.intents[str(intent["id"])] = intent
        return intent

    def _capture(self, intent: Object, amount: int) -> Object:
        if intent["status"] != "requires_capture":
            raise invalid("payment_intent_unexpected_state")
        if amount > intent["amount"]:
            raise invalid("amount_too_large", "amount_to_capture")
        intent["status"] = "succeeded"
        return intent

    def _cancel(self, intent: Object) -> Object:
        if intent["status"] not in ("requires_capture", "requires_action"):
            raise invalid("payment_intent_unexpected_state")
        intent["status"] = "canceled"
        return intent

    def _refund(self, params: Object) -> Object:
        intent, amount = self._intent(params["payment_intent"]), int(params["amount"])
        charge = intent["latest_charge"]
        if intent["status"] != "succeeded":
            raise invalid("payment_intent_unexpected_state")
        if any(each["payment_intent"] == intent["id"] and each["status"] in HAS_THE_MONEY for each in self.disputes):
            raise invalid("charge_disputed")
        if charge["amount_refunded"] == charge["amount"]:
            raise invalid("charge_already_refunded")
        if charge["amount_refunded"] + amount > charge["amount"]:
            raise invalid("amount_too_large", "amount")
        charge["amount_refunded"] += amount
        made = {
            "id": f"re_{next(self._numbers)}",
            "object": "refund",
            "payment_intent": intent["id"],
            "amount": amount,
            "metadata": params.get("metadata", {}),
        }
        self.refunds.append(made)
        return made

    def _transfer(self, params: Object) -> Object:
        account, amount = self.accounts.get(params["destination"]), int(params["amount"])
        if account is None:
            raise invalid("resource_missing", "destination")
        if account["capabilities"]["transfers"] != "active":
            raise invalid("insufficient_capabilities_for_transfer", "destination")
        if amount > self.balance:
            raise invalid("balance_insufficient")
        self.balance -= amount
        made = {
            "id": f"tr_{next(self._numbers)}",
            "object": "transfer",
            "amount": amount,
            "destination": account["id"],
            "transfer_group": params.get("transfer_group"),
            "metadata": params.get("metadata", {}),
        }
        self.transfers.append(made)
        return made


def nested(pairs: list[tuple[str, str]]) -> Object:
    """Form fields as Stripe reads them: `a[b]=c` is {"a": {"b": "c"}}; lists are left as they come."""
    found: Object = {}
    for name, value in pairs:
        head, *rest = re.findall(r"[^\[\]]+", name)
        place = found
        for part in rest:
            place = place.setdefault(head, {})
            head = part
        place[head] = value
    return found


@contextmanager
def serving_double() -> Iterator[StripeDouble]:
    """Serve a double on a free port of 127.0.0.1."""
    double = StripeDouble()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            split = urlsplit(self.path)
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length).decode()
            params = nested(parse_qsl(body if self.command == "POST" else split.query, keep_blank_values=True))
            key = self.headers.get("idempotency-key", "")
            status, answer, is_repeated = double.answer(self.command, split.path, params, key)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            if is_repeated:
                self.send_header("idempotent-replayed", "true")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = respond  # noqa: N815  # by these names it is called
        do_POST = respond  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    double.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
