"""A small double of Stripe's API, with the parts that `localstripe` lacks: transfers, accounts, idempotency, search.

It keeps its objects in memory and responds over HTTP as Stripe documents it, for the calls that OrderService makes:
PaymentIntents with manual capture, refunds, disputes, transfers and accounts.

Idempotency keys: the same key with the same parameters gets the same response, a fault of Stripe included. With other
parameters it is an `idempotency_error`, and while the first request is running it is 409.

A card that wants the buyer's confirmation (3-D Secure) makes a PaymentIntent that is `requires_action` until `confirm`
or `refuse_confirmation` is called, as a browser's Stripe.js does.

Documented errors: an amount that is too small or too large; an unknown card; a capture or cancellation in the wrong
status; a refund above the rest of the charge, or of a disputed charge; a transfer above the balance, or to an account
without the capability.

It has no webhooks, does not check currencies, and nothing expires by itself.
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
AUTHORIZATION_SECONDS = 7 * 24 * 3600
SMALLEST, LARGEST = 50, 99_999_999
# The first status of a payment by each card. For `pm_card_expires` it is already `canceled` after the response.
STATUSES = {
    "pm_card_visa": "requires_capture",
    "tok_visa": "requires_capture",
    "pm_card_authenticationRequired": "requires_action",
    "pm_card_processing": "processing",
    "pm_card_expires": "requires_capture",
}
# The statuses of a dispute in which the bank has the money.
FUNDS_WITHDRAWN = ("needs_response", "under_review", "lost")


class ApiError(Exception):
    """An error response."""

    def __init__(self, status: int, kind: str, code: str, message: str = "", param: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"type": kind, "code": code, "message": message or code, "param": param}}


def invalid(code: str, param: str = "", status: int = 400) -> ApiError:
    return ApiError(status, "invalid_request_error", code, param=param)


@dataclass(frozen=True)
class Failure:
    """The failure of a request whose path matches `path`: before its work, or `after` it.

    With `is_kept` it is a fault of Stripe, which is repeated for the idempotency key; otherwise one of the network.
    """

    path: str
    status: int
    kind: str = "api_error"
    after: bool = False
    is_kept: bool = False

    @property
    def response(self) -> tuple[int, Object]:
        return self.status, ApiError(self.status, self.kind, "").body


@dataclass
class StripeDouble:
    """Stripe's objects by their kind, and the failures to come."""

    intents: dict[str, Object] = field(default_factory=dict)
    refunds: list[Object] = field(default_factory=list)
    disputes: list[Object] = field(default_factory=list)
    transfers: list[Object] = field(default_factory=list)
    accounts: dict[str, Object] = field(default_factory=dict)
    balance: int = 1_000_000
    failures: list[Failure] = field(default_factory=list)
    calls: list[tuple[str, str, Object, str]] = field(default_factory=list)
    url: str = ""
    # Seconds that each response takes.
    slowness: float = 0.0

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._responses: dict[str, tuple[str, int, Object] | None] = {}
        for account, transfers in (("acct_good", "active"), ("acct_new", "pending")):
            self.accounts[account] = {"id": account, "object": "account", "capabilities": {"transfers": transfers}}

    def fail(self, path: str, status: int, **options: Any) -> None:
        """Let the next request of this path (a regular expression) fail with this status. Options: see Failure."""
        self.failures.append(Failure(path, status, **options))

    def dispute(self, reference: str, status: str = "needs_response") -> Object:
        """Open a dispute of a captured payment. Return the object that its events carry."""
        charge = self.intents[reference]["latest_charge"]
        # It is documented as "has ever been disputed", so it stays true when the dispute is won.
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

    def confirm(self, reference: str) -> None:
        """Confirm a payment as the buyer does in their browser: the card is authorized from now on.

        https://docs.stripe.com/payments/paymentintents/lifecycle: after the action a PaymentIntent with manual capture
        is `requires_capture`. Raises ApiError in another status, as the browser would get it.
        """
        intent = self._intent(reference)
        if intent["status"] != "requires_action":
            raise invalid("payment_intent_unexpected_state")
        intent["latest_charge"] = self._charge(intent["amount"])
        intent["status"] = "requires_capture"

    def refuse_confirmation(self, reference: str) -> None:
        """Let the buyer fail to confirm a payment.

        https://docs.stripe.com/payments/paymentintents/lifecycle: when the action fails, a PaymentIntent is
        `requires_payment_method` again, and could be paid with another card.
        """
        intent = self._intent(reference)
        if intent["status"] != "requires_action":
            raise invalid("payment_intent_unexpected_state")
        intent["status"] = "requires_payment_method"

    def forget_keys(self) -> None:
        """Forget all idempotency keys, as Stripe does after a day."""
        self._responses.clear()

    def hold_key(self, key: str) -> None:
        """Let a request with this idempotency key be under way, until the keys are forgotten."""
        self._responses[key] = None

    def handle(self, method: str, path: str, params: Object, key: str) -> tuple[int, Object, bool]:
        """Handle a request. Return its status, its body, and whether it repeats the response of an idempotency key."""
        self.calls.append((method, path, params, key))
        time.sleep(self.slowness)
        if method != "POST" or not key:
            return *self._attempt(method, path, params), False
        request = json.dumps([path, params], sort_keys=True)
        with self._lock:
            if key in self._responses:
                known = self._responses[key]
                if known is None:
                    return 409, ApiError(409, "idempotency_error", "idempotency_key_in_use").body, False
                if known[0] != request:
                    return 400, ApiError(400, "idempotency_error", "").body, False
                return known[1], known[2], True
            self._responses[key] = None
        status, body = self._attempt(method, path, params, lambda response: self._remember(key, request, response))
        with self._lock:
            # Stripe keeps a response once the work has begun; a request that failed before it may be repeated.
            if self._responses.get(key) is None:
                self._responses.pop(key, None)
        return status, body, False

    def _remember(self, key: str, request: str, response: tuple[int, Object]) -> None:
        with self._lock:
            self._responses[key] = (request, *response)

    def _attempt(
        self, method: str, path: str, params: Object, remember: Callable[[tuple[int, Object]], None] | None = None
    ) -> tuple[int, Object]:
        failure = next((each for each in self.failures if re.search(each.path, path)), None)
        if failure:
            self.failures.remove(failure)
        if failure and failure.is_kept and remember:
            remember(failure.response)
        if failure and not failure.after:
            return failure.response
        try:
            response = 200, self._work(method, path, params)
        except ApiError as error:
            response = error.status, error.body
        # A deep copy: a kept response does not change with the objects.
        response = response[0], json.loads(json.dumps(response[1]))
        if remember and not (failure and failure.is_kept):
            remember(response)
        return failure.response if failure else response

    def _work(self, method: str, path: str, params: Object) -> Object:
        with self._lock:
            match method, path.removeprefix("/v1/").split("/"):
                case "POST", ["payment_intents"]:
                    return self._create_intent(params)
                case "GET", ["payment_intents"]:
                    # https://docs.stripe.com/api/payment_intents/list: newest first, `created` filters.
                    since = int(params.get("created", {}).get("gte", 0))
                    intents = [each for each in self.intents.values() if each["created"] >= since]
                    return self._list("payment_intents", intents[::-1], params)
                case "GET", ["payment_intents", "search"]:
                    query = re.fullmatch(r"metadata\['(\w+)'\]:'(.*)'", params["query"])
                    assert query
                    intents = [each for each in self.intents.values() if each["metadata"].get(query[1]) == query[2]]
                    return {"object": "search_result", "data": intents, "has_more": False}
                case "GET", ["payment_intents", name]:
                    return self._intent(name)
                case "POST", ["payment_intents", name, "capture"]:
                    return self._capture(self._intent(name), int(params["amount_to_capture"]))
                case "POST", ["payment_intents", name, "cancel"]:
                    return self._cancel(self._intent(name))
                case "POST", ["refunds"]:
                    return self._refund(params)
                case "GET", ["refunds"]:
                    refunds = [each for each in self.refunds if each["payment_intent"] == params["payment_intent"]]
                    return self._list("refunds", refunds, params)
                case "GET", ["disputes"]:
                    disputes = [each for each in self.disputes if each["payment_intent"] == params["payment_intent"]]
                    return self._list("disputes", disputes, params)
                case "POST", ["transfers"]:
                    return self._transfer(params)
                case "GET", ["transfers"]:
                    group = params.get("transfer_group")
                    transfers = [each for each in self.transfers[::-1] if group in (None, each["transfer_group"])]
                    return self._list("transfers", transfers, params)
                case "GET", ["accounts", name]:
                    if name not in self.accounts:
                        raise ApiError(403, "invalid_request_error", "account_invalid")
                    return self.accounts[name]
        raise invalid("url_invalid", status=404)

    def _list(self, kind: str, objects: list[Object], params: Object) -> Object:
        after = params.get("starting_after")
        if after:
            objects = objects[[each["id"] for each in objects].index(after) + 1 :]
        limit = int(params.get("limit", 10))
        return {"object": "list", "data": objects[:limit], "has_more": len(objects) > limit, "url": f"/v1/{kind}"}

    def _intent(self, name: str) -> Object:
        if name not in self.intents:
            raise invalid("resource_missing", "intent", 404)
        return self.intents[name]

    def _create_intent(self, params: Object) -> Object:
        """Create a PaymentIntent, and confirm it when the request says so.

        https://docs.stripe.com/api/payment_intents/create: one that is not confirmed and has no payment method is
        `requires_payment_method`; `use_stripe_sdk` lets Stripe.js handle the next action.
        """
        if params.get("capture_method") != "manual":
            raise invalid("parameter_missing")
        if int(params["amount"]) < SMALLEST:
            raise invalid("amount_too_small", "amount")
        if int(params["amount"]) > LARGEST:
            raise invalid("amount_too_large", "amount")
        number = next(self._numbers)
        intent: Object = {
            "id": f"pi_{number}",
            "object": "payment_intent",
            "amount": int(params["amount"]),
            "client_secret": f"pi_{number}_secret_{number}",
            "created": int(time.time()),
            "currency": params["currency"],
            "status": "requires_payment_method",
            "metadata": params.get("metadata", {}),
            "latest_charge": None,
        }
        response = self._confirm_intent(intent, params) if params.get("confirm") == "true" else intent
        self.intents[intent["id"]] = intent
        return response

    def _confirm_intent(self, intent: Object, params: Object) -> Object:
        """Confirm a new PaymentIntent with the card of the request. Return the response, which may be outdated."""
        card = params.get("payment_method") or params["payment_method_data"]["card"]["token"]
        if card in ("pm_card_chargeDeclined", "tok_chargeDeclined"):
            raise ApiError(402, "card_error", "card_declined", "Your card was declined.")
        if card not in STATUSES:
            raise invalid("resource_missing", "payment_method")
        intent["status"] = STATUSES[card]
        if intent["status"] == "requires_action":
            if params.get("use_stripe_sdk") != "true":
                raise invalid("parameter_missing", "use_stripe_sdk")
            intent["next_action"] = {"type": "use_stripe_sdk"}
            return intent
        intent["latest_charge"] = self._charge(intent["amount"])
        if card == "pm_card_expires":
            response = {**intent, "status": "requires_capture"}
            intent["status"] = "canceled"
            return response
        return intent

    def _charge(self, amount: int) -> Object:
        now = int(time.time())
        return {
            "id": f"ch_{next(self._numbers)}",
            "object": "charge",
            "amount": amount,
            "amount_refunded": 0,
            "created": now,
            "disputed": False,
            "payment_method_details": {"card": {"capture_before": now + AUTHORIZATION_SECONDS}},
        }

    def _capture(self, intent: Object, amount: int) -> Object:
        if intent["status"] != "requires_capture":
            raise invalid("payment_intent_unexpected_state")
        if amount > intent["amount"]:
            raise invalid("amount_too_large", "amount_to_capture")
        intent["status"] = "succeeded"
        return intent

    def _cancel(self, intent: Object) -> Object:
        """https://docs.stripe.com/api/payment_intents/cancel: only in these statuses, and rarely while processing."""
        if intent["status"] not in ("requires_payment_method", "requires_capture", "requires_action"):
            raise invalid("payment_intent_unexpected_state")
        intent["status"] = "canceled"
        return intent

    def _refund(self, params: Object) -> Object:
        intent, amount = self._intent(params["payment_intent"]), int(params["amount"])
        charge = intent["latest_charge"]
        if intent["status"] != "succeeded":
            raise invalid("payment_intent_unexpected_state")
        if any(each["payment_intent"] == intent["id"] and each["status"] in FUNDS_WITHDRAWN for each in self.disputes):
            raise invalid("charge_disputed")
        if charge["amount_refunded"] == charge["amount"]:
            raise invalid("charge_already_refunded")
        if charge["amount_refunded"] + amount > charge["amount"]:
            raise invalid("amount_too_large", "amount")
        charge["amount_refunded"] += amount
        refund = {
            "id": f"re_{next(self._numbers)}",
            "object": "refund",
            "payment_intent": intent["id"],
            "amount": amount,
            "metadata": params.get("metadata", {}),
        }
        self.refunds.append(refund)
        return refund

    def _transfer(self, params: Object) -> Object:
        account, amount = self.accounts.get(params["destination"]), int(params["amount"])
        if account is None:
            raise invalid("resource_missing", "destination")
        if account["capabilities"]["transfers"] != "active":
            raise invalid("insufficient_capabilities_for_transfer", "destination")
        if amount > self.balance:
            raise invalid("balance_insufficient")
        self.balance -= amount
        transfer = {
            "id": f"tr_{next(self._numbers)}",
            "object": "transfer",
            "amount": amount,
            "destination": account["id"],
            "transfer_group": params.get("transfer_group"),
            "metadata": params.get("metadata", {}),
        }
        self.transfers.append(transfer)
        return transfer


def nested(pairs: list[tuple[str, str]]) -> Object:
    """Return form fields as Stripe reads them: `a[b]=c` is {"a": {"b": "c"}}. Lists are not converted."""
    fields: Object = {}
    for name, value in pairs:
        head, *rest = re.findall(r"[^\[\]]+", name)
        level = fields
        for part in rest:
            level = level.setdefault(head, {})
            head = part
        level[head] = value
    return fields


@contextmanager
def serving_double() -> Iterator[StripeDouble]:
    """Serve a double on a free port of 127.0.0.1."""
    double = StripeDouble()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            split = urlsplit(self.path)
            length = int(self.headers.get("content-length") or 0)
            form = self.rfile.read(length).decode()
            params = nested(parse_qsl(form if self.command == "POST" else split.query, keep_blank_values=True))
            key = self.headers.get("idempotency-key", "")
            status, body, is_repeated = double.handle(self.command, split.path, params, key)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            if is_repeated:
                self.send_header("idempotent-replayed", "true")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = respond  # noqa: N815  # the names that BaseHTTPRequestHandler calls
        do_POST = respond  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    double.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
