"""Messages of the Model Context Protocol: versions, notifications, and messages that are broken or too large."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.edge import Edge, assert_nothing_of_the_inside, assert_refused
from tests.support.mcp import PING, a_call, error_of, initialize, result, send

ID = "0190a000-0000-7000-8000-00000000000f"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
MIB = 1024 * 1024
PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_a_known_version_of_the_protocol_is_spoken(api: httpx.Client, version: str) -> None:
    body = send(api, initialize(version)).json()

    assert body["result"]["protocolVersion"] == version
    assert body["result"]["serverInfo"]["name"] == "marketplace"
    assert body["result"]["capabilities"] == {"tools": {"listChanged": False}}
    assert "result" in send(api, LIST, **{"mcp-protocol-version": version}).json()


def test_an_unknown_version_is_answered_with_a_known_one(api: httpx.Client) -> None:
    assert send(api, initialize("1999-01-01")).json()["result"]["protocolVersion"] == "2025-11-25"
    assert error_of(send(api, LIST, **{"mcp-protocol-version": "1999-01-01"}))[0] == INVALID_PARAMS


@pytest.mark.parametrize("name", ["initialized", "cancelled", "progress", "roots/list_changed"])
def test_a_notification_is_accepted(api: httpx.Client, name: str) -> None:
    response = send(api, {"jsonrpc": "2.0", "method": f"notifications/{name}", "params": {}})

    assert response.status_code == 202
    assert response.content == b""


@pytest.mark.parametrize("answer", [{"result": {}}, {"error": {"code": 1, "message": "no"}}])
def test_an_answer_to_nothing_is_accepted(api: httpx.Client, answer: dict[str, Any]) -> None:
    assert send(api, {"jsonrpc": "2.0", "id": 1, **answer}).status_code == 202


@pytest.mark.parametrize("request_id", [0, -1, 2**53, "a", "", 'ü"\\\n'])
def test_a_ping_is_answered_with_its_own_id(api: httpx.Client, request_id: Any) -> None:
    body = send(api, {**PING, "id": request_id}).json()

    assert body == {"jsonrpc": "2.0", "id": request_id, "result": {}}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", PARSE_ERROR),
        ("{", PARSE_ERROR),
        ("{'jsonrpc': '2.0'}", PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "id": "\xff", "method": "ping"}', PARSE_ERROR),
        ('{"jsonrpc": "2.0", "id": "\\ud800", "method": "tools/list"}', PARSE_ERROR),
        ('{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"a": 1e999}}', PARSE_ERROR),
        ("5", INVALID_REQUEST),
        ("[]", INVALID_REQUEST),
        ([PING], INVALID_REQUEST),
        ([PING, LIST], INVALID_REQUEST),
        ({}, INVALID_REQUEST),
        ({**PING, "jsonrpc": "1.0"}, INVALID_REQUEST),
        ({"id": 1, "method": "ping"}, INVALID_REQUEST),
        ({**PING, "id": 1.5}, INVALID_REQUEST),
        ({**PING, "id": None}, INVALID_REQUEST),
        ({**PING, "id": [1]}, INVALID_REQUEST),
        ({**PING, "id": "a" * 255}, INVALID_REQUEST),
        ({**PING, "id": int("9" * 257)}, INVALID_REQUEST),
        ('{"jsonrpc": "2.0", "id": 1, "\\u0069d": 2, "method": "ping"}', INVALID_REQUEST),
    ],
)
def test_a_broken_message_is_a_400_with_an_error_of_json_rpc(api: httpx.Client, message: Any, code: int) -> None:
    response = send(api, message)

    assert error_of(response, 400)[0] == code
    assert response.json()["id"] is None
    assert_nothing_of_the_inside(response)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"jsonrpc": "2.0", "id": 1}, INVALID_REQUEST),
        ({"jsonrpc": "2.0", "method": "tools/list"}, INVALID_REQUEST),
        ({**PING, "method": 5}, INVALID_REQUEST),
        ({**PING, "method": "resources/list"}, UNKNOWN_METHOD),
        ({**PING, "method": "initialize"}, INVALID_PARAMS),
        ({**PING, "method": "tools/call"}, INVALID_PARAMS),
        ({**PING, "method": "tools/call", "params": [1]}, INVALID_PARAMS),
        ({**PING, "method": "tools/call", "params": {"name": 5}}, INVALID_PARAMS),
        (a_call("receive_stripe_event", {}), INVALID_PARAMS),
        (a_call("upload_images", {"gigId": ID}), INVALID_PARAMS),
        (a_call("GetGig", {"gigId": ID}), INVALID_PARAMS),
        (a_call("list_categories", [1]), INVALID_PARAMS),
        (a_call("list_categories", "a"), INVALID_PARAMS),
        (a_call("get_gig"), INVALID_PARAMS),
        (a_call("get_gig", {"gigId": None}), INVALID_PARAMS),
        (a_call("place_order", {"idempotencyKey": 5}), INVALID_PARAMS),
        (a_call("place_order", {"idempotencyKey": {"a": 1}}), INVALID_PARAMS),
        (a_call("place_order", {"idempotencyKey": "a\r\nauthorization: b"}), INVALID_PARAMS),
        (json.dumps(a_call("get_gig", {"gigId": ID})).replace('"gigId"', '"gigId": "a", "gigId"'), INVALID_PARAMS),
    ],
)
def test_a_message_that_cannot_be_served_has_an_error_of_json_rpc(
    edge: Edge, api: httpx.Client, message: Any, code: int
) -> None:
    response = send(api, message, **edge.bearer())

    assert error_of(response)[0] == code
    assert_nothing_of_the_inside(response)
    assert edge.received() == 0


@pytest.mark.parametrize("depth", [101, 1000, 100_000, 500_000])
def test_a_message_nested_too_deeply_is_refused(edge: Edge, api: httpx.Client, depth: int) -> None:
    """With 100,000 levels the bridge alone would end Envoy."""
    for tool in ("create_gig", "search_gigs", "nothing"):
        nested = json.dumps(a_call(tool, {"q": 0})).replace('"q": 0', f'"q": {"[" * depth}{"]" * depth}')
        assert error_of(send(api, nested), 400) == (PARSE_ERROR, "The request body is nested too deeply")
    assert send(api, PING).json()["result"] == {}


def test_the_bound_of_a_message_is_one_mebibyte(edge: Edge, api: httpx.Client) -> None:
    def message(size: int) -> str:
        rest = len(json.dumps(a_call("create_gig", {"description": ""})))
        return json.dumps(a_call("create_gig", {"description": "a" * (size - rest)}))

    assert not result(send(api, message(MIB), **edge.bearer()))[1]
    for size in (MIB + 1, 3 * MIB):
        assert_refused(send(api, message(size), **edge.bearer()), 413, "PAYLOAD_TOO_LARGE")


def test_a_message_may_come_in_pieces(edge: Edge) -> None:
    body = json.dumps(a_call("delete_gig", {"gigId": ID})).encode()
    for http2 in (False, True):
        with edge.client(http2=http2) as api:
            sent = {"content-type": "application/json", **edge.bearer()}
            response = api.post("/mcp", content=iter([body[:9], body[9:]]), headers=sent)
            assert result(response) == (None, False)
            assert edge.gig.last().request.gig_id == ID


@pytest.mark.parametrize("headers", [{"content-type": "text/plain"}, {"content-encoding": "gzip"}])
def test_a_body_that_is_no_json_by_its_headers_is_a_415(api: httpx.Client, headers: dict[str, str]) -> None:
    assert_refused(send(api, PING, **headers), 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("http2", [False, True])
def test_a_request_without_a_body_is_answered(edge: Edge, http2: bool) -> None:
    with edge.client(http2=http2) as api:
        assert error_of(api.post("/mcp"), 400)[0] == PARSE_ERROR
