"""A refusal that comes before the request's end reaches a client that writes all before it reads."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import time
from collections.abc import Iterator

import grpc
import httpx
import pytest

from tests.support.edge import Edge, get
from tests.support.upstream import AtOnce, fails

GIG = "/api/gigs/0190a000-0000-7000-8000-000000000001"
SIZE = 11 * 1024 * 1024
LARGE = b"x" * SIZE
CASES = [
    ("POST", f"{GIG}/images", "image/jpeg", True, 413, "PAYLOAD_TOO_LARGE"),
    ("POST", f"{GIG}/images", "image/jpeg", False, 401, "UNAUTHORIZED"),
    ("POST", f"{GIG}/images", "text/plain", True, 415, "UNSUPPORTED_MEDIA_TYPE"),
    ("POST", f"{GIG}/images?x=1", "multipart/form-data; boundary=x", True, 400, "INVALID_ARGUMENT"),
    ("POST", "/nowhere", "image/jpeg", True, 404, "NOT_FOUND"),
    ("DELETE", "/api/categories", "image/jpeg", True, 405, "METHOD_NOT_ALLOWED"),
    ("POST", "/api/gigs", "application/json", True, 413, "PAYLOAD_TOO_LARGE"),
    ("POST", "/api/webhooks/stripe", "application/json", False, 413, "PAYLOAD_TOO_LARGE"),
    ("POST", f"/media/ab/{'ab' * 16}.jpg", "image/jpeg", False, 405, "METHOD_NOT_ALLOWED"),
]


def in_pieces() -> Iterator[bytes]:
    for at in range(0, SIZE, 65536):
        yield LARGE[at : at + 65536]


def headers_of(edge: Edge, kind: str, *, signed_in: bool) -> dict[str, str]:
    return {"content-type": kind, **(edge.bearer() if signed_in else {})}


@pytest.mark.parametrize(("method", "path", "kind", "signed_in", "status", "code"), CASES)
@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_http_client_reads_the_refusal(
    edge: Edge, chunked: bool, method: str, path: str, kind: str, signed_in: bool, status: int, code: str
) -> None:
    if chunked and code == "PAYLOAD_TOO_LARGE" and "images" in path:
        pytest.skip("the service counts the bytes of an upload without a length")
    headers = headers_of(edge, kind, signed_in=signed_in)

    for _ in range(10):
        connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=20)
        connection.request(method, path, in_pieces() if chunked else LARGE, headers, encode_chunked=chunked)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["code"]) == (status, code)
        connection.close()


@pytest.mark.parametrize(("method", "path", "kind", "signed_in", "status", "code"), CASES)
def test_httpx_and_curl_read_the_refusal(
    edge: Edge, method: str, path: str, kind: str, signed_in: bool, status: int, code: str
) -> None:
    headers = headers_of(edge, kind, signed_in=signed_in)
    with edge.client() as api:
        for _ in range(10):
            response = api.request(method, path, content=LARGE, headers=headers)
            assert (response.status_code, response.json()["code"]) == (status, code)
    command = ["curl", "-s", "-X", method, "--data-binary", "@-", "-w", "\n%{http_code}", edge.url + path]
    command += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    for _ in range(10):
        result = subprocess.run(command, input=LARGE, capture_output=True, timeout=30, check=True)
        body, _, printed = result.stdout.decode().rpartition("\n")
        assert (int(printed), json.loads(body)["code"]) == (status, code)


@pytest.mark.parametrize(("code", "status"), [("FORBIDDEN", 403), ("NOT_FOUND", 404), ("LIMIT_REACHED", 409)])
def test_a_service_may_refuse_an_upload_before_its_end(edge: Edge, code: str, status: int) -> None:
    body = json.dumps({"error": "no", "code": code})
    error = fails(grpc.StatusCode.ABORTED, "", [("x-error-status", str(status)), ("x-error-body", body)])
    edge.image.responses["UploadImages"] = AtOnce(error)
    headers = headers_of(edge, "image/jpeg", signed_in=True)

    for _ in range(10):
        connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=20)
        connection.request("POST", f"{GIG}/images", LARGE[: 9 << 20], headers)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["code"]) == (status, code)
        connection.close()


def test_the_connection_stays_when_the_rest_was_read(edge: Edge) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=20)
    for _ in range(2):
        connection.request("POST", "/nowhere", LARGE)
        assert connection.getresponse().read()
    connection.close()


def test_a_client_that_waits_for_the_refusal_gets_it(edge: Edge) -> None:
    response = edge.raw(get("/nowhere", f"Content-Length: {SIZE}", "X-Request-Id: waits", method="POST"))

    assert response.status_code == 404
    [line] = edge.access_log("waits")
    assert line["bytes_in"] == 0


def test_the_edge_reads_on_for_a_bounded_time(edge: Edge) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x"
            time.sleep(0.02)

    with edge.client() as api, contextlib.suppress(httpx.TransportError):
        assert api.post("/nowhere", content=endless()).status_code == 404
