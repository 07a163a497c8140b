"""Refusals, tokens, methods, headers and HTTP versions, through the real edge to the real services."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import Market, a_gig, a_name, ok


def test_of_several_refusals_the_first_is_answered(market: Market, stack: Stack) -> None:
    gig = market.gig()["id"]
    bad, big = {"title": "x"}, "x" * ((1 << 20) + 1)
    stranger = stack.client(a_name("stranger"), "seller")
    xml = {"content-type": "application/xml"}

    answers = [
        market.anyone.post("/api/nothing", content=big),
        market.anyone.post(f"/api/gigs/{gig}", content=big),
        market.anyone.put(f"/api/gigs/{gig}", content=big),
        market.buyer.put(f"/api/gigs/{gig}", content=big, headers={"content-type": "application/json"}),
        market.buyer.put(f"/api/gigs/{gig}", content="<gig/>", headers=xml),
        market.buyer.put(f"/api/gigs/{gig}?colour=red", json=bad),
        market.buyer.put(f"/api/gigs/{gig}", json=bad),
        stranger.put(f"/api/gigs/{gig}", json=bad),
        stranger.put(f"/api/gigs/{uuid4()}", json=a_gig(), headers={"if-match": '"0"'}),
        stranger.put(f"/api/gigs/{gig}", json=a_gig(), headers={"if-match": '"0"'}),
        market.seller.put(f"/api/gigs/{gig}", json=a_gig(), headers={"if-match": '"0"'}),
    ]

    assert [answer.status_code for answer in answers] == [404, 405, 401, 413, 415, 400, 403, 400, 404, 403, 412]


def test_a_token_counts_in_its_header_alone(market: Market, stack: Stack) -> None:
    token = stack.token("ann", "buyer")

    assert ok(market.anyone.get(f"/api/orders?access_token={token}"), 401)["code"] == "UNAUTHORIZED"
    assert httpx.get(f"{stack.url}/api/orders", headers={"authorization": f"bearer {token}"}).status_code == 200


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer", "Basic YTpi", "nonsense", "Bearer a.b.c"])
def test_a_bad_token_is_401_even_where_none_is_needed(stack: Stack, header: str) -> None:
    answer = httpx.get(f"{stack.url}/api/categories", headers={"authorization": header})

    assert ok(answer, 401) == {"error": "Authentication required", "code": "UNAUTHORIZED"}
    assert answer.headers["www-authenticate"] == "Bearer"


def test_head_and_options_are_answered(market: Market) -> None:
    gig = market.gig()["id"]

    head = market.anyone.head(f"/api/gigs/{gig}")
    options = market.anyone.options(f"/api/gigs/{gig}")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"]
    assert (options.status_code, options.content) == (204, b"")
    assert {method.strip() for method in options.headers["allow"].split(",")} == {
        "GET",
        "HEAD",
        "PUT",
        "DELETE",
        "OPTIONS",
    }


def test_a_matching_etag_is_304_and_an_edit_makes_another(market: Market) -> None:
    gig = market.gig()["id"]
    etag = market.anyone.get(f"/api/gigs/{gig}").headers["etag"]

    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = market.anyone.get(f"/api/gigs/{gig}", headers={"if-none-match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    changed = market.seller.put(f"/api/gigs/{gig}", json=a_gig(title="Another title"))
    assert changed.headers["etag"] not in (etag, None)
    assert market.anyone.get(f"/api/gigs/{gig}", headers={"if-none-match": etag}).status_code == 200


def test_the_tag_just_read_works_in_if_match(market: Market) -> None:
    gig = market.gig()["id"]
    path = f"/api/gigs/{gig}"

    for form in ("{}", "W/{}", '"other", {}', "*"):
        etag = market.anyone.get(path).headers["etag"]
        answer = market.seller.put(path, json=a_gig(title=f"Title {form}"), headers={"if-match": form.format(etag)})
        assert answer.status_code == 200, answer.text
    stale = market.seller.patch(f"{path}/status", json={}, headers={"if-match": '"0-0-0"'})
    assert ok(stale, 412)["code"] == "PRECONDITION_FAILED"


def test_answers_to_callers_with_a_token_are_kept_by_nobody(market: Market) -> None:
    gig = market.gig()["id"]

    assert "no-store" in market.buyer.get(f"/api/gigs/{gig}").headers["cache-control"]
    assert "no-store" in market.anyone.get(f"/api/gigs/{uuid4()}").headers["cache-control"]


def test_a_clients_request_id_is_kept_and_a_wrong_one_replaced(market: Market) -> None:
    for kept in ("a", "My-id_1", "x" * 64):
        assert market.anyone.get("/api/categories", headers={"x-request-id": kept}).headers["x-request-id"] == kept
    for wrong in ("", "two words", "x" * 65, "semi;colon"):
        identity = market.anyone.get("/api/categories", headers={"x-request-id": wrong}).headers["x-request-id"]
        assert identity
        assert identity != wrong


def test_a_request_id_and_a_trace_are_found_in_every_service_it_went_through(stack: Stack, market: Market) -> None:
    identity, trace = a_name("request"), f"00-{uuid4().hex}-{uuid4().hex[:16]}-01"
    body = {"packageId": market.gig()["packages"][0]["id"], "paymentMethod": "stripe"}

    ok(market.buyer.post("/api/orders", json=body, headers={"x-request-id": identity, "traceparent": trace}), 201)

    def services_that_logged_it() -> set[str]:
        logs = stack.layout.logs.glob("*-*.log")
        lines = [(log.name, line) for log in logs for line in log.read_text().splitlines()]
        return {name.split("-")[0] for name, line in lines if identity in line and trace in line}

    eventually(lambda: services_that_logged_it() >= {"gig", "order"})

    assert services_that_logged_it() == {"gig", "order"}


def test_nothing_of_the_inside_goes_out(market: Market) -> None:
    answers = [
        market.anyone.get("/api/categories"),
        market.anyone.get("/api/nothing"),
        market.anyone.get(f"/api/gigs/{uuid4()}"),
        market.seller.post("/api/gigs", json={}),
    ]

    for answer in answers:
        inner = [
            name for name in answer.headers if name.startswith(("grpc-", "x-error", "x-envoy", "x-edge", "trailer"))
        ]
        assert inner == []
        assert answer.headers.get("server", "") not in ("envoy",)


def test_headers_that_break_grpc_do_no_harm(market: Market) -> None:
    headers = {
        "cookie": "a=" + "x" * 14_000,
        "evil-bin": "not base64!",
        "grpc-encoding": "snappy",
        "grpc-timeout": "1n",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-error-status": "500",
        "x-error-body": "{}",
        "te": "gzip",
        "connection": "keep-alive",
    }

    assert market.anyone.get("/api/categories", headers=headers).status_code == 200


def test_http_2_speaks_as_http_1_does(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, http1=False, http2=True) as client:
        categories, missing = client.get("/api/categories"), client.get("/api/nothing")

    assert (categories.http_version, categories.status_code) == ("HTTP/2", 200)
    assert ok(missing, 404)["code"] == "NOT_FOUND"
