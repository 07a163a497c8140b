"""Compression of responses: for whom, of what, and what it must not break."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from google.api import httpbody_pb2

from marketplace.gig.v1 import gig_pb2
from tests.support.edge import Edge, get
from tests.support.encodings import ENCODINGS
from tests.support.upstream import returns

GIG = "/api/gigs/0190a000-0000-7000-8000-000000000001"
ETAG = '"1-0-0"'
TEXT = "A responsive website. " * 200
PAGE = gig_pb2.GetGigResponse(gig=gig_pb2.Gig(description=TEXT))


@pytest.fixture
def page(edge: Edge) -> Edge:
    """Return the edge with a gig whose page is worth compressing."""
    edge.gig.responses["GetGig"] = returns(PAGE, ("etag", ETAG))
    return edge


def accepting(encodings: str) -> dict[str, str]:
    """Return the header of a client that takes these encodings."""
    return {"Accept-Encoding": encodings}


def on_the_wire(client: httpx.Client, path: str, encodings: str) -> tuple[httpx.Response, int]:
    """Return a response, and how many bytes its body had on the way."""
    with client.stream("GET", path, headers=accepting(encodings)) as response:
        return response, sum(len(piece) for piece in response.iter_raw())


@pytest.mark.parametrize(("accepted", "encoding"), ENCODINGS)
def test_a_client_gets_the_encoding_that_it_likes_best(
    page: Edge, api: httpx.Client, accepted: str, encoding: str | None
) -> None:
    response, size = on_the_wire(api, GIG, accepted)

    assert response.headers.get("content-encoding") == encoding
    assert size < 1000 if encoding else size > len(TEXT)
    assert response.headers["vary"] == "Accept-Encoding"


def test_gzip_is_the_same_answer(page: Edge, api: httpx.Client) -> None:
    assert api.get(GIG, headers=accepting("gzip")).json()["description"] == TEXT


def test_brotli_is_the_same_answer(page: Edge) -> None:
    if "brotli" not in subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("this curl knows no Brotli")

    command = ["curl", "-sS", "--compressed", "-H", "Accept-Encoding: br", page.url + GIG]
    read = subprocess.run(command, capture_output=True, check=True)

    assert json.loads(read.stdout)["description"] == TEXT


def test_a_client_of_http_1_0_gets_it_without_chunks(page: Edge) -> None:
    with closing(socket.create_connection(("127.0.0.1", page.port), timeout=10)) as connection:
        connection.sendall(get(GIG, "Accept-Encoding: gzip", version="1.0"))
        received = b"".join(iter(lambda: connection.recv(65536), b""))

    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head
    assert json.loads(gzip.decompress(body))["description"] == TEXT


def test_a_short_answer_is_not_compressed(edge: Edge, api: httpx.Client) -> None:
    for answer in (api.get("/api/categories"), api.get("/api/nothing")):
        assert "content-encoding" not in answer.headers
        assert len(answer.content) == int(answer.headers["content-length"])


def test_an_error_of_many_fields_stays_an_error(edge: Edge, api: httpx.Client) -> None:
    query = "&".join(f"{'x' * 40}{number}=1" for number in range(40))

    response = api.get(f"/api/gigs?{query}", headers=accepting("gzip"))

    assert response.status_code == 400
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["code"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_compression_makes_a_tag_weak_and_it_still_works(page: Edge, api: httpx.Client, encoding: str) -> None:
    tag = api.get(GIG, headers=accepting(encoding)).headers["etag"]
    assert tag == f"W/{ETAG}"

    assert api.get(GIG, headers={"If-None-Match": tag, **accepting(encoding)}).status_code == 304
    api.put(GIG, headers={"If-Match": tag, **page.bearer()}, json={})

    assert page.gig.last().metadata["if-match"] == tag


@pytest.mark.parametrize("encoding", ["gzip", "br"])
@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("HEAD", {}, 200), ("GET", {"If-None-Match": ETAG}, 304), ("HEAD", {"If-None-Match": ETAG}, 304)],
)
def test_a_response_without_a_body_has_none_compressed_either(
    page: Edge, method: str, headers: dict[str, str], status: int, encoding: str
) -> None:
    # One byte of a body would be the beginning of the next response.
    with page.client() as client:
        response = client.request(method, GIG, headers=headers | accepting(encoding))
        assert response.status_code == status
        assert response.content == b""
        assert "content-encoding" not in response.headers
        assert response.headers["etag"] == ETAG

        assert client.get("/api/categories").status_code == 200


def test_a_stream_of_events_is_not_compressed(edge: Edge, api: httpx.Client) -> None:
    event = httpbody_pb2.HttpBody(content_type="text/event-stream", data=b"data: " + b"x" * 3000 + b"\n\n")
    edge.upstreams["event"][0].streams["WatchSse"] = lambda request, context: iter([event])

    with api.stream("GET", "/api/watch", headers=edge.bearer() | accepting("gzip, br")) as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert "content-encoding" not in response.headers
        assert response.read() == event.data


@pytest.fixture
def picture(edge: Edge) -> Iterator[str]:
    """Return the path of a picture that has 4,000 bytes."""
    name = f"ee/{'ee' * 16}.png"
    file = Path(edge.folder) / "media" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\x89PNG" + b"x" * 3996)
    yield f"/media/{name}"
    file.unlink()


def test_a_picture_is_not_compressed(api: httpx.Client, picture: str) -> None:
    response = api.get(picture, headers=accepting("gzip, br"))

    assert response.status_code == 200
    assert "content-encoding" not in response.headers
    assert response.headers["content-length"] == "4000"
