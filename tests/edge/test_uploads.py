"""Files on their way in, piece by piece, and on their way out."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import h2.connection
import h2.events
import httpx
import psutil
import pytest

from edge.settings import EdgeSettings
from servicekit.errors import MarketplaceError
from servicekit.status import status_from_error
from tests.support.edge import Edge, an_edge, assert_refused
from tests.support.upstream import AtOnce, fails

GIG = "0190a000-0000-7000-8000-000000000001"
PATH = f"/api/gigs/{GIG}/images"
NAME = "ab/" + "ab" * 16
LARGEST = 10 * 1024 * 1024


@pytest.fixture
def seller(edge: Edge) -> Iterator[httpx.Client]:
    """Return a client with a token."""
    with httpx.Client(base_url=edge.url, headers=edge.bearer("seller"), timeout=20) as client:
        yield client


def send(
    client: httpx.Client, content: bytes | Iterator[bytes], media_type: str = "image/png", query: str = ""
) -> httpx.Response:
    return client.post(PATH + query, content=content, headers={"content-type": media_type})


def refusing(code: str) -> AtOnce:
    """Return a handler that refuses an upload with its first piece."""
    refused = status_from_error(MarketplaceError(code))
    return AtOnce(fails(refused.code, refused.message, refused.metadata))  # type: ignore[arg-type]


def in_pieces(size: int, piece: int = 65_536, pause: float = 0) -> Iterator[bytes]:
    for _ in range(size // piece):
        yield b"x" * piece
        time.sleep(pause)


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_a_file_arrives_whole_and_in_pieces(edge: Edge, http2: bool) -> None:
    content = bytes(range(256)) * 12_000
    headers = {**edge.bearer("seller"), "content-type": "image/png"}
    with httpx.Client(base_url=edge.url, http1=not http2, http2=http2, headers=headers, timeout=20) as client:
        response = client.post(PATH + "?isPrimary=true", content=content)

    assert response.status_code == 201
    arrived = edge.image.last()
    assert (arrived.request.gig_id, arrived.request.is_primary) == (GIG, True)
    assert arrived.request.file.content_type == "image/png"
    assert arrived.request.file.data == content
    assert arrived.pieces > 10


def test_a_form_goes_through_as_it_is(edge: Edge, seller: httpx.Client) -> None:
    response = seller.post(PATH, files={"file": ("a.jpg", b"one", "image/jpeg")})

    assert response.status_code == 201
    arrived = edge.image.last().request.file
    assert arrived.content_type.startswith("multipart/form-data; boundary=")
    assert b"one" in arrived.data
    assert b"a.jpg" in arrived.data


def test_an_upload_without_a_length_may_be_larger_than_any_json(edge: Edge, seller: httpx.Client) -> None:
    assert send(seller, in_pieces(4 << 20)).status_code == 201
    assert len(edge.image.last().request.file.data) == 4 << 20


def test_json_is_bounded_as_before(edge: Edge, seller: httpx.Client) -> None:
    headers = {"content-type": "application/json"}

    assert_refused(seller.post("/api/gigs", content=in_pieces(2 << 20), headers=headers), 413, "PAYLOAD_TOO_LARGE")
    assert edge.received() == 0


@pytest.mark.parametrize(
    "media_type",
    [
        "IMAGE/PNG",
        "image/jpeg; q=1",
        "image/jpg",
        "image/*",
        "image/svg+xml",
        "application/octet-stream",
        "Application/Octet-Stream; charset=binary",
        "Multipart/Form-Data; boundary=x",
    ],
)
def test_what_may_be_a_picture_is_for_the_service_to_judge(edge: Edge, seller: httpx.Client, media_type: str) -> None:
    assert send(seller, b"x", media_type).status_code == 201
    assert edge.image.last().request.file.content_type == media_type


@pytest.mark.parametrize("headers", [{}, {"content-type": ""}])
def test_a_file_without_a_type_is_for_the_service_to_judge(
    edge: Edge, seller: httpx.Client, headers: dict[str, str]
) -> None:
    assert seller.post(PATH, content=b"x", headers=headers).status_code == 201
    assert edge.image.last().request.file.content_type == ""


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "text/html", "text/plain", "video/mp4", "image", "application", "multipart/mixed"],
)
def test_what_is_neither_a_picture_nor_a_form_is_415_at_once(edge: Edge, seller: httpx.Client, media_type: str) -> None:
    assert_refused(send(seller, b"x", media_type), 415, "UNSUPPORTED_MEDIA_TYPE")
    assert edge.received() == 0


def test_a_file_that_says_it_is_too_large_is_413_at_once(edge: Edge) -> None:
    lines = [f"POST {PATH} HTTP/1.1", "Host: localhost", "Content-Type: image/png", f"Content-Length: {LARGEST + 1}"]
    lines += [f"Authorization: {edge.bearer('seller')['Authorization']}", "", "the first bytes"]

    assert_refused(edge.raw("\r\n".join(lines).encode()), 413, "PAYLOAD_TOO_LARGE")
    assert edge.received() == 0


def test_a_query_is_checked_as_everywhere(edge: Edge, seller: httpx.Client) -> None:
    assert_refused(send(seller, b"x", query="?isPrimary=maybe"), 400, "INVALID_ARGUMENT")
    assert_refused(send(seller, b"x", query="?primary=true"), 400, "INVALID_ARGUMENT")
    assert edge.received() == 0


def test_the_second_spelling_takes_pictures_too(edge: Edge, seller: httpx.Client) -> None:
    response = seller.post(f"/gig/{GIG}/images", content=b"x", headers={"content-type": "image/png"})

    assert response.status_code == 201
    assert edge.image.last().request.gig_id == GIG


REFUSALS = [("PAYLOAD_TOO_LARGE", 413), ("FORBIDDEN", 403), ("LIMIT_REACHED", 409)]


@pytest.mark.parametrize(("code", "expected"), REFUSALS)
def test_a_refusal_while_the_file_still_comes_reaches_the_client(
    edge: Edge, seller: httpx.Client, code: str, expected: int
) -> None:
    edge.image.responses["UploadImages"] = refusing(code)

    # Slow enough for the answer to be there long before the end.
    assert_refused(send(seller, in_pieces(1 << 20, pause=0.02)), expected, code)


@pytest.mark.parametrize(("code", "expected"), REFUSALS)
def test_a_refusal_while_the_file_still_comes_reaches_a_client_of_http_2(edge: Edge, code: str, expected: int) -> None:
    edge.image.responses["UploadImages"] = refusing(code)

    status_code, body = refused_over_http2(edge, in_pieces(1 << 20, 8_192, pause=0.01))

    assert (status_code, json.loads(body)["code"]) == (expected, code)


def refused_over_http2(edge: Edge, pieces: Iterator[bytes]) -> tuple[int, bytes]:
    """Return status and body of a response that comes before the end of the request, which httpx cannot read."""
    http = h2.connection.H2Connection()
    headers = {**edge.bearer("seller"), "content-type": "image/png"}
    pseudo = {":method": "POST", ":scheme": "http", ":authority": "localhost", ":path": PATH}
    status_code, body = 0, b""
    with socket.create_connection(("127.0.0.1", edge.port), timeout=10) as connection:
        http.initiate_connection()
        http.send_headers(1, [*pseudo.items(), *headers.items()])
        for piece in pieces:
            http.send_data(1, piece)
            connection.sendall(http.data_to_send())
            while select.select([connection], [], [], 0)[0]:
                for event in http.receive_data(connection.recv(65_536)):
                    if isinstance(event, h2.events.ResponseReceived):
                        status_code = int(dict(event.headers)[b":status"])
                    elif isinstance(event, h2.events.DataReceived):
                        body += event.data
                    elif isinstance(event, h2.events.StreamEnded):
                        return status_code, body
    raise AssertionError("everything was sent, and no response came")


def test_a_client_that_pauses_too_long_is_told_so() -> None:
    with an_edge(edge_upload_idle_seconds=1) as edge:
        response = httpx.post(
            edge.url + PATH,
            content=in_pieces(131_072, pause=3),
            headers={**edge.bearer("seller"), "content-type": "image/png"},
            timeout=20,
        )
        assert_refused(response, 504, "DEADLINE_EXCEEDED")


def test_an_upload_may_be_silent_as_long_as_it_may_take() -> None:
    """The service bounds its clients' pauses; at the edge a wait for a decoder looks the same."""
    defaults = {name: field.default for name, field in EdgeSettings.model_fields.items()}

    assert defaults["edge_upload_idle_seconds"] >= defaults["edge_upload_timeout_seconds"]


def test_an_upload_may_take_longer_than_any_other_call() -> None:
    with an_edge(edge_request_timeout_seconds=1, edge_try_timeout_seconds=1) as edge:
        response = httpx.post(
            edge.url + PATH,
            content=in_pieces(327_680, pause=0.5),
            headers={**edge.bearer("seller"), "content-type": "image/png"},
            timeout=20,
        )
        assert response.status_code == 201
        assert edge.image.last().seconds_left > 60


def test_fifty_uploads_that_nobody_reads_do_not_fill_the_edges_memory(edge: Edge) -> None:
    """The service takes its time; what the clients send waits with the clients."""
    over = threading.Event()

    def hold(request: object, context: grpc.ServicerContext) -> None:
        over.wait(20)
        context.abort(grpc.StatusCode.UNAVAILABLE, "")

    edge.image.responses["UploadImages"] = AtOnce(hold)  # type: ignore[arg-type]
    envoy = psutil.Process(edge.pid)
    before = envoy.memory_info().rss

    def upload() -> None:
        headers = {**edge.bearer("seller"), "content-type": "image/png"}
        with contextlib.suppress(httpx.TransportError):
            httpx.post(edge.url + PATH, content=in_pieces(9 << 20), headers=headers, timeout=30)

    with ThreadPoolExecutor(50) as pool:
        clients = [pool.submit(upload) for _ in range(50)]
        time.sleep(3)
        grown = envoy.memory_info().rss - before
        over.set()
        for client in clients:
            client.result()

    assert grown < 200 * 2**20


@pytest.fixture
def picture(edge: Edge) -> Iterator[str]:
    """Return the path of a picture in the folder; other files lie beside it."""
    folder = edge.folder / "media" / "ab"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{'ab' * 16}.jpg").write_bytes(b"\xff\xd8 a picture")
    (folder / "notes.txt").write_text("secret")
    (folder / f"{'cd' * 16}.html").write_text("<script>")
    yield f"/media/{NAME}.jpg"


def test_a_picture_is_served_for_good(api: httpx.Client, picture: str) -> None:
    response, head, part = api.get(picture), api.head(picture), api.get(picture, headers={"range": "bytes=0-1"})

    assert (response.status_code, response.content) == (200, b"\xff\xd8 a picture")
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]
    assert response.headers["x-request-id"]
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "12")
    assert (part.status_code, part.content) == (206, b"\xff\xd8")


def test_an_error_about_a_picture_has_the_headers_of_an_error(api: httpx.Client, picture: str) -> None:
    missing = api.get(picture.replace("jpg", "png"))
    beyond = api.get(picture, headers={"range": "bytes=100-200"})

    assert_refused(missing, 404, "NOT_FOUND")
    assert_refused(beyond, 416, "RANGE_NOT_SATISFIABLE")


@pytest.mark.parametrize(
    "path",
    [
        "/media",
        "/media/",
        "/media/ab",
        "/media/ab/",
        f"/media/{NAME}",
        f"/media/{NAME}.jpg/",
        f"/media/{NAME}.png",
        f"/media/{NAME.upper()}.jpg",
        f"/media//{NAME}.jpg",
        f"/media/ab/{'cd' * 16}.html",
        "/media/ab/notes.txt",
        "/media/ab/../../user.pem",
        "/media/ab/..%2f..%2fenvoy.yaml",
        "/media/%2e%2e/envoy.yaml",
        "/media/ab/.hidden",
        f"/media/00/{'00' * 16}.jpg",
    ],
)
def test_there_is_no_other_way_into_the_folder(api: httpx.Client, picture: str, path: str) -> None:
    assert_refused(api.get(path), 404, "NOT_FOUND")


def test_pictures_are_only_read(api: httpx.Client, picture: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        refused = api.request(method, picture)
        assert_refused(refused, 405, "METHOD_NOT_ALLOWED")
        assert refused.headers["allow"] == "GET, HEAD, OPTIONS"
    options = api.options(picture)
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


def test_pictures_that_lie_elsewhere_are_not_served_here() -> None:
    with an_edge(media_storage="s3", media_dir=None) as edge:
        assert_refused(httpx.get(f"{edge.url}/media/{NAME}.jpg"), 404, "NOT_FOUND")
