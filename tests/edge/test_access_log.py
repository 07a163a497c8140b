"""The access log: one line a request, with nothing that a client can choose freely."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.edge import Edge, get

GIG = "/api/gigs/0190A000-0000-7000-8000-000000000001"
PICTURE = f"/media/ab/{'ab' * 16}.jpg"
SECRET = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiI1In0.c2lnbmF0dXJlLTE_-3"


@pytest.fixture(scope="module", autouse=True)
def _quiet_log(running_edge: Edge) -> None:
    """Wait until the lines of earlier tests are written: those of this file read all lines that come."""
    running_edge.raw(get("/api/nothing", "X-Request-Id: before-all"))
    assert running_edge.access_log("before-all")


def lines_since(edge: Edge, size: int, count: int) -> list[dict[str, Any]]:
    """Return the lines after the first `size` characters, as soon as there are so many."""
    deadline = time.monotonic() + 5
    while True:
        lines = [json.loads(line) for line in edge.log.read_text()[size:].splitlines() if line.startswith("{")]
        if len(lines) >= count or time.monotonic() > deadline:
            return lines
        time.sleep(0.1)


def logged(edge: Edge, request: bytes) -> tuple[str, list[dict[str, Any]]]:
    """Send a request. Return all that is written about it, as text and as lines."""
    size = len(edge.log.read_text())
    with contextlib.suppress(ConnectionError):
        edge.raw(request)
    lines = lines_since(edge, size, 1)
    assert len(lines) == 1, lines
    return edge.log.read_text()[size:], lines


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (get(f"/api/gigs?q={SECRET}"), "/api/gigs"),
        (get(f"/api/gigs?{SECRET}=1"), "/api/gigs"),
        (get(f"/api/categories?access_token={SECRET}"), "/api/categories"),
        (get(f"/gig?access_token={SECRET}"), "/api/gigs"),
        (get(f"{PICTURE}?{SECRET}"), PICTURE),
        (get(f"/media/ab/{SECRET}.jpg"), "/media/ab/-"),
        (get(f"/api/gigs/{SECRET}"), "/api/gigs/-"),
        (get(f"/api/gigs/{SECRET}", method="DELETE"), "/api/gigs/-"),
        (get(f"/api/gigs/{quote(SECRET, safe='').replace('.', '%2E')}"), "/api/gigs/-"),
        (get(f"/api/gigs/{''.join(f'%{ord(letter):02x}' for letter in SECRET)}"), "/api/gigs/-"),
        (get(f"/gig/{SECRET}"), "/api/gigs/-"),
        (get(f"/{SECRET}/x"), "/-/x"),
        (get(f"/a/%zz{SECRET}"), "/a/-"),
        (get(f"/a%00{SECRET}"), "-"),
        (get(f"//{SECRET}"), "//-"),
        (get(f"http://{SECRET}/api/categories"), None),
        (get(f"/api/categories#{SECRET}"), "-"),
        (get("/api/categories", method=SECRET), "/api/categories"),
        (get("/api/categories", f"X-Request-Id: {SECRET}"), "/api/categories"),
        (get("/api/categories", f"Cookie: {SECRET}", f"User-Agent: {SECRET}", f"X-Other: {SECRET}"), "/api/categories"),
        (get("/api/categories", f"X-Forwarded-For: {SECRET}", f"X-Envoy-Original-Path: /{SECRET}"), "/api/categories"),
        (get("/api/categories", f"Authorization: Basic {SECRET}"), "/api/categories"),
        (get("/api/categories", f"Authorization: Bearer {SECRET}"), "/api/categories"),
        (get("/api/categories", f"Content-Type: {SECRET}", f"Idempotency-Key: {SECRET}"), "/api/categories"),
        # As the cache marks its hits, whose lines have another form.
        (get("/api/categories", "X-Edge-Cache: hit", f"X-Request-Id: {SECRET}"), "/api/categories"),
        (get(f"/a%00{SECRET}", "X-Edge-Cache: hit", f"X-Request-Id: {SECRET}"), "-"),
        (get("/a", "X-Edge-Cache: hit", f"X-Request-Id: {SECRET}", method="QUERY"), "/a"),
        (f"GET / HTTP/1.1\r\nX-Edge-Cache: hit\r\nX-Request-Id: {SECRET}\r\n\r\n".encode(), "/"),
        (f"GET /{SECRET} HTTP/1.1\r\n\r\n".encode(), "-"),
        (get(f"/{SECRET}\t"), "/-"),
        (get(f"/{SECRET}", f"Content-Length: {SECRET}"), None),
        (get(f"/{SECRET}", f"Transfer-Encoding: {SECRET}"), None),
        (get("/", f"{SECRET}: {SECRET}", f"bad name: {SECRET}"), None),
    ],
)
def test_no_token_stands_in_the_log_wherever_a_request_has_it(edge: Edge, request_: bytes, path: str | None) -> None:
    text, lines = logged(edge, request_)

    for part in SECRET.split("."):
        assert part not in text
    assert lines[0].get("path") == path


def test_nothing_of_a_body_stands_in_the_log(edge: Edge, api: httpx.Client) -> None:
    size = len(edge.log.read_text())
    for body in (f'{{"title": "{SECRET}\\ud800"}}', f'{{"title": {{"{SECRET}": 1}}}}', SECRET, f'{{"{SECRET}": '):
        headers = {**edge.bearer(), "content-type": "application/json"}
        assert api.post("/api/gigs", content=body, headers=headers).status_code == 400

    lines = lines_since(edge, size, 4)

    assert {line["details"] for line in lines} == {"lua_response", "grpc_json_transcode_failure"}
    assert SECRET.partition(".")[0] not in edge.log.read_text()[size:]


def test_the_log_has_the_ids_of_ordinary_requests(edge: Edge, api: httpx.Client) -> None:
    api.get(f"{GIG}?x=1", headers={"x-request-id": "plain-1"})
    api.head("/api/gigs", headers={"x-request-id": "plain-2"})
    api.post(f"{GIG}/packages", headers={"x-request-id": "plain-3"})

    found = [edge.access_log(f"plain-{number}")[0] for number in (1, 2, 3)]

    assert [(line["method"], line["path"], line["code"]) for line in found] == [
        ("GET", GIG, 400),
        ("HEAD", "/api/gigs", 200),
        ("POST", f"{GIG}/packages", 401),
    ]
    assert all(line["client"] for line in found)
