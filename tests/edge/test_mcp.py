"""Calls of tools over MCP: odd arguments, errors, headers, bounds; and other methods of /mcp."""

from __future__ import annotations

import contextlib
import json
import socket
from contextlib import closing
from typing import Any

import grpc
import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from edge.bootstrap import render
from edge.settings import EdgeSettings
from marketplace.gig.v1 import gig_pb2
from marketplace.order.v1 import order_pb2
from tests.support.edge import (
    Edge,
    an_edge,
    assert_refused,
    get,
    read_response,
)
from tests.support.eventually import eventually
from tests.support.mcp import PING, a_call, error_of, initialize, result, send
from tests.support.upstream import fails, returns, slow

ID = "0190a000-0000-7000-8000-00000000000f"
MIB = 1024 * 1024
INVALID_PARAMS = -32602


@pytest.mark.parametrize("argument", ["a/b", "../gigs", "a?x=1", "a#b", "a%2Fb", "a%00b", "a b", "{gigId}", "é", "\\1"])
def test_an_argument_of_the_path_stays_one_segment(edge: Edge, api: httpx.Client, argument: str) -> None:
    response = send(api, a_call("get_gig", {"gigId": argument}))

    if "error" in response.json():
        assert error_of(response)[0] == INVALID_PARAMS
        assert edge.received() == 0
    else:
        [arrived] = edge.gig.received
        assert arrived.rpc == "GetGig"
        assert arrived.request.gig_id == argument


@pytest.mark.parametrize("argument", ["..", ".", "../../orders", "..\\orders", "a/../b"])
def test_a_path_cannot_be_climbed(edge: Edge, api: httpx.Client, argument: str) -> None:
    for tool, name in (("get_gig", "gigId"), ("delete_gig", "gigId"), ("accept_order", "orderId")):
        assert error_of(send(api, a_call(tool, {name: argument}), **edge.bearer()))[0] == INVALID_PARAMS
    assert edge.received() == 0


@pytest.mark.parametrize("argument", ["", [], {}, {"a": "/"}, 5, True])
def test_an_odd_value_in_a_path_calls_no_other_rpc(edge: Edge, api: httpx.Client, argument: Any) -> None:
    send(api, a_call("delete_gig", {"gigId": argument}), **edge.bearer())

    assert {arrived.rpc for arrived in edge.gig.received} <= {"DeleteGig"}


def test_names_and_values_of_a_query_are_encoded(edge: Edge, api: httpx.Client) -> None:
    odd = "a&sellerId=x#b?c=d%26e+ é\x00"
    assert result(send(api, a_call("search_gigs", {"q": odd, "tags": ["x&q=1", "y"], "minPrice": 1.5})))[1] is False
    request = edge.gig.last().request
    assert (request.q, request.tags, request.min_price) == (odd, ["x&q=1", "y"], 1.5)
    assert not request.seller_id

    body, is_error = result(send(api, a_call("search_gigs", {"q=a&sellerId": "x"})))
    assert is_error
    assert body["details"] == [{"field": "q=a&sellerId", "message": "is not a parameter of this request"}]


def test_a_null_is_as_good_as_a_missing_argument(edge: Edge, api: httpx.Client) -> None:
    given = {"q": None, "minPrice": None, "tags": None, "sort": "newest", "pageToken": None}
    assert not result(send(api, a_call("search_gigs", given)))[1]
    assert edge.gig.last().request == gig_pb2.SearchGigsRequest(sort="newest")

    escaped = json.dumps(a_call("search_gigs", given)).replace("tools/call", "tools\\/c\\u0061ll")
    assert not result(send(api, escaped))[1]
    assert edge.gig.last().request == gig_pb2.SearchGigsRequest(sort="newest")

    order = {"packageId": ID, "paymentMethod": "sandbox", "requirements": None, "idempotencyKey": None}
    assert not result(send(api, a_call("place_order", order), **edge.bearer()))[1]
    assert edge.order.last().request == order_pb2.PlaceOrderRequest(package_id=ID, payment_method="sandbox")
    assert "idempotency-key" not in edge.order.last().metadata


def test_arguments_too_long_for_a_path_are_an_error_of_the_call(edge: Edge, api: httpx.Client) -> None:
    for size in (13_000, 100_000, MIB // 2):
        for arguments in ({"q": "a" * size}, {"pageToken": "é" * (size // 6)}):
            body, is_error = result(send(api, a_call("search_gigs", arguments)))
            assert is_error
            assert body["code"] == "HEADERS_TOO_LARGE"
    for size in (2_000, 100_000):
        body, is_error = result(send(api, a_call("place_order", {"idempotencyKey": "a" * size}), **edge.bearer()))
        assert (body["code"], is_error) == ("HEADERS_TOO_LARGE", True)
    assert edge.received() == 0
    assert not result(send(api, a_call("search_gigs", {"q": "a" * 10_000})))[1]


@pytest.mark.parametrize(
    ("status", "code", "http"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHORIZED", 401),
        (grpc.StatusCode.PERMISSION_DENIED, "FORBIDDEN", 403),
        (grpc.StatusCode.NOT_FOUND, "NOT_FOUND", 404),
        (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", 503),
    ],
)
def test_an_error_of_the_api_is_a_result_that_says_so(
    edge: Edge, api: httpx.Client, status: grpc.StatusCode, code: str, http: int
) -> None:
    edge.gig.responses["GetGig"] = fails(status)

    response = send(api, a_call("get_gig", {"gigId": ID}), **{"x-request-id": f"mcp-{http}"})

    body, is_error = result(response)
    assert (body["code"], is_error) == (code, True)
    assert response.headers["x-request-id"] == f"mcp-{http}"
    assert "www-authenticate" not in response.headers
    assert [line["code"] for line in edge.access_log(f"mcp-{http}")] == [http]


def test_a_long_result_comes_whole_and_one_too_long_is_an_error(edge: Edge, api: httpx.Client) -> None:
    def ask(description: str) -> httpx.Response:
        edge.gig.responses["GetGig"] = gig_pb2.GetGigResponse(gig=gig_pb2.Gig(id=ID, description=description))
        return send(api, a_call("get_gig", {"gigId": ID}))

    # Each of these quotes has two bytes in the API's JSON, and four in the result.
    for description in ("a" * 519_000, '"' * 259_000):
        assert result(ask(description))[0]["description"] == description
    for description in ("a" * 521_000, '"' * 500_000, "a" * MIB):
        assert error_of(ask(description)) == (-32000, "Response body too large")


def test_a_bad_token_is_an_error_of_the_call(edge: Edge, api: httpx.Client) -> None:
    body, is_error = result(send(api, a_call("list_categories"), authorization="Bearer a.b.c"))

    assert (body["code"], is_error) == ("UNAUTHORIZED", True)


def test_headers_of_the_api_do_not_come_through_and_no_condition_passes(edge: Edge, api: httpx.Client) -> None:
    edge.gig.responses["GetGig"] = returns(gig_pb2.GetGigResponse(gig=gig_pb2.Gig(id=ID)), ("etag", '"1"'))

    response = send(api, a_call("get_gig", {"gigId": ID}), **{"if-none-match": "*"})

    assert result(response)[0]["id"] == ID
    assert "etag" not in response.headers
    assert response.headers["cache-control"] == "no-store"


def test_a_key_in_the_header_is_used_where_the_call_has_none(edge: Edge, api: httpx.Client) -> None:
    headers = {"idempotency-key": "header", **edge.bearer()}
    order = {"packageId": ID, "paymentMethod": "sandbox"}

    send(api, a_call("place_order", order), **headers)
    assert edge.order.last().metadata["idempotency-key"] == "header"
    send(api, a_call("place_order", {**order, "idempotencyKey": "argument"}), **headers)
    assert edge.order.last().metadata["idempotency-key"] == "argument"


def test_a_long_poll_has_its_time(edge: Edge, api: httpx.Client) -> None:
    assert not result(send(api, a_call("list_events", {"wait": 30}), **edge.bearer("admin")))[1]

    given = edge.upstreams["event"][0].last().seconds_left
    listener = next(route for route in mcp_routes(edge.settings) if route.get("cluster") == "api")
    public = next(route for route in mcp_routes(edge.settings) if route.get("cluster") == "mcp")
    assert 30 < given < seconds(listener["timeout"]) < seconds(public["timeout"])
    assert seconds(public["timeout"]) < seconds(public["max_stream_duration"]["max_stream_duration"])


def mcp_routes(settings: EdgeSettings) -> list[dict[str, Any]]:
    """Return the routes of the listener `mcp`, and those that lead there."""
    listeners = {each["name"]: each for each in yaml.safe_load(render(settings))["static_resources"]["listeners"]}
    managers = [
        listeners["mcp"]["filter_chains"][0]["filters"][0],
        listeners["public"]["filter_chains"][0]["filters"][-1],
    ]
    return [
        route["route"]
        for manager in managers
        for route in manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
        if "route" in route
    ]


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"])
@pytest.mark.parametrize("path", ["/mcp", "/mcp?a=b"])
def test_another_method_is_a_405(api: httpx.Client, method: str, path: str) -> None:
    response = api.request(method, path, headers={"accept": "text/event-stream"})

    assert_refused(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "POST, OPTIONS"


def test_options_lists_the_methods(api: httpx.Client) -> None:
    response = api.options("/mcp")

    assert response.status_code == 204
    assert response.headers["allow"] == "POST, OPTIONS"
    assert api.head("/mcp").status_code == 405


@pytest.mark.parametrize("path", ["/mcp/", "/mcp/tools", "/MCP", "/mcp/mcp", "/mcpx"])
def test_no_other_path_leads_there(edge: Edge, api: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        assert_refused(api.request(method, path, headers={"x-edge-mcp": "1"}), 404, "NOT_FOUND")


def test_nothing_that_a_client_chooses_is_logged(edge: Edge, api: httpx.Client) -> None:
    secret = "s3cr3t-token"
    size = len(edge.log.read_text())

    messages: list[Any] = [
        a_call(secret, {}),
        a_call("get_gig", {secret: secret}),
        a_call("get_gig", {"gigId": secret}),
        a_call("get_gig", {"gigId": f"../{secret}"}),
        a_call("search_gigs", {"q": secret}),
        a_call("place_order", {"idempotencyKey": f"{secret}\n"}),
        {**PING, "method": secret},
        {**PING, "id": secret},
        initialize(secret),
        f"{secret} is no JSON",
    ]
    for message in messages:
        send(api, message, **{"mcp-name": secret, "x-request-id": "of-the-log"})
    eventually(lambda: len(edge.access_log("of-the-log")) == len(messages))

    assert secret not in edge.log.read_text()[size:]
    paths = {line["path"] for line in edge.access_log("of-the-log")}
    assert paths == {"/mcp", "/api/gigs", "/api/gigs/-"}


def test_an_address_has_a_bound_of_messages_under_way_beside_other_requests() -> None:
    # Envoy has two threads in these tests, and each counts for itself.
    with an_edge(edge_messages_per_address=1) as edge, contextlib.ExitStack() as connections:

        def sent(request: bytes) -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", edge.port), timeout=10)
            connections.enter_context(closing(connection))
            connection.sendall(request)
            return connection

        def message(content: Any) -> bytes:
            body = json.dumps(content).encode()
            headers = ("Content-Type: application/json", f"Content-Length: {len(body)}")
            return get("/mcp", *headers, method="POST") + body

        edge.gig.responses["ListCategories"] = slow(3)
        requests = [sent(get("/api/categories")) for _ in range(6)]
        assert [read_response(sent(message(PING))).status_code for _ in range(6)] == [200] * 6
        calls = [sent(message(a_call("list_categories"))) for _ in range(6)]
        responses = [read_response(each) for each in calls]

        refused = [response for response in responses if response.status_code == 429]
        assert len(refused) >= 4
        for response in refused:
            assert_refused(response, 429, "RATE_LIMITED")
        assert [read_response(each).status_code for each in requests] == [200] * 6


def test_it_can_be_switched_off() -> None:
    with an_edge(edge_mcp="off") as edge, edge.client() as api:
        assert_refused(send(api, PING), 404, "NOT_FOUND")
        assert_refused(api.get("/mcp"), 404, "NOT_FOUND")
        assert api.get("/api/categories").status_code == 200
