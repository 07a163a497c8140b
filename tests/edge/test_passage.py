"""Good requests: how they arrive at the service, and how the response arrives at the client."""

from __future__ import annotations

import socket

import h2.config
import h2.connection
import h2.events
import httpx
import pytest

from marketplace.gig.v1 import gig_pb2
from tests.support.edge import Edge, assert_nothing_of_the_inside, get
from tests.support.upstream import returns

GIG = "0190a000-0000-7000-8000-000000000001"
A_GIG = gig_pb2.GetGigResponse(gig=gig_pb2.Gig(id=GIG, title="A gig", status=gig_pb2.Gig.ACTIVE))
# The headers that Envoy adds to each call.
OF_THE_EDGE = {
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
    "x-envoy-original-path",
    "x-envoy-original-method",
}


@pytest.fixture(params=[False, True], ids=["http1", "http2"])
def either(request: pytest.FixtureRequest, edge: Edge) -> httpx.Client:
    """Return a client of HTTP/1.1, then one of HTTP/2."""
    return edge.client(http2=request.param)


def test_the_named_field_of_a_response_is_the_body(edge: Edge, either: httpx.Client) -> None:
    edge.gig.responses["GetGig"] = returns(A_GIG, ("etag", '"1"'))

    response = either.get(f"/api/gigs/{GIG}")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["etag"] == '"1"'
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.json()["title"] == "A gig"
    assert response.json()["status"] == "ACTIVE"
    assert response.json()["reviewCount"] == 0
    assert edge.gig.last().request.gig_id == GIG
    assert_nothing_of_the_inside(response)


def test_what_is_not_set_is_left_out_and_zeros_are_printed(edge: Edge, api: httpx.Client) -> None:
    edge.gig.responses["SearchGigs"] = gig_pb2.SearchGigsResponse()

    assert api.get("/api/gigs").json() == {"results": [], "total": 0, "totalIsEstimate": False}


@pytest.mark.parametrize(
    ("spelling", "rpc"),
    [
        ("/gig", "SearchGigs"),
        ("/gig/", "SearchGigs"),
        (f"/gig/{GIG}", "GetGig"),
        (f"/gig/{GIG}/packages", "ListPackages"),
        ("/gig?q=a", "SearchGigs"),
        ("/gig/?q=a", "SearchGigs"),
    ],
)
def test_gig_is_a_second_spelling_of_api_gigs(edge: Edge, api: httpx.Client, spelling: str, rpc: str) -> None:
    assert api.get(spelling).status_code == 200
    assert edge.gig.last().rpc == rpc
    assert getattr(edge.gig.last().request, "q", "") == ("a" if "?" in spelling else "")


def test_a_gig_can_be_created_by_its_second_spelling(edge: Edge, api: httpx.Client) -> None:
    response = api.post("/gig/", json={"title": "A gig"}, headers=edge.bearer())

    assert response.status_code == 201
    assert edge.gig.last().request.title == "A gig"


def test_what_was_made_is_a_201_with_its_place(edge: Edge, either: httpx.Client) -> None:
    made = gig_pb2.CreateGigResponse(id=GIG)
    edge.gig.responses["CreateGig"] = returns(made, ("location", f"/api/gigs/{GIG}"), ("etag", '"1"'))

    response = either.post("/api/gigs", json={}, headers=edge.bearer())

    assert response.status_code == 201
    assert response.headers["location"] == f"/api/gigs/{GIG}"
    assert response.headers["etag"] == '"1"'
    assert response.json()["id"] == GIG


def test_what_is_gone_is_a_204_without_body_and_length(edge: Edge, either: httpx.Client) -> None:
    response = either.delete(f"/api/gigs/{GIG}", headers=edge.bearer())

    assert response.status_code == 204
    assert response.content == b""
    assert "content-length" not in response.headers
    assert "content-type" not in response.headers
    assert either.get("/api/categories").status_code == 200  # the connection still works


def test_head_answers_as_get_without_the_body(edge: Edge, either: httpx.Client) -> None:
    edge.gig.responses["GetGig"] = returns(A_GIG, ("etag", '"1"'))

    head, whole = either.head(f"/api/gigs/{GIG}"), either.get(f"/api/gigs/{GIG}")

    assert head.status_code == 200
    assert head.content == b""
    differing = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in differing} == {
        k: v for k, v in whole.headers.items() if k not in differing
    }


def test_head_of_what_is_not_there_has_the_error_without_its_body(edge: Edge, either: httpx.Client) -> None:
    response = either.head("/api/nothing")

    assert response.status_code == 404
    assert response.content == b""
    assert response.headers["content-type"] == "application/json"
    assert either.get("/api/categories").status_code == 200


@pytest.mark.parametrize("tags", ['"v1"', 'W/"v1"', '"other", "v1"', '"other",W/"v1"', '"a" , W/"v1"', "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_tag_that_is_known_is_a_304(edge: Edge, api: httpx.Client, method: str, tags: str) -> None:
    edge.gig.responses["GetGig"] = returns(A_GIG, ("etag", '"v1"'))

    response = api.request(method, f"/api/gigs/{GIG}", headers={"If-None-Match": tags})

    assert response.status_code == 304
    assert response.content == b""
    assert response.headers["etag"] == '"v1"'
    assert "content-length" not in response.headers


@pytest.mark.parametrize("tags", ['"v2"', 'W/"v2"', '"v"', "v1", '"v1', ""])
def test_another_tag_is_a_whole_answer(edge: Edge, api: httpx.Client, tags: str) -> None:
    edge.gig.responses["GetGig"] = returns(A_GIG, ("etag", '"v1"'))

    assert api.get(f"/api/gigs/{GIG}", headers={"If-None-Match": tags}).status_code == 200


def test_a_weak_tag_of_the_service_matches_as_well(edge: Edge, api: httpx.Client) -> None:
    edge.gig.responses["GetGig"] = returns(A_GIG, ("etag", 'W/"v1"'))

    assert api.get(f"/api/gigs/{GIG}", headers={"If-None-Match": '"v1"'}).status_code == 304


def test_answers_to_callers_with_a_token_are_never_kept(edge: Edge, api: httpx.Client) -> None:
    assert api.get("/api/categories", headers=edge.bearer()).headers["cache-control"] == "private, no-store"
    assert api.get("/api/categories").headers["cache-control"] == "no-cache"


def test_only_what_is_known_goes_on_to_the_services(edge: Edge, api: httpx.Client) -> None:
    passed = {
        "if-match": '"1"',
        "if-none-match": '"2"',
        "idempotency-key": "k",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=b",
        "authorization": f"Bearer {edge.token()}",
    }
    dropped = {
        "cookie": "session=1",
        "te": "trailers",
        "grpc-encoding": "gzip",
        "grpc-timeout": "1n",
        "grpc-trace-bin": "~~~",
        "something-bin": "~~~",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-retry-on": "5xx",
        "x-error-status": "200",
        "x-error-body": "{}",
        "x-edge-user": "admin",
        "x-user-id": "admin",
        "x-real-ip": "1.2.3.4",
        "forwarded": "for=1.2.3.4",
        "x-forwarded-host": "elsewhere",
        "content-type": "application/grpc",
        "x_forwarded_for": "1.2.3.4",
    }

    response = api.get("/api/categories", headers={**passed, **dropped})

    assert response.status_code == 200, response.text
    metadata = edge.gig.last().metadata
    assert passed.items() <= metadata.items()
    assert set(metadata) - set(passed) == OF_THE_EDGE


def test_nobody_is_believed_who_the_client_is(edge: Edge, api: httpx.Client) -> None:
    api.get("/api/categories", headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"})

    metadata = edge.gig.last().metadata
    assert "203.0.113.9" not in str(metadata["x-forwarded-for"])
    assert metadata["x-forwarded-proto"] == "http"


def test_the_service_knows_how_long_the_edge_waits(edge: Edge, api: httpx.Client) -> None:
    api.get("/api/categories")

    seconds = edge.gig.last().seconds_left
    assert edge.settings.edge_request_timeout_seconds - 2 < seconds <= edge.settings.edge_request_timeout_seconds


@pytest.mark.parametrize("id_", ["a", "A-z_09", "x" * 64, "0190a000-0000-7000-8000-000000000001"])
def test_a_request_id_in_the_right_form_is_kept(edge: Edge, api: httpx.Client, id_: str) -> None:
    response = api.get("/api/categories", headers={"X-Request-Id": id_})

    assert response.headers["x-request-id"] == id_
    assert edge.gig.last().metadata["x-request-id"] == id_


@pytest.mark.parametrize("ids", [["x" * 65], ["a b"], ["a.b"], ["a,b"], ["ä"], [""], ["a", "b"], ['"a"']])
def test_a_request_id_in_another_form_is_replaced(edge: Edge, ids: list[str]) -> None:
    response = edge.raw(get("/api/categories", *(f"X-Request-Id: {each}" for each in ids)))

    given = response.headers["x-request-id"]
    assert given not in (*ids, ",".join(ids), ", ".join(ids))
    assert len(given) == 36
    assert edge.gig.last().metadata["x-request-id"] == given


def test_errors_keep_the_request_id_too(edge: Edge, api: httpx.Client) -> None:
    for path in ("/api/nothing", "/api/orders", "/api/gigs?x=1"):
        assert api.get(path, headers={"X-Request-Id": "mine"}).headers["x-request-id"] == "mine"


@pytest.mark.parametrize("offer", ["h2c", "TLS/1.2", "websocket", "foo/2"])
def test_an_offered_upgrade_is_left_unanswered(edge: Edge, offer: str) -> None:
    connection = "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"

    response = edge.raw(get("/api/categories", f"Upgrade: {offer}", *connection))

    assert response.status_code == 200


def test_over_http2_no_trailers_of_grpc_come_out(edge: Edge) -> None:
    events = http2_events(edge, "/api/categories")

    assert any(isinstance(each, h2.events.ResponseReceived) for each in events)
    assert isinstance(events[-1], h2.events.StreamEnded)
    assert not any(isinstance(each, h2.events.TrailersReceived) for each in events)


def http2_events(edge: Edge, path: str, *headers: tuple[str, str]) -> list[h2.events.Event]:
    """Return the events of one GET, to the end of the stream or connection."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    with socket.create_connection(("127.0.0.1", edge.port), timeout=10) as connection:
        client.initiate_connection()
        pseudo = [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", "edge")]
        client.send_headers(1, [*pseudo, *headers], end_stream=True)
        events: list[h2.events.Event] = []
        ends = (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)
        while not any(isinstance(each, ends) for each in events):
            connection.sendall(client.data_to_send())
            events += client.receive_data(connection.recv(65536))
    return events


def test_over_http2_headers_beyond_64_kib_reset_the_stream(edge: Edge) -> None:
    events = http2_events(edge, "/api/categories", ("x-large", "a" * 70_000))

    assert isinstance(events[-1], h2.events.StreamReset)
