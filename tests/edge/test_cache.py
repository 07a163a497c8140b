"""The cache of anonymous reads, as clients and the services see it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count

import grpc
import httpx
import pytest

from edge import contract
from edge.caching import is_cached
from marketplace.gig.v1 import gig_pb2
from tests.support.cached import NOBODY, counters, told
from tests.support.edge import Edge, an_edge, assert_refused, get
from tests.support.encodings import ENCODINGS
from tests.support.upstream import empty_response, fails

SECONDS = 60
READS = [route.path for route in contract.load().routes if is_cached(route)]
_numbers = count(1)


@pytest.fixture(scope="module")
def keeping() -> Iterator[Edge]:
    """Start an edge whose cache keeps answers for longer than these tests take."""
    with an_edge(edge_cache="on", edge_cache_seconds=SECONDS) as edge:
        yield edge


@pytest.fixture
def edge(keeping: Edge) -> Edge:
    """Return the edge with services that answer what was asked, who asked, and a number."""
    keeping.reset()
    told(keeping)
    return keeping


@pytest.fixture
def api(edge: Edge) -> Iterator[httpx.Client]:
    """Return a client with one connection, so that one of Envoy's threads has all its requests."""
    with edge.client() as client:
        yield client


def a_gig() -> str:
    """Return the path of a gig that no test has asked for."""
    return f"/api/gigs/0190a000-0000-7000-8000-{next(_numbers):012x}"


@pytest.mark.parametrize("path", READS)
def test_an_anonymous_read_is_answered_again_without_its_service(edge: Edge, api: httpx.Client, path: str) -> None:
    path = path.replace("/api/gigs/{gig_id}", a_gig())
    first = api.get(path)
    asked = edge.received()

    second = api.get(path)

    assert edge.received() == asked == 1
    assert NOBODY in second.text
    assert second.content == first.content
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.headers["cache-control"] == second.headers["cache-control"] == f"public, max-age={SECONDS}"
    assert second.headers["content-type"] == "application/json"
    assert second.headers["vary"] == "Accept-Encoding, Authorization"
    assert "age" not in first.headers
    assert int(second.headers["age"]) < SECONDS
    assert second.headers["date"] == first.headers["date"]
    assert abs(parsedate_to_datetime(second.headers["date"]) - datetime.now(UTC)).total_seconds() < SECONDS


def test_what_needs_a_token_is_not_among_these_reads() -> None:
    assert READS == [
        "/api/gigs/{gig_id}",
        "/api/gigs",
        "/api/gigs/{gig_id}/packages",
        "/api/categories",
        "/api/gigs/{gig_id}/reviews",
    ]


def test_each_answer_has_the_id_of_its_own_request_and_one_line_in_the_log(edge: Edge, api: httpx.Client) -> None:
    gig, hits = a_gig(), counters(edge)["hit"]

    for number in range(3):
        assert api.get(gig, headers={"X-Request-Id": f"{gig[-4:]}-{number}"}).headers["x-request-id"][-1] == str(number)

    asked, *kept = (edge.access_log(f"{gig[-4:]}-{number}") for number in range(3))
    assert [(line["listener"], line["code"]) for line in asked] == [("api", 200)]
    for lines in kept:
        assert [(line["listener"], line["code"], line["cache"], line["path"]) for line in lines] == [
            ("public", 200, "hit", "/api/gigs/{gig_id}")
        ]
    assert counters(edge)["hit"] == hits + 2


def test_the_counters_tell_hits_from_misses(edge: Edge, api: httpx.Client) -> None:
    gig, before = a_gig(), counters(edge)

    for path in (gig, gig, gig, gig + "/packages"):
        api.get(path)
    api.get(gig, headers=edge.bearer())

    after = counters(edge)
    assert (after["hit"] - before["hit"], after["miss"] - before["miss"]) == (2, 2)


@pytest.mark.parametrize(("path", "method"), [("/api/gigs/a%00b", "GET"), ("/api/nothing", "QUERY")])
def test_no_request_of_a_client_counts_as_a_hit_by_its_headers(edge: Edge, path: str, method: str) -> None:
    before = counters(edge)

    response = edge.raw(get(path, "X-Edge-Cache: hit", method=method))

    assert_refused(response, 404, "NOT_FOUND")
    assert counters(edge) == before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_caller_with_a_token_gets_a_new_answer(edge: Edge, api: httpx.Client, method: str) -> None:
    gig = a_gig()
    api.get(gig)
    api.get(gig)

    response = api.request(method, gig, headers=edge.bearer())

    assert edge.received() == 2
    assert response.headers["cache-control"] == "private, no-store"
    assert "age" not in response.headers
    assert NOBODY not in response.text
    assert NOBODY in api.get(gig).text


@pytest.mark.parametrize("authorization", ["Bearer a.b.c", "Basic Zm9v", "", "Bearer"])
def test_a_bad_token_is_refused_whatever_is_kept(edge: Edge, api: httpx.Client, authorization: str) -> None:
    gig = a_gig()
    api.get(gig)

    assert_refused(api.get(gig, headers={"Authorization": authorization}), 401, "UNAUTHORIZED")


def test_an_error_is_never_kept(edge: Edge, api: httpx.Client) -> None:
    gig = a_gig()
    edge.gig.responses["GetGig"] = fails(
        grpc.StatusCode.NOT_FOUND,
        headers=[("x-error-status", "404"), ("x-error-body", '{"error":"Gig not found","code":"NOT_FOUND"}')],
    )
    for headers in ({}, {"Range": "bytes=0-3"}, {"Range": "bytes=900-"}):
        assert_refused(api.get(gig, headers=headers), 404, "NOT_FOUND")
        assert_refused(api.get(f"{gig}?x=1", headers=headers), 400, "INVALID_ARGUMENT")

    told(edge)

    assert api.get(gig).status_code == 200


def test_an_answer_that_sets_a_cookie_is_not_kept(edge: Edge, api: httpx.Client) -> None:
    def handler(request: object, context: grpc.ServicerContext) -> object:
        context.send_initial_metadata((("set-cookie", "a=b"),))
        return empty_response("GetGig")

    edge.gig.responses["GetGig"] = handler  # type: ignore[assignment]
    gig = a_gig()

    assert [api.get(gig).headers["cache-control"] for _ in range(2)] == ["no-cache", "no-cache"]
    assert edge.received() == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "no-cache"},
        {"Cache-Control": "No-Store"},
        {"Cache-Control": "max-age=0"},
        {"Cache-Control": "foo, max-age=0"},
        {"Pragma": "no-cache"},
    ],
    ids=str,
)
def test_a_client_that_wants_a_new_answer_gets_it(edge: Edge, api: httpx.Client, headers: dict[str, str]) -> None:
    gig = a_gig()
    kept = api.get(gig)

    assert api.get(gig, headers=headers).content != kept.content
    assert api.get(gig).content == kept.content


@pytest.mark.parametrize("headers", [{"Cache-Control": "max-age=30"}, {"Cache-Control": "only-if-cached"}], ids=str)
def test_other_wishes_change_nothing(edge: Edge, api: httpx.Client, headers: dict[str, str]) -> None:
    gig = a_gig()

    assert api.get(gig, headers=headers).content == api.get(gig, headers=headers).content


def test_get_with_a_body_passes_the_cache_by(edge: Edge, api: httpx.Client) -> None:
    gig = a_gig()
    kept = api.get(gig)

    assert api.request("GET", gig, content=b"{}").content != kept.content
    assert api.request("GET", gig, content=iter([b"{}"])).content != kept.content
    assert api.get(gig).content == kept.content


@pytest.mark.parametrize("value", ["bytes=0-3", "bytes=-4", "bytes=900-", "bytes=0-1,3-4"])
def test_a_range_of_json_is_the_whole_answer(edge: Edge, api: httpx.Client, value: str) -> None:
    gig = a_gig()

    new = api.get(gig, headers={"Range": value})
    kept = api.get(gig, headers={"Range": value, "If-Range": "x"})

    assert (new.status_code, kept.status_code) == (200, 200)
    assert kept.content == new.content


def test_head_is_answered_anew_and_keeps_nothing(edge: Edge, api: httpx.Client) -> None:
    gig = a_gig()
    assert api.head(gig).headers["cache-control"] == f"public, max-age={SECONDS}"
    kept = api.get(gig)

    head = api.head(gig)

    assert edge.received() == 3
    assert head.content == b""
    assert head.headers["content-length"] == str(len(kept.content))
    assert api.get(gig).content == kept.content


def test_hosts_spellings_and_queries_are_kept_apart_and_both_paths_together(edge: Edge, api: httpx.Client) -> None:
    asked = "/api/gigs?q=apart&pageSize=5"
    kept = api.get(asked).text

    assert api.get("/gig?q=apart&pageSize=5").text == kept
    assert api.get("/gig/?q=apart&pageSize=5").text == kept
    for other in ("/api/gigs?pageSize=5&q=apart", "/api/gigs?q=apart", "/api/gigs?q=Apart&pageSize=5"):
        assert api.get(other).text != kept
    assert api.get(asked, headers={"Host": "other"}).text != kept
    assert api.get(asked).text == kept


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br"])
@pytest.mark.parametrize("of", ["new", "kept"])
def test_the_tag_just_read_is_a_304(edge: Edge, api: httpx.Client, encoding: str, of: str) -> None:
    told(edge, ("etag", '"1-0-0"'), padding=2000)
    gig = a_gig()
    if of == "kept":
        api.get(gig)
    read = api.get(gig, headers={"Accept-Encoding": encoding})
    assert read.headers.get("content-encoding", "identity") == encoding

    response = api.get(gig, headers={"If-None-Match": read.headers["etag"], "Accept-Encoding": encoding})

    assert response.status_code == 304
    assert response.content == b""
    assert response.headers["etag"] == '"1-0-0"'
    assert response.headers["cache-control"] == f"public, max-age={SECONDS}"
    assert response.headers["vary"] == "Accept-Encoding, Authorization"
    assert "content-encoding" not in response.headers
    assert api.get(gig).status_code == 200


@pytest.mark.parametrize(("accepted", "encoding"), ENCODINGS)
def test_an_answer_is_kept_in_the_encoding_that_its_client_likes_best(
    edge: Edge, api: httpx.Client, accepted: str, encoding: str | None
) -> None:
    told(edge, ("etag", '"1-0-0"'), padding=2000)
    gig = a_gig()

    new, kept = (raw(api, gig, accepted) for _ in range(2))

    assert edge.received() == 1
    assert kept[1] == new[1]
    for headers, _ in (new, kept):
        assert headers.get("content-encoding") == encoding
        assert headers["etag"] == ('W/"1-0-0"' if encoding else '"1-0-0"')
        assert headers["vary"] == "Accept-Encoding, Authorization"
    assert int(kept[0]["content-length"]) == len(kept[1])


def raw(client: httpx.Client, path: str, accepted: str) -> tuple[httpx.Headers, bytes]:
    """Return the headers of a response, and its body as it came."""
    with client.stream("GET", path, headers={"Accept-Encoding": accepted}) as response:
        return response.headers, b"".join(response.iter_raw())


def test_a_large_answer_passes_whole_and_is_not_kept(edge: Edge, api: httpx.Client) -> None:
    edge.gig.responses["GetGig"] = gig_pb2.GetGigResponse(gig=gig_pb2.Gig(description="x" * 600_000))
    gig = a_gig()

    assert {len(raw(api, gig, "identity")[1]) > 600_000 for _ in range(2)} == {True}
    assert edge.received() == 2


def test_a_herd_that_finds_nothing_kept_asks_at_once_and_then_nobody_does(edge: Edge) -> None:
    # Envoy's script has no way to let a request wait for another one; see ADR 29.
    gig, herd = a_gig(), 6
    all_here = threading.Barrier(herd)
    told(edge)
    answer = edge.gig.responses["GetGig"]

    def slow(request: object, context: grpc.ServicerContext) -> object:
        all_here.wait(10)
        return answer(request, context)  # type: ignore[operator]

    edge.gig.responses["GetGig"] = slow  # type: ignore[assignment]
    # Connections of HTTP/1.1, one each: on a shared one of HTTP/2 httpx's threads can wait for each other.
    with edge.client() as client, ThreadPoolExecutor(herd) as pool:
        assert [response.status_code for response in pool.map(client.get, [gig] * herd)] == [200] * herd
        assert edge.received() == herd

        kept = {client.get(gig).text for _ in range(5)}

    assert len(kept) == 1
    assert edge.received() == herd


def test_a_body_that_is_cut_off_is_not_kept(edge: Edge, api: httpx.Client) -> None:
    gig = a_gig()
    told(edge, padding=200_000)
    with closing(edge.client()) as leaving, leaving.stream("GET", gig) as response:
        next(response.iter_raw(10))

    assert api.get(gig).status_code == 200
    assert len(api.get(gig).content) > 200_000


def test_without_the_cache_each_read_asks_its_service(running_edge: Edge) -> None:
    running_edge.reset()
    told(running_edge)
    gig = a_gig()

    with running_edge.client() as client:
        first, second = client.get(gig), client.get(gig)

    assert first.content != second.content
    assert {response.headers["cache-control"] for response in (first, second)} == {"no-cache"}
