"""The page /docs and the document /openapi.json, as files: paths, methods, headers, caching."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest

from edge import openapi
from edge.docs_page import OPENAPI, PAGE, docs_files
from tests.support.edge import Edge, an_edge, assert_refused, get

FILES = [(path, file) for file in docs_files() for path in file.paths]
PATHS = [path for path, _ in FILES]


@pytest.fixture
def api(edge: Edge) -> Iterator[httpx.Client]:
    """Return a client that takes nothing compressed."""
    with edge.client() as client:
        client.headers["accept-encoding"] = "identity"
        yield client


@pytest.mark.parametrize("path", PATHS)
def test_a_file_is_served_as_it_is(api: httpx.Client, path: str) -> None:
    file = dict(FILES)[path]

    response = api.get(path)

    assert response.status_code == 200
    assert response.content == file.source.read_bytes()
    assert response.headers["content-type"] == file.content_type
    assert response.headers["cache-control"] == "public, max-age=300"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "x-request-id" in response.headers


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_headers_alone(api: httpx.Client, path: str) -> None:
    whole, head = api.get(path), api.head(path)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag", "cache-control", "content-security-policy"):
        assert head.headers[name] == whole.headers[name], name


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_the_client_has_is_not_sent_again(api: httpx.Client, path: str) -> None:
    etag = api.get(path).headers["etag"]

    for tags in (etag, f"W/{etag}", f'"other", W/{etag}', "*"):
        for method in ("GET", "HEAD"):
            unchanged = api.request(method, path, headers={"if-none-match": tags})
            assert (unchanged.status_code, unchanged.content) == (304, b""), tags
            assert unchanged.headers["etag"] == etag
            assert unchanged.headers["cache-control"] == "public, max-age=300"
    assert api.get(path, headers={"if-none-match": '"other"'}).status_code == 200
    assert len({api.get(each).headers["etag"] for each in PATHS}) == len(docs_files())


@pytest.mark.parametrize("path", ["/openapi.json", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"])
def test_a_large_file_comes_compressed_to_browsers(api: httpx.Client, path: str) -> None:
    plain, compressed = api.get(path), api.get(path, headers={"accept-encoding": "gzip"})

    assert compressed.headers["content-encoding"] == "gzip"
    assert compressed.content == plain.content
    assert compressed.num_bytes_downloaded < len(plain.content) / 2
    assert compressed.headers["etag"] == f"W/{plain.headers['etag']}"


@pytest.mark.parametrize("path", PATHS)
def test_other_methods_are_answered_as_on_all_paths(api: httpx.Client, path: str) -> None:
    refused, options = api.post(path, content=b"{}"), api.options(path)

    assert_refused(refused, 405, "METHOD_NOT_ALLOWED")
    assert (options.status_code, options.content) == (204, b"")
    assert refused.headers["allow"] == options.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "path",
    [
        "/docs/unknown.js",
        "/docs/index.html",
        "/docs/swagger-ui.css.map",
        "/docs/swagger-ui.css/",
        "/docs//init.js",
        "/docs/init.js%2F..%2Fpage.css",
        "/docs/..%2F..%2Fetc%2Fpasswd",
        "/docs/%2e%2e/%2e%2e/etc/passwd",
        "/docs/../../etc/passwd",
        "/docs/.",
        "/docsx",
        "/Docs",
        "/openapi.json/",
        "/openapi.yaml",
    ],
)
def test_no_other_path_leads_to_a_file(edge: Edge, path: str) -> None:
    response = edge.raw(get(path))

    if path == "/docs/.":  # is the path /docs/
        assert response.text == (docs_files()[1].source).read_text()
    else:
        assert_refused(response, 404, "NOT_FOUND")


def test_the_page_needs_nothing_from_elsewhere(api: httpx.Client) -> None:
    page = api.get("/docs")

    addresses = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert {address for address in addresses if address not in PATHS} == set()
    assert "<script>" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy


def test_the_document_is_that_of_the_protos(api: httpx.Client) -> None:
    assert api.get("/openapi.json").json() == openapi.document() == json.loads(OPENAPI.read_text())


@pytest.mark.parametrize("range_", ["bytes=0-9", "bytes=0-99999999999", "bytes=99999999999-", "nonsense"])
def test_a_file_is_served_as_a_whole(api: httpx.Client, range_: str) -> None:
    response = api.get("/docs/init.js", headers={"range": range_})

    assert (response.status_code, response.content) == (200, (PAGE / "init.js").read_bytes())


def test_a_query_or_a_token_changes_nothing(api: httpx.Client, edge: Edge) -> None:
    assert api.get("/docs?deep=1").status_code == 200
    assert api.get("/openapi.json", headers={"authorization": "Bearer nonsense"}).status_code == 200
    assert edge.received() == 0


def test_without_docs_the_paths_are_unknown() -> None:
    with an_edge(edge_docs="off") as edge, edge.client() as api:
        for path in PATHS:
            assert_refused(api.get(path), 404, "NOT_FOUND")
