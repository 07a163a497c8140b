"""JSON bodies: which are taken, and how the others are refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.edge import Edge, assert_refused, details_of, read_response

STATUS = "/api/gigs/0190a000-0000-7000-8000-000000000001/status"
MIB = 1024 * 1024


def post(edge: Edge, api: httpx.Client, body: bytes, path: str = "/api/gigs", **headers: str) -> httpx.Response:
    """Send bytes with a good token."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.post(path, content=body, headers={"content-type": "application/json", **named, **edge.bearer()})


def test_a_body_arrives_with_all_its_fields(edge: Edge, api: httpx.Client) -> None:
    package = {"title": "P", "price": 19.99, "deliveryDays": 14, "features": ["a", "b"], "revisions": 2}
    body = {"title": 'Ä "quoted" \\ \n €', "tags": ["x"], "packages": [package, {"title": "Q"}]}

    assert post(edge, api, json.dumps(body).encode()).status_code == 201
    request = edge.gig.last().request
    assert request.title == body["title"]
    assert list(request.tags) == ["x"]
    assert [each.title for each in request.packages] == ["P", "Q"]
    assert request.packages[0].price == 19.99
    assert request.packages[0].delivery_days == 14
    assert list(request.packages[0].features) == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b' \n\t{ "title" : "a" , "unknown" : [ { "x" : null , "y" : [ ] } , 1.5e-3 , true ] } \r\n',
        b'{"title": null, "tags": null, "packages": null}',
        b'{"packages": [], "tags": []}',
        b'{"seller": {"id": 5}, "status": 7, "id": {}}',
        b'{"packages": [{"price": 5, "deliveryDays": 5.0}, {"price": -0.5e+2, "deliveryDays": 1e1}]}',
        b'{"title": "\\u00e4\\ud83d\\ude00\\"\\\\", "description": "[{\\"x\\": 5}]"}',
    ],
)
def test_what_is_json_of_the_right_types_passes(edge: Edge, api: httpx.Client, body: bytes) -> None:
    assert post(edge, api, body).status_code == 201


def test_what_the_path_says_a_body_cannot_change(edge: Edge, api: httpx.Client) -> None:
    api.patch(STATUS, json={"gigId": "other"}, headers=edge.bearer())

    assert edge.gig.last().request.gig_id == "0190a000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"title": 5}, "title", "must be a string"),
        ({"title": True}, "title", "must be a string"),
        ({"title": ["a"]}, "title", "must be a string"),
        ({"title": {"a": "b"}}, "title", "must be a string"),
        ({"categoryId": 5}, "categoryId", "must be a string"),
        ({"tags": "a"}, "tags", "must be a list"),
        ({"tags": {"a": 1}}, "tags", "must be a list"),
        ({"tags": ["a", 5]}, "tags[1]", "must be a string"),
        ({"tags": [["a"]]}, "tags[0]", "must be a string"),
        ({"packages": {}}, "packages", "must be a list"),
        ({"packages": ["a"]}, "packages[0]", "must be an object"),
        ({"packages": [{}, {"price": "5"}]}, "packages[1].price", "must be a number"),
        ({"packages": [{"price": "NaN"}]}, "packages[0].price", "must be a number"),
        ({"packages": [{"price": True}]}, "packages[0].price", "must be a number"),
        ({"packages": [{"price": [5]}]}, "packages[0].price", "must be a number"),
        ({"packages": [{"deliveryDays": 1.5}]}, "packages[0].deliveryDays", "must be a whole number"),
        ({"packages": [{"deliveryDays": "1"}]}, "packages[0].deliveryDays", "must be a whole number"),
        ({"packages": [{"deliveryDays": 2147483648}]}, "packages[0].deliveryDays", "must be a whole number"),
        ({"packages": [{"features": [5]}]}, "packages[0].features[0]", "must be a string"),
    ],
)
def test_a_wrong_type_is_told_with_its_field(
    edge: Edge, api: httpx.Client, body: dict[str, Any], field: str, message: str
) -> None:
    assert details_of(post(edge, api, json.dumps(body).encode())) == {field: message}
    assert edge.received() == 0


@pytest.mark.parametrize("status", [1, True, "active", "NONSENSE", "STATUS_UNSPECIFIED", "", [], {}])
def test_a_status_is_one_of_its_names(edge: Edge, api: httpx.Client, status: object) -> None:
    response = api.patch(STATUS, json={"status": status}, headers=edge.bearer())

    assert details_of(response) == {"status": "must be one of ACTIVE, PAUSED, SUSPENDED"}


def test_a_number_that_does_not_fit_is_refused(edge: Edge, api: httpx.Client) -> None:
    details = details_of(post(edge, api, b'{"packages": [{"price": 1e999}]}'))

    assert details == {"packages[0].price": "must be a number"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"}",
        b'{"title": "a"',
        b'{"title": "a',
        b'{"title": "a" "b"}',
        b'{"title" "a"}',
        b'{"title": "a",, "tags": []}',
        b'{"tags": ["a" "b"]}',
        b'{"tags": ["a"}',
        b"{} {}",
        b"{}x",
        b"   ",
        b"\0",
        b"title=a",
        b'{"title": "\xff"}',
        b'{"title": "\xed\xa0\x80"}',
        b'{"title": "\\ud800"}',
        b'{"packages": [{"price": NaN}]}',
        b'{"packages": [{"price": Infinity}]}',
        b'{"packages": [{"price": 1.2.3}]}',
        b'{"x": tru}',
        b'{"x": -}',
    ],
)
def test_what_is_no_json_is_refused_without_quoting_it(edge: Edge, api: httpx.Client, body: bytes) -> None:
    refused = assert_refused(post(edge, api, body), 400, "INVALID_ARGUMENT")

    assert refused == {"error": "The request body is not valid JSON", "code": "INVALID_ARGUMENT"}
    assert edge.received() == 0


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b'"a"', b"5", b"true", b"null"])
def test_only_an_object_is_taken(edge: Edge, api: httpx.Client, body: bytes) -> None:
    refused = assert_refused(post(edge, api, body), 400, "INVALID_ARGUMENT")

    assert refused == {"error": "The request body must be a JSON object", "code": "INVALID_ARGUMENT"}
    assert edge.received() == 0


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"x":', b"}")])
@pytest.mark.parametrize("depth", [150, 50_000])
def test_deep_nesting_is_refused(edge: Edge, api: httpx.Client, opening: bytes, closing: bytes, depth: int) -> None:
    body = b'{"x":' + opening * depth + b"1" + closing * depth + b"}"

    refused = assert_refused(post(edge, api, body), 400, "INVALID_ARGUMENT")

    assert refused["error"] == "The request body is nested too deeply"
    assert edge.received() == 0


@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_no_body_is_an_empty_one(edge: Edge, length: bytes) -> None:
    token = f"Authorization: Bearer {edge.token()}\r\n".encode()
    request = b"PATCH " + STATUS.encode() + b" HTTP/1.1\r\nHost: edge\r\n" + token + length + b"\r\n"

    response = edge.raw(request + (b"0\r\n\r\n" if b"chunked" in length else b""))

    assert response.status_code == 200
    assert edge.gig.last().request.ListFields()[0][0].name == "gig_id"


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/merge-patch+json",
        "application/problem+json; x=y",
    ],
)
def test_json_by_any_of_its_names_is_taken(edge: Edge, api: httpx.Client, kind: str) -> None:
    assert post(edge, api, b"{}", content_type=kind).status_code == 201


def test_a_body_of_no_named_type_is_taken_for_json(edge: Edge, api: httpx.Client) -> None:
    assert api.post("/api/gigs", content=b'{"title": "a"}', headers=edge.bearer()).status_code == 201
    assert edge.gig.last().request.title == "a"


OTHER_KINDS = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "text/json",
    "application/grpc",
    "application/grpc+proto",
    "application/grpc-web+json",
    "nonsense",
]


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_a_body_of_another_type_is_a_415(edge: Edge, api: httpx.Client, kind: str) -> None:
    assert_refused(post(edge, api, b"{}", content_type=kind), 415, "UNSUPPORTED_MEDIA_TYPE")
    assert edge.received() == 0


def test_a_body_of_another_type_in_chunks_is_a_415(edge: Edge, api: httpx.Client) -> None:
    response = api.post("/api/gigs", content=iter([b"{}"]), headers={"content-type": "text/plain", **edge.bearer()})

    assert_refused(response, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_another_type_without_a_body_does_not_matter(edge: Edge, api: httpx.Client) -> None:
    assert api.patch(STATUS, content=b"", headers={"content-type": "text/plain", **edge.bearer()}).status_code == 200


def test_a_compressed_body_is_a_415(edge: Edge, api: httpx.Client) -> None:
    assert_refused(post(edge, api, b"{}", content_encoding="gzip"), 415, "UNSUPPORTED_MEDIA_TYPE")
    assert post(edge, api, b"{}", content_encoding="identity").status_code == 201


def chunks(size: int) -> Iterator[bytes]:
    """Yield a JSON body of `size` bytes in pieces."""
    yield b'{"title": "'
    left = size - len(b'{"title": ""}')
    while left > 0:
        yield b"a" * min(left, 60_000)
        left -= 60_000
    yield b'"}'


@pytest.mark.parametrize("in_chunks", [False, True], ids=["with-length", "chunked"])
def test_a_body_of_one_mib_passes_and_a_larger_one_is_a_413(edge: Edge, api: httpx.Client, in_chunks: bool) -> None:
    def send(size: int) -> httpx.Response:
        content = chunks(size) if in_chunks else b"".join(chunks(size))
        return api.post("/api/gigs", content=content, headers={"content-type": "application/json", **edge.bearer()})

    assert send(MIB).status_code == 201
    assert len(edge.gig.last().request.title) == MIB - len(b'{"title": ""}')
    assert_refused(send(MIB + 1), 413, "PAYLOAD_TOO_LARGE")
    assert_refused(send(2 * MIB + 100_000), 413, "PAYLOAD_TOO_LARGE")


def test_a_length_above_the_limit_is_refused_before_the_body_is_sent(edge: Edge) -> None:
    head = f"POST /api/gigs HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {edge.token()}\r\nContent-Length: {MIB + 1}"

    response = edge.raw(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode(), seconds=5)

    assert_refused(response, 413, "PAYLOAD_TOO_LARGE")


def test_chunks_above_the_limit_are_refused_while_they_come(edge: Edge) -> None:
    head = f"POST /api/gigs HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {edge.token()}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", edge.port), timeout=10) as connection:
        connection.sendall(head.encode())
        for _ in range(48):  # 3 MiB, and no end
            try:
                connection.sendall(chunk)
            except ConnectionError:
                break

        response = read_response(connection)

    assert_refused(response, 413, "PAYLOAD_TOO_LARGE")
    assert edge.received() == 0


def test_a_body_where_none_is_read_does_not_matter(edge: Edge, api: httpx.Client) -> None:
    for content in (b"{}", b"nonsense", b"x" * 100_000):
        response = api.request("DELETE", STATUS.removesuffix("/status"), content=content, headers=edge.bearer())
        assert response.status_code == 204
        assert api.request("GET", "/api/categories", content=content).status_code == 200


def test_a_large_body_of_many_values_is_taken(edge: Edge, api: httpx.Client) -> None:
    body = b'{"x": [' + b"1," * 500_000 + b"1]}"

    response = post(edge, api, body)

    assert response.status_code == 201
