"""A page of another origin uses the API in a real browser: fetch, an upload, gRPC-Web, and the origins that may not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Page

from marketplace.gig.v1 import gig_pb2
from tests.support.edge import Edge
from tests.support.pictures import a_jpeg
from tests.support.stack import Stack
from tests.support.story import Market

# Searches by gRPC-Web, with the message and the frame by hand: field 5 of the request is the text.
SEARCH = """
async ([url, text]) => {
  const bytes = new TextEncoder().encode(text);
  const message = [5 * 8 + 2, bytes.length, ...bytes];
  const body = new Uint8Array([0, 0, 0, 0, message.length, ...message]);
  const response = await fetch(url + "/marketplace.gig.v1.GigService/SearchGigs", {
    method: "POST",
    headers: { "Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1", "Grpc-Timeout": "5S" },
    body,
  });
  if (response.headers.get("grpc-status")) return { failed: response.headers.get("grpc-message") };
  const received = new Uint8Array(await response.arrayBuffer());
  const length = new DataView(received.buffer).getUint32(1);
  return {
    message: Array.from(received.slice(5, 5 + length)),
    flag: received[5 + length],
    trailers: new TextDecoder().decode(received.slice(10 + length)),
  };
}
"""
# Calls an RPC without a token. The status of an error stands in the headers.
UNAUTHENTICATED = """
async (url) => {
  const response = await fetch(url + "/marketplace.gig.v1.GigService/CreateGig", {
    method: "POST", headers: { "Content-Type": "application/grpc-web+proto" }, body: new Uint8Array(5),
  });
  return ["grpc-status", "grpc-message", "grpc-status-details-bin"].map((name) => response.headers.get(name));
}
"""
REQUEST = """
async ([url, method, headers]) => {
  const response = await fetch(url, { method, headers });
  const names = ["etag", "x-request-id", "retry-after", "location", "cache-control", "server"];
  const shown = Object.fromEntries(names.map((name) => [name, response.headers.get(name)]));
  return { status: response.status, headers: shown, body: await response.json() };
}
"""
UPLOAD = """
async ([url, authorization]) => {
  const form = new FormData(document.querySelector("form"));
  const headers = { Authorization: authorization, "X-Request-Id": "an-upload" };
  const response = await fetch(url, { method: "POST", headers, body: form });
  return [response.status, response.headers.get("x-request-id"), await response.json()];
}
"""
SHOW = """
(url) => new Promise((resolve, reject) => {
  const image = new Image();
  image.crossOrigin = "anonymous";
  image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
  image.onerror = () => reject(new Error(`${url} is not shown`));
  image.src = url;
})
"""
FORM = b'<!doctype html><meta charset="utf-8"><title>A shop</title><form><input type="file" name="file"></form>'


class _Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(FORM)))
        self.end_headers()
        self.wfile.write(FORM)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """Serve a page from another port, so of another origin. Yield its origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def open_shop(page: Page, shop: str) -> Page:
    """Return the shop's page, opened."""
    page.goto(shop)
    return page


def request(page: Page, url: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    """Send a request from the page. Return what its script can read of the response."""
    answer: dict[str, Any] = page.evaluate(REQUEST, [url, method, headers])
    return answer


def test_a_page_reads_a_response_and_its_headers(open_shop: Page, stack: Stack, market: Market) -> None:
    gig = market.gig()

    answer = request(open_shop, f"{stack.url}/api/gigs/{gig['id']}", **{"X-Request-Id": "from-a-page"})

    assert answer["status"] == 200
    assert answer["body"]["title"] == gig["title"]
    assert answer["headers"]["etag"].startswith('"')
    assert answer["headers"]["x-request-id"] == "from-a-page"
    assert answer["headers"]["server"] is None, "only the promised headers are exposed"


def test_a_page_reads_what_is_wrong(open_shop: Page, stack: Stack) -> None:
    refused = request(open_shop, f"{stack.url}/api/gigs", "POST", **{"Content-Type": "application/json"})
    wrong = request(open_shop, f"{stack.url}/api/gigs?minPrice=much")
    unknown = request(open_shop, f"{stack.url}/api/gigs/nothing", Authorization="Bearer a.b.c")

    assert (refused["status"], refused["body"]["code"]) == (401, "UNAUTHORIZED")
    assert (wrong["status"], wrong["body"]["details"][0]["field"]) == (400, "minPrice")
    assert (unknown["status"], unknown["body"]["code"]) == (401, "UNAUTHORIZED")


def test_a_page_uploads_a_picture_and_shows_it_from_the_search_result(
    open_shop: Page, stack: Stack, market: Market
) -> None:
    gig = market.gig(title="Portraits from a page")
    picture = FilePayload(name="a.jpg", mimeType="image/jpeg", buffer=a_jpeg())
    open_shop.set_input_files("input", files=picture)
    token = market.seller.headers["authorization"]

    status, request_id, body = open_shop.evaluate(UPLOAD, [f"{stack.url}/api/gigs/{gig['id']}/images", token])

    assert (status, request_id) == (201, "an-upload")
    [image] = body["images"]
    found = request(open_shop, f"{stack.url}/api/gigs?q=Portraits")["body"]["results"]
    [thumbnail] = [each["thumbnail"] for each in found if each["id"] == gig["id"]]
    for url in (image["url"], thumbnail):
        width, height = open_shop.evaluate(SHOW, url)
        assert min(width, height) > 0


def test_a_page_calls_a_public_rpc_by_grpc_web(open_shop: Page, stack: Stack, market: Market) -> None:
    gig = market.gig(title="Zithers from a page")

    answer = open_shop.evaluate(SEARCH, [stack.url, "Zithers"])

    assert "failed" not in answer, answer
    found = gig_pb2.SearchGigsResponse.FromString(bytes(answer["message"]))
    assert gig["id"] in [each.id for each in found.results]
    assert answer["flag"] == 0x80
    assert "grpc-status:0" in answer["trailers"]


def test_a_page_reads_why_an_rpc_was_refused(open_shop: Page, stack: Stack) -> None:
    status, message, details = open_shop.evaluate(UNAUTHENTICATED, stack.url)

    assert (status, message) == ("16", "Authentication required")
    assert details


@pytest.fixture(scope="module")
def narrow(shop: str) -> Iterator[Edge]:
    """Yield an edge that only pages of another shop may read."""
    edge = Edge(cors_origins="https://another.example")
    try:
        yield edge.start()
    finally:
        edge.stop()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer a.b.c"}], ids=["simple", "with a preflight"])
def test_a_page_of_an_origin_that_is_not_listed_reads_nothing(
    open_shop: Page, narrow: Edge, headers: dict[str, str]
) -> None:
    for path in ("/api/categories", "/api/orders", "/api/nothing"):
        outcome = open_shop.evaluate(
            "([url, headers]) => fetch(url, { headers }).then(() => 'read', (error) => error.message)",
            [narrow.url + path, headers],
        )
        assert outcome == "Failed to fetch"
