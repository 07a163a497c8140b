"""Whatever clients send through the cache, each gets an answer to its own question, made for itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.tokens import user_id
from tests.support.cached import NOBODY, counters, told
from tests.support.edge import Edge, an_edge

ETAG = '"1-0-0"'
USERS = ("ann", "bob")
GIGS = [f"0190a000-0000-7000-8000-{number:012x}" for number in range(2)]
# A path and the question that the service gets.
QUESTIONS = {
    **{f"{root}/{gig}": gig for root in ("/api/gigs", "/gig") for gig in GIGS},
    **{f"/api/gigs/{gig}/packages": gig for gig in GIGS},
    f"/gig/{GIGS[0]}/reviews": GIGS[0],
    "/api/gigs?q=a": "a/20",
    "/gig?q=a": "a/20",
    "/gig/?q=b": "b/20",
    "/api/gigs?q=a&pageSize=5": "a/5",
    "/api/gigs?pageSize=5&q=a": "a/5",
    "/api/gigs?q=a%26pageSize%3D5": "a&pageSize=5/20",
}
# Headers that must change nothing of an answer but its form.
HEADERS: dict[str, list[str]] = {
    "Accept-Encoding": ["identity", "gzip", "gzip;q=0.5, identity;q=0.1", "*;q=0"],
    "Cache-Control": ["no-cache", "max-age=0", "only-if-cached", "max-age=60"],
    "Cookie": ["session=1"],
    "Host": ["edge", "marketplace.example", "EDGE", "edge:80"],
    "If-Match": [ETAG],
    "If-Modified-Since": ["Sun, 29 Nov 2026 00:00:00 GMT"],
    "If-None-Match": ["*", ETAG, f"W/{ETAG}", '"other"'],
    "If-Range": [ETAG],
    "Origin": ["https://shop.example", "null"],
    "Range": ["bytes=0-3", "bytes=-1", "bytes=9999-"],
    "Transfer-Encoding": ["chunked"],
    "X-Edge-Body": ["1"],
    "X-Forwarded-For": ["203.0.113.9"],
    "X-Request-Id": ["mine", "mine-too"],
    "X-User-Id": ["00000000-0000-0000-0000-000000000001"],
}


@dataclass(frozen=True)
class Sent:
    """A request: by whom (empty: without a token), on which connection, and what."""

    user: str
    connection: int
    method: str
    path: str
    headers: dict[str, str]


_headers = st.dictionaries(st.sampled_from(sorted(HEADERS)), st.integers(0, 3), max_size=3).map(
    lambda chosen: {name: HEADERS[name][number % len(HEADERS[name])] for name, number in chosen.items()}
)
# Most requests are plain, so that many find a kept answer.
requests = st.builds(
    Sent,
    user=st.sampled_from(["", "", "", *USERS]),
    connection=st.integers(0, 2),
    method=st.sampled_from(["GET", "GET", "GET", "HEAD"]),
    path=st.sampled_from(sorted(QUESTIONS)),
    headers=st.one_of(st.just({}), _headers),
)


@pytest.fixture(scope="module")
def keeping() -> Iterator[Edge]:
    """Start an edge whose cache keeps answers of all these tests."""
    with an_edge(edge_cache="on", edge_cache_seconds=60) as edge:
        told(edge, ("etag", ETAG), padding=2000)
        yield edge


def send(edge: Edge, clients: list[httpx.Client], sent: Sent) -> httpx.Response:
    """Send a request with the token of its user."""
    headers = dict(sent.headers)
    if sent.user:
        headers["Authorization"] = f"Bearer {edge.token(name=sent.user)}"
    # An empty body with `Transfer-Encoding` is one chunk of no bytes.
    content = iter([b""]) if headers.pop("Transfer-Encoding", None) else None
    return clients[sent.connection].request(sent.method, sent.path, headers=headers, content=content)


def check(sent: Sent, response: httpx.Response) -> None:
    """Check that a response answers this request, for this user."""
    assert len(response.headers.get_list("x-request-id")) == 1
    if "X-Request-Id" in sent.headers:
        assert response.headers["x-request-id"] == sent.headers["X-Request-Id"]
    assert response.headers["etag"] in (ETAG, f"W/{ETAG}")
    if sent.user:
        assert response.headers["cache-control"] == "private, no-store"
        assert "age" not in response.headers
    else:
        assert response.headers["cache-control"] == "public, max-age=60"
        assert response.headers["vary"] == "Accept-Encoding, Authorization"
    knows = sent.headers.get("If-None-Match", '"other"') != '"other"'
    assert response.status_code == (304 if knows else 200), response.text
    if knows or sent.method == "HEAD":
        assert response.content == b""
        return
    who = str(user_id(sent.user)) if sent.user else NOBODY
    assert f'"{QUESTIONS[sent.path]} {who} ' in response.text
    assert response.headers["content-type"] == "application/json"


def test_no_sequence_of_requests_brings_one_users_answer_to_another(keeping: Edge) -> None:
    before = counters(keeping)
    clients = [keeping.client(http2=number == 2) for number in range(3)]

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(requests, min_size=2, max_size=10))
    def each(sequence: list[Sent]) -> None:
        for sent in sequence:
            check(sent, send(keeping, clients, sent))

    try:
        each()
    finally:
        for client in clients:
            client.close()

    after = counters(keeping)
    assert after["hit"] - before["hit"] > 100, "the cache has answered"
    assert after["miss"] > before["miss"]


def test_answers_of_two_users_and_of_nobody_stay_apart_on_one_connection(keeping: Edge) -> None:
    with keeping.client() as client:
        for user in ("", *USERS, "", *reversed(USERS), ""):
            sent = Sent(user, 0, "GET", f"/gig/{GIGS[1]}", {})
            check(sent, send(keeping, [client], sent))
