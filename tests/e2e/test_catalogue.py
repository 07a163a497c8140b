"""Every code of the error catalogue, provoked over HTTP. A code that nothing provokes fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg2
import psycopg2.extensions
import pytest

from deploy.local.postgres import SUPERUSER, database_url
from order_service.payments.sandbox import scenarios
from servicekit.errors import CODES, spec_of
from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import SEED_GIG, SEED_PACKAGE, SEED_REVIEW, Market, a_gig, a_name, ok
from tests.support.uploads import a_jpeg

# Codes of what is not built yet.
NOT_YET = {
    # No longer returned.
    "UPGRADE_REQUIRED",
}
# Not on the sandbox: see test_stripe.py.
ON_STRIPE = {"PAYOUT_ACCOUNT_MISSING"}


@dataclass
class Answered:
    """What an error looked like from outside."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def outcome(answer: httpx.Response) -> Answered:
    return Answered(answer.status_code, dict(answer.headers), answer.json())


@contextmanager
def database(stack: Stack, name: str) -> Iterator[psycopg2.extensions.connection]:
    """Connect to one of the stack's databases as the superuser."""
    connection = psycopg2.connect(database_url(stack.layout, name, SUPERUSER))
    try:
        yield connection
    finally:
        connection.close()


def invalid_argument(stack: Stack, market: Market) -> Answered:
    return outcome(market.seller.post("/api/gigs", json={**SEED_GIG, "title": "x"}))


def unauthorized(stack: Stack, market: Market) -> Answered:
    return outcome(market.anyone.post("/api/gigs", json=SEED_GIG))


def forbidden(stack: Stack, market: Market) -> Answered:
    return outcome(market.buyer.post("/api/gigs", json=SEED_GIG))


def not_found(stack: Stack, market: Market) -> Answered:
    return outcome(market.anyone.get("/api/nothing"))


def method_not_allowed(stack: Stack, market: Market) -> Answered:
    return outcome(market.anyone.post("/api/categories"))


def conflict(stack: Stack, market: Market) -> Answered:
    gig = market.gig()
    return outcome(market.seller.delete(f"/api/gigs/{gig['id']}/packages/{gig['packages'][0]['id']}"))


def limit_reached(stack: Stack, market: Market) -> Answered:
    gig = market.gig(packages=[SEED_PACKAGE] * 10)
    return outcome(market.seller.post(f"/api/gigs/{gig['id']}/packages", json=SEED_PACKAGE))


def invalid_transition(stack: Stack, market: Market) -> Answered:
    return outcome(market.buyer.post(f"/api/orders/{market.order(market.gig())}/complete"))


def order_not_delivered(stack: Stack, market: Market) -> Answered:
    return outcome(market.buyer.post(f"/api/orders/{market.order(market.gig())}/review", json=SEED_REVIEW))


def already_reviewed(stack: Stack, market: Market) -> Answered:
    order = market.delivered(market.gig())
    market.review(order)
    return outcome(market.buyer.post(f"/api/orders/{order}/review", json=SEED_REVIEW))


def already_replied(stack: Stack, market: Market) -> Answered:
    path = f"/api/reviews/{market.review(market.delivered(market.gig()))['reviewId']}/reply"
    ok(market.seller.post(path, json={"text": "Thank you!"}))
    return outcome(market.seller.post(path, json={"text": "Thank you!"}))


def precondition_failed(stack: Stack, market: Market) -> Answered:
    gig = market.gig()
    return outcome(market.seller.put(f"/api/gigs/{gig['id']}", json=a_gig(), headers={"if-match": '"0-0-0"'}))


def payload_too_large(stack: Stack, market: Market) -> Answered:
    return outcome(market.seller.post("/api/gigs", json={**SEED_GIG, "description": "x" * (1 << 20)}))


def unsupported_media_type(stack: Stack, market: Market) -> Answered:
    return outcome(market.seller.post("/api/gigs", content="<gig/>", headers={"content-type": "application/xml"}))


def headers_too_large(stack: Stack, market: Market) -> Answered:
    return outcome(market.anyone.get("/api/categories", headers={"x-padding": "x" * 20_000}))


def file_not_ready(stack: Stack, market: Market) -> Answered:
    """Make a file one that no scanner has looked at."""
    file_id = ok(market.seller.post("/api/files", content=b"hello"), 201)["fileId"]
    with database(stack, "orders") as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE files SET status = 'CHECKING' WHERE id = %s", (file_id,))
    return outcome(market.seller.get(f"/api/files/{file_id}"))


def internal(stack: Stack, market: Market) -> Answered:
    """Take a table away: a fault that the service does not expect."""
    with database(stack, "gigs") as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE categories RENAME TO hidden")
            try:
                return outcome(market.anyone.get("/api/categories"))
            finally:
                cursor.execute("ALTER TABLE hidden RENAME TO categories")


def unavailable(stack: Stack, market: Market) -> Answered:
    """Have the database refuse connections."""
    gig = market.gig()["id"]
    with database(stack, "postgres") as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("ALTER DATABASE reviews ALLOW_CONNECTIONS false")
            try:
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'reviews'")
                return outcome(market.anyone.get(f"/api/gigs/{gig}/reviews"))
            finally:
                cursor.execute("ALTER DATABASE reviews ALLOW_CONNECTIONS true")


def deadline_exceeded(stack: Stack, market: Market) -> Answered:
    """Lock a gig for longer than a call waits."""
    gig = market.gig()
    with database(stack, "gigs") as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE gigs")
        body = {"packageId": gig["packages"][0]["id"], "paymentMethod": "stripe"}
        return outcome(market.buyer.post("/api/orders", json=body))


def payment_declined(stack: Stack, market: Market) -> Answered:
    return outcome(market.buyer.post("/api/orders", json=market.order_request(market.gig(), scenarios.DECLINED)))


def payment_action_required(stack: Stack, market: Market) -> Answered:
    return outcome(market.buyer.post("/api/orders", json=market.order_request(market.gig(), scenarios.CONFIRM)))


def price_changed(stack: Stack, market: Market) -> Answered:
    body = {**market.order_request(market.gig(price=500)), "expectedPrice": 499.99}
    answer = outcome(market.buyer.post("/api/orders", json=body))
    assert answer.body.pop("price") == 500
    return answer


def offer_closed(stack: Stack, market: Market) -> Answered:
    gig = market.gig()["id"]
    talk = ok(market.buyer.post("/api/conversations", json={"gigId": gig, "text": "Do you do shops?"}), 201)["id"]
    offer = {"gigId": gig, "title": "A shop", "price": 700, "deliveryDays": 10}
    made = ok(market.seller.post(f"/api/conversations/{talk}/offers", json=offer), 201)["id"]
    ok(market.seller.post(f"/api/offers/{made}/withdraw"))
    return outcome(market.buyer.post("/api/orders", json={"offerId": made, "paymentMethod": "sandbox"}))


def outcome_unknown(stack: Stack, market: Market) -> Answered:
    return outcome(market.buyer.post("/api/orders", json=market.order_request(market.gig(), scenarios.TIMEOUT_BEFORE)))


def insufficient_balance(stack: Stack, market: Market) -> Answered:
    return outcome(market.seller.post("/api/payouts", json={}))


def payouts_held(stack: Stack, market: Market) -> Answered:
    seller = market.gig()["seller"]["id"]
    market.admin.put(f"/api/sellers/{seller}/payout-hold", json={"reason": "A look at the last orders"})
    return outcome(market.seller.post("/api/payouts", json={}))


def idempotency_key_reused(stack: Stack, market: Market) -> Answered:
    headers = {"idempotency-key": "k"}
    market.seller.post("/api/gigs", json=a_gig(), headers=headers)
    return outcome(market.seller.post("/api/gigs", json=a_gig(title="Another one"), headers=headers))


def range_not_satisfiable(stack: Stack, market: Market) -> Answered:
    upload = market.seller.post(
        f"/api/gigs/{market.gig()['id']}/images", content=a_jpeg(), headers={"content-type": "image/jpeg"}
    )
    return outcome(market.anyone.get(ok(upload, 201)["images"][0]["url"], headers={"range": "bytes=99999999-"}))


def rate_limited(stack: Stack, market: Market) -> Answered:
    """Watch more than a user may at once."""
    with ExitStack() as watches:
        # An iterator that is dropped closes its connection.
        readers = []
        for _ in range(20):
            answer = watches.enter_context(market.buyer.stream("GET", "/api/watch"))
            readers.append(answer.iter_bytes())
            assert next(readers[-1])
        return outcome(market.buyer.get("/api/watch"))


PROVOKE: dict[str, Callable[[Stack, Market], Answered]] = {
    "INVALID_ARGUMENT": invalid_argument,
    "UNAUTHORIZED": unauthorized,
    "FORBIDDEN": forbidden,
    "NOT_FOUND": not_found,
    "METHOD_NOT_ALLOWED": method_not_allowed,
    "CONFLICT": conflict,
    "PAYMENT_DECLINED": payment_declined,
    "PAYMENT_ACTION_REQUIRED": payment_action_required,
    "PRICE_CHANGED": price_changed,
    "OFFER_CLOSED": offer_closed,
    "OUTCOME_UNKNOWN": outcome_unknown,
    "INSUFFICIENT_BALANCE": insufficient_balance,
    "PAYOUTS_HELD": payouts_held,
    "IDEMPOTENCY_KEY_REUSED": idempotency_key_reused,
    "LIMIT_REACHED": limit_reached,
    "INVALID_TRANSITION": invalid_transition,
    "ORDER_NOT_DELIVERED": order_not_delivered,
    "ALREADY_REVIEWED": already_reviewed,
    "ALREADY_REPLIED": already_replied,
    "PRECONDITION_FAILED": precondition_failed,
    "PAYLOAD_TOO_LARGE": payload_too_large,
    "UNSUPPORTED_MEDIA_TYPE": unsupported_media_type,
    "HEADERS_TOO_LARGE": headers_too_large,
    "RANGE_NOT_SATISFIABLE": range_not_satisfiable,
    "RATE_LIMITED": rate_limited,
    "FILE_NOT_READY": file_not_ready,
    "INTERNAL": internal,
    "UNAVAILABLE": unavailable,
    "DEADLINE_EXCEEDED": deadline_exceeded,
}


@pytest.mark.parametrize("code", [name for name in CODES.values_by_name if name != "CODE_UNSPECIFIED"])
def test_every_code_is_provoked_over_http(code: str, stack: Stack, market: Market) -> None:
    if code in NOT_YET | ON_STRIPE:
        assert code not in PROVOKE, f"{code} can be provoked now; take it off the list"
        return
    answer = PROVOKE[code](stack, market)

    assert (answer.status, answer.body["code"]) == (spec_of(code).http, code)
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.body) <= {"error", "code", "details"}
    assert answer.body["error"]
    assert answer.headers["x-request-id"]
    assert ("retry-after" in answer.headers) == (code in ("UNAVAILABLE", "OUTCOME_UNKNOWN", "RATE_LIMITED"))
    assert ("www-authenticate" in answer.headers) == (code == "UNAUTHORIZED")
    assert ("allow" in answer.headers) == (code == "METHOD_NOT_ALLOWED")


def test_every_not_yet_is_a_code_of_the_catalogue() -> None:
    assert set(CODES.values_by_name) >= NOT_YET


def test_a_service_comes_back_by_itself_when_its_database_does(stack: Stack, market: Market) -> None:
    assert unavailable(stack, market).status == 503

    assert market.anyone.get(f"/api/gigs/{market.gig()['id']}/reviews").status_code == 200


def test_an_internal_error_is_found_in_the_log_by_its_request_id(stack: Stack, market: Market) -> None:
    identity = a_name("request")
    with database(stack, "gigs") as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE categories RENAME TO hidden")
            try:
                answer = market.anyone.get("/api/categories", headers={"x-request-id": identity})
            finally:
                cursor.execute("ALTER TABLE hidden RENAME TO categories")

    assert answer.status_code == 500
    assert "hidden" not in answer.text
    # Logs pass through a pipe.
    eventually(lambda: any("categories" in entry.get("exception", "") for entry in logged(stack, identity)))


def logged(stack: Stack, request_id: str) -> list[dict[str, Any]]:
    """Return what the workers of GigService have logged of a request."""
    lines = [line for log in stack.layout.logs.glob("gig-*.log") for line in log.read_text().splitlines()]
    return [json.loads(line) for line in lines if request_id in line]
