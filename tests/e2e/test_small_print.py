"""HTTP to the letter, through the real edge to the real services."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from edge.tokens import user_id
from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import SEED_GIG, Market, a_gig, a_name, ok


def fields(answer: httpx.Response) -> list[str]:
    """Return the fields that a 400 names."""
    assert answer.status_code == 400, answer.text
    return [detail["field"] for detail in answer.json()["details"]]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/",
        "/api/gigs/",
        "/api//gigs",
        "/api/Gigs",
        "/API/gigs",
        "/api/gigs/../categories/x",
        "/gigs",
        "/gig/{id}/",
        "/api/gigs/{id}/",
        "/api/gigs/{id}/nothing",
        "/api/orders/{id}/explode",
        "/marketplace.gig.v1.GigService/GetGig",
    ],
)
def test_a_path_that_is_not_known_is_404(market: Market, path: str) -> None:
    answer = market.anyone.get(path.format(id=market.gig()["id"]))

    assert ok(answer, 404)["code"] == "NOT_FOUND"


@pytest.mark.parametrize("method", ["ApplyRating", "GetPackageTerms", "DescribeGig"])
def test_rpcs_without_a_route_cannot_be_reached_from_outside(stack: Stack, method: str) -> None:
    with httpx.Client(base_url=stack.url, http1=False, http2=True) as client:
        headers = {"content-type": "application/grpc", "te": "trailers"}
        answer = client.post(f"/marketplace.gig.v1.GigService/{method}", headers=headers, content=b"\0\0\0\0\0")

    assert answer.status_code == 404
    assert answer.json()["code"] == "NOT_FOUND"


def test_an_order_action_that_does_not_exist_is_404_by_post_too(market: Market) -> None:
    assert market.buyer.post(f"/api/orders/{uuid4()}/explode").status_code == 404


@pytest.mark.parametrize("undecodable", ["%ff", "%", "%zz", "%00"])
def test_what_cannot_be_decoded_is_404_in_a_path_and_400_in_a_query(stack: Stack, undecodable: str) -> None:
    close = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    in_path, _, _ = stack.raw(f"GET /api/gigs/{undecodable}".encode() + close)
    in_query, _, body = stack.raw(f"GET /api/gigs?q={undecodable}".encode() + close)

    assert in_path == 404
    assert in_query == 400
    assert json.loads(body)["code"] == "INVALID_ARGUMENT"


def test_ids_are_matched_in_any_case_and_answered_in_lower_case(market: Market) -> None:
    gig = market.gig()

    assert ok(market.anyone.get(f"/api/gigs/{gig['id'].upper()}"))["id"] == gig["id"]


def test_an_id_that_is_no_uuid_is_404_in_a_path_and_400_elsewhere(market: Market) -> None:
    assert ok(market.anyone.get("/api/gigs/17"), 404) == {"error": "Gig not found", "code": "NOT_FOUND"}
    assert ok(market.buyer.get("/api/orders/17"), 404) == {"error": "Order not found", "code": "NOT_FOUND"}
    assert ok(market.anyone.get("/api/gigs/%0d%0aX:1"), 404) == {"error": "Gig not found", "code": "NOT_FOUND"}
    assert fields(market.seller.post("/api/gigs", json=a_gig(categoryId="17"))) == ["categoryId"]
    assert fields(market.anyone.get("/api/gigs?sellerId=17")) == ["sellerId"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("colour=red", ["colour"]),
        ("min_price=3", ["min_price"]),
        ("minprice=3", ["minprice"]),
        ("minPrice=1&minPrice=2", ["minPrice"]),
        ("minPrice=cheap", ["minPrice"]),
        ("minPrice=NaN", ["minPrice"]),
        ("minPrice=Infinity", ["minPrice"]),
        ("minPrice=1e999", ["minPrice"]),
        ("minPrice=1.005", ["minPrice"]),
        ("minPrice=-1", ["minPrice"]),
        ("maxDeliveryDays=1.5", ["maxDeliveryDays"]),
        ("maxDeliveryDays=99999999999", ["maxDeliveryDays"]),
        ("pageSize=-1", ["pageSize"]),
        ("pageSize=101", ["pageSize"]),
        ("pageToken=nonsense", ["pageToken"]),
        ("sort=random", ["sort"]),
        ("status=GONE", ["status"]),
        ("category=no-such-category", ["category"]),
        ("minPrice=10&maxPrice=9", ["minPrice"]),
        ("minRating=6", ["minRating"]),
        ("q=%07", ["q"]),
    ],
)
def test_a_query_parameter_that_is_wrong_is_400_and_named(market: Market, query: str, named: list[str]) -> None:
    assert fields(market.anyone.get(f"/api/gigs?{query}")) == named


def test_several_wrong_parameters_are_named_at_once(market: Market) -> None:
    assert fields(market.anyone.get("/api/gigs?colour=red&minPrice=cheap&pageSize=x")) == [
        "colour",
        "minPrice",
        "pageSize",
    ]


def test_an_empty_value_is_as_if_the_parameter_were_not_there(market: Market) -> None:
    query = "category=&minPrice=&maxPrice=&q=&tags=&sellerId=&status=&sort=&pageSize=&pageToken="

    assert (
        ok(market.anyone.get(f"/api/gigs?{query}&pageSize=1")).keys()
        == ok(market.anyone.get("/api/gigs?pageSize=1")).keys()
    )


def test_a_page_size_of_zero_is_the_default(market: Market) -> None:
    for number in range(3):
        market.gig(title=f"Gig number {number}")

    assert len(ok(market.anyone.get("/api/gigs?pageSize=0"))["results"]) > 1


def test_a_plus_in_a_query_is_a_space(market: Market) -> None:
    word = a_name("zebra").replace("-", "")
    gig = market.gig(title=f"Painting {word} stripes")

    page = ok(market.anyone.get(f"/api/gigs?q=painting+{word}"))

    assert [result["id"] for result in page["results"]] == [gig["id"]]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "[1]",
        '"text"',
        "17",
        "null",
        '{"title": }',
        '{"title": "\\ud800"}',
        '{"a":' * 200 + "1" + "}" * 200,
    ],
)
def test_a_body_that_is_no_object_of_ours_is_400_without_a_word_of_the_inside(market: Market, body: str) -> None:
    answer = market.seller.post("/api/gigs", content=body, headers={"content-type": "application/json"})

    error = ok(answer, 400)
    assert error["code"] == "INVALID_ARGUMENT"
    for inner in ("TYPE_", "google", "proto", "marketplace.", "INVALID_ARGUMENT:"):
        assert inner not in error["error"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"title": 5}, "title"),
        ({"tags": "web"}, "tags"),
        ({"packages": [{**SEED_GIG["packages"][0], "price": "cheap"}]}, "packages[0].price"),
        ({"packages": [{**SEED_GIG["packages"][0], "deliveryDays": 1.5}]}, "packages[0].deliveryDays"),
        (
            {"packages": [SEED_GIG["packages"][0], {**SEED_GIG["packages"][0], "features": [1]}]},
            "packages[1].features[0]",
        ),
    ],
)
def test_a_wrong_json_type_is_found_alone_and_named(market: Market, change: dict[str, Any], named: str) -> None:
    assert fields(market.seller.post("/api/gigs", json={**SEED_GIG, **change})) == [named]


def test_numbers_that_are_none_are_400_in_bodies(market: Market) -> None:
    for number in ("NaN", "Infinity", "1e999"):
        body = json.dumps(a_gig(price=0)).replace('"price": 0', f'"price": {number}')
        answer = market.seller.post("/api/gigs", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
    assert fields(market.seller.post("/api/gigs", json=a_gig(price="NaN"))) == ["packages[0].price"]


def test_every_bound_of_a_gig_is_named_at_once(market: Market) -> None:
    package = {"title": "x", "price": 0.001, "deliveryDays": 366, "revisions": 101, "features": ["x" * 101]}
    body = {"title": "x", "description": "", "categoryId": "", "tags": ["x" * 41], "packages": [package]}

    named = fields(market.seller.post("/api/gigs", json=body))

    assert set(named) == {
        "title",
        "description",
        "categoryId",
        "tags[0]",
        "packages[0].title",
        "packages[0].price",
        "packages[0].deliveryDays",
        "packages[0].revisions",
        "packages[0].features[0]",
    }


def test_fifty_violations_are_told_at_most(market: Market) -> None:
    assert 0 < len(fields(market.seller.post("/api/gigs", json={**SEED_GIG, "packages": [{}] * 60}))) <= 50


def test_unknown_json_fields_are_ignored_and_what_may_not_be_set_is_not(market: Market) -> None:
    body = {**SEED_GIG, "sellerId": str(uuid4()), "rating": 5, "status": "SUSPENDED", "colour": {"deep": [1]}}

    made = ok(market.seller.post("/api/gigs", json=body), 201)

    page = ok(market.anyone.get(f"/api/gigs/{made['id']}"))
    assert (page["status"], page["rating"], page["seller"]["id"]) == ("ACTIVE", 0, made["sellerId"])
    assert made["sellerId"] != body["sellerId"]


def test_texts_are_trimmed_composed_and_kept_in_unicode(market: Market) -> None:
    gig = market.gig(title="  Cafe\u0301 logo 🎨 ", tags=["  Web ", "WEB", "Ünï"])

    assert gig["title"] == "Caf\u00e9 logo 🎨"
    assert gig["tags"] == ["web", "ünï"]


def test_control_characters_and_blank_texts_are_400(market: Market) -> None:
    assert fields(market.seller.post("/api/gigs", json=a_gig(title="a\x00bcd"))) == ["title"]
    assert fields(market.seller.post("/api/gigs", json=a_gig(description="a\x0bb"))) == ["description"]
    assert fields(market.seller.post("/api/gigs", json=a_gig(description="\u200b\u200d"))) == ["description"]
    assert fields(market.seller.post("/api/gigs", json=a_gig(title="\U0001f600\U0001f600"))) == ["title"]


def test_money_is_exact(market: Market) -> None:
    for price in (0.01, 0.07, 4.35, 19.99, 999999.99, 1000000):
        assert market.gig(price=price)["packages"][0]["price"] == price
    for price in (0, -1, 0.001, 1000000.01, 19.999):
        assert fields(market.seller.post("/api/gigs", json=a_gig(price=price))) == ["packages[0].price"]


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


def test_two_megabytes_in_chunks_are_refused_while_they_come(market: Market) -> None:
    def pieces() -> Any:
        yield b'{"title": "'
        for _ in range(64):
            yield b"x" * 32_768
        yield b'"}'

    answer = market.seller.post("/api/gigs", content=pieces(), headers={"content-type": "application/json"})

    assert ok(answer, 413)["code"] == "PAYLOAD_TOO_LARGE"


def test_http_2_speaks_as_http_1_does(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, http1=False, http2=True) as client:
        categories, missing = client.get("/api/categories"), client.get("/api/nothing")

    assert (categories.http_version, categories.status_code) == ("HTTP/2", 200)
    assert ok(missing, 404)["code"] == "NOT_FOUND"


def test_a_gig_that_is_not_active_is_404_to_all_but_its_owner_and_admins(stack: Stack, market: Market) -> None:
    gig = market.gig()
    ok(market.seller.patch(f"/api/gigs/{gig['id']}/status", json={}))
    admin = stack.client(a_name("admin"), "admin")
    paths = [f"/api/gigs/{gig['id']}{rest}" for rest in ("", "/packages", "/reviews")]

    assert [market.anyone.get(path).status_code for path in paths] == [404] * 3
    assert [market.buyer.get(path).status_code for path in paths] == [404] * 3
    assert [market.seller.get(path).status_code for path in paths] == [200] * 3
    assert [admin.get(path).status_code for path in paths] == [200] * 3
    assert ok(market.anyone.get("/api/gigs", params={"sellerId": gig["seller"]["id"]}))["total"] == 0


def test_an_owner_finds_their_own_paused_gigs(market: Market) -> None:
    gig = market.gig()
    ok(market.seller.patch(f"/api/gigs/{gig['id']}/status", json={"status": "PAUSED"}))
    query = {"sellerId": gig["seller"]["id"], "status": "PAUSED"}

    assert [result["id"] for result in ok(market.seller.get("/api/gigs", params=query))["results"]] == [gig["id"]]
    assert market.buyer.get("/api/gigs", params=query).status_code in (400, 403)


def test_an_order_keeps_its_terms_when_the_gig_changes_and_goes(market: Market) -> None:
    gig = market.gig()
    order = market.order(gig)
    package = {**SEED_GIG["packages"][0], "price": 1, "title": "Cheap"}
    ok(market.seller.put(f"/api/gigs/{gig['id']}/packages/{gig['packages'][0]['id']}", json=package))
    assert market.seller.delete(f"/api/gigs/{gig['id']}").status_code == 204

    seen = ok(market.buyer.get(f"/api/orders/{order}"))

    assert (seen["price"], seen["package"], seen["gigTitle"]) == (500, "Basic Website", SEED_GIG["title"])
    assert (seen["currency"], seen["revisionsLeft"], seen["actions"]) == ("USD", 0, ["cancel"])
    for action in ("accept", "deliver"):
        ok(market.seller.post(f"/api/orders/{order}/{action}"))
    assert market.review(order)["newAverageRating"] == 5


def test_an_order_is_404_to_strangers_whatever_they_try_and_its_review_403(stack: Stack, market: Market) -> None:
    order = market.delivered(market.gig())
    stranger = stack.client(a_name("stranger"), "buyer", "seller")

    assert stranger.get(f"/api/orders/{order}").status_code == 404
    for action in ("accept", "decline", "cancel", "deliver", "complete"):
        assert stranger.post(f"/api/orders/{order}/{action}").status_code == 404
    assert stranger.post(f"/api/orders/{order}/revise", json={"message": "x"}).status_code == 404
    assert stranger.post(f"/api/orders/{order}/review", json={"rating": 1}).status_code == 403


def test_the_wrong_person_is_403_and_the_wrong_time_409_with_what_is_open(market: Market) -> None:
    order = market.order(market.gig())

    assert market.buyer.post(f"/api/orders/{order}/accept").status_code == 403
    error = ok(market.seller.post(f"/api/orders/{order}/deliver"), 409)
    assert error["code"] == "INVALID_TRANSITION"
    assert "accept" in error["error"]
    assert "decline" in error["error"]


def test_ones_own_gig_cannot_be_ordered(stack: Stack) -> None:
    both = stack.client(a_name("both"), "seller", "buyer")
    gig = ok(both.post("/api/gigs", json=SEED_GIG), 201)["id"]
    package = ok(both.get(f"/api/gigs/{gig}"))["packages"][0]["id"]

    assert (
        ok(both.post("/api/orders", json={"packageId": package, "paymentMethod": "stripe"}), 403)["code"] == "FORBIDDEN"
    )


def test_pages_neither_skip_nor_repeat_while_gigs_are_added(stack: Stack) -> None:
    name = a_name("seller")
    seller = stack.client(name, "seller")
    first = {ok(seller.post("/api/gigs", json=a_gig(price=5)), 201)["id"] for _ in range(7)}
    query = {"sellerId": str(user_id(name)), "sort": "price", "pageSize": "3"}
    seen: list[str] = []
    token = ""

    while True:
        page = ok(seller.get("/api/gigs", params={**query, "pageToken": token}))
        seen += [result["id"] for result in page["results"]]
        ok(seller.post("/api/gigs", json=a_gig(price=1)), 201)
        token = page.get("nextPageToken", "")
        if not token:
            break

    assert len(seen) == len(set(seen))
    assert first <= set(seen)
    other = seller.get(
        "/api/gigs",
        params={**query, "sort": "newest", "pageToken": ok(seller.get("/api/gigs", params=query))["nextPageToken"]},
    )
    assert fields(other) == ["pageToken"]
