"""Forged page tokens, ids and headers: refused, never a 5xx."""

from __future__ import annotations

import base64
import json

import pytest

from marketplace.gig.v1 import gig_pb2
from marketplace.order.v1 import order_pb2
from marketplace.review.v1 import review_pb2
from servicekit import paging
from tests.fuzz import Options
from tests.fuzz.rpc import fuzz
from tests.support.bystanders import bystanders
from tests.support.stack import Stack
from tests.support.story import Market, a_gig

UUID_7 = "0190a000-0000-7000-8000-000000000001"
KEYS = [
    ["9999-12-31T23:59:59.999999-23:59", UUID_7],
    ["0001-01-01T00:00:00+23:59", UUID_7],
    ["9" * 30, UUID_7],
    ["9" * 30],
    [10**30],
    [str(2**63)],
    [None],
    [["a"], {"b": 1}],
    ["2026-01-01 00:00:00+00:00", "\0"],
    ["2026-01-01 00:00:00+00:00", "\ud800"],
    ["NaN", "9" * 30, UUID_7, ""],
    ["4.5", "9" * 30, UUID_7, ""],
    ["4.5", "3000000000", UUID_7, ""],
    ["4.5", "1", UUID_7, '{"logo": []}'],
    ["4.5", "1", UUID_7, '{"logo": "\'a\'"}'],
    ["4.5", "1", UUID_7, "[" * 500],
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ascii(key)[:50])
def test_a_forged_page_token_is_a_bad_request(stack: Stack, key: list[object]) -> None:
    with stack.client("somebody", "seller", "buyer", "admin") as api:
        gig = api.post("/api/gigs", json=a_gig()).json()["id"]
        for path, request in (
            ("/api/gigs", gig_pb2.SearchGigsRequest()),
            ("/api/orders", order_pb2.ListOrdersRequest()),
            ("/api/balance/entries", order_pb2.ListBalanceEntriesRequest()),
            ("/api/payouts", order_pb2.ListPayoutsRequest()),
            (f"/api/sellers/{UUID_7}/payouts", order_pb2.ListSellerPayoutsRequest(seller_id=UUID_7)),
            (f"/api/sellers/{UUID_7}/balance/entries", order_pb2.ListSellerBalanceEntriesRequest(seller_id=UUID_7)),
            (f"/api/gigs/{gig}/reviews", review_pb2.ListReviewsRequest(gig_id=gig)),
        ):
            payload = json.dumps(key).encode()
            token = base64.urlsafe_b64encode(paging._digest(request, payload) + payload).decode().rstrip("=")
            answer = api.get(path, params={"pageToken": token})
            assert answer.status_code == 400, (path, answer.text)
            assert answer.json()["details"][0]["field"] == "pageToken"


@pytest.mark.parametrize("value", [b"0\t0", b"\xff", b"x" * 9000, b"00-4bf92f3577b34da6a3ce929d0e0e4736-\t-01"])
def test_a_malformed_trace_changes_no_answer(stack: Stack, value: bytes) -> None:
    market = Market.of(stack)
    gig = market.gig()
    # Placing an order makes calls between the services, which carry the trace.
    for name in (b"traceparent", b"tracestate"):
        answer = market.buyer.post(
            "/api/orders", json=market.order_request(gig), headers=[(name, value), (b"x-request-id", b"trace")]
        )
        assert answer.status_code == 201, answer.text


def test_no_mutated_id_page_token_or_header_is_a_fault(stack: Stack) -> None:
    with bystanders(stack) as others:
        result = fuzz(stack, Options(seed=11, seconds=60, inputs=400))
    others.require_served()
    assert not result.faults
    assert result.answers["200"] > 10
    assert result.answers["gRPC 0"] > 10
