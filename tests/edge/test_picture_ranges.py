"""Ranges of a picture's bytes (RFC 9110, section 14)."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.edge import Edge, assert_refused

CONTENT = bytes(range(100))


@pytest.fixture
def picture(edge: Edge) -> Iterator[str]:
    folder = edge.folder / "media" / "ef"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{'ef' * 16}.png").write_bytes(CONTENT)
    (folder / f"{'00' * 16}.png").write_bytes(b"")
    yield f"/media/ef/{'ef' * 16}.png"


@pytest.mark.parametrize(
    ("range_", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, 99),
        ("bytes=99-", 99, 99),
        ("bytes=99-99", 99, 99),
        ("bytes=0-99", 0, 99),
        ("bytes=90-100", 90, 99),
        ("bytes=90-200", 90, 99),
        ("bytes=0-99999999999999999999", 0, 99),
        ("bytes=-1", 99, 99),
        ("bytes=-100", 0, 99),
        ("bytes=-200", 0, 99),
        ("bytes=-99999999999999999999", 0, 99),
        ("Bytes= 10-19", 10, 19),
    ],
)
def test_a_range_gets_what_there_is_of_it(api: httpx.Client, picture: str, range_: str, first: int, last: int) -> None:
    part = api.get(picture, headers={"range": range_})

    assert (part.status_code, part.content) == (206, CONTENT[first : last + 1])
    assert part.headers["content-range"] == f"bytes {first}-{last}/100"
    assert part.headers["content-type"] == "image/png"
    assert part.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("range_", ["bytes=100-", "bytes=100-200", "bytes=99999999999999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_a_416_with_the_size(api: httpx.Client, picture: str, range_: str) -> None:
    beyond = api.get(picture, headers={"range": range_})

    assert_refused(beyond, 416, "RANGE_NOT_SATISFIABLE")
    assert beyond.headers["content-range"] == "bytes */100"


def test_an_empty_file_has_no_range(api: httpx.Client, picture: str) -> None:
    empty = api.get(picture.replace("ef" * 16, "00" * 16), headers={"range": "bytes=0-"})

    assert_refused(empty, 416, "RANGE_NOT_SATISFIABLE")
    assert empty.headers["content-range"] == "bytes */0"


@pytest.mark.parametrize(
    "range_",
    [
        "bytes=0-1,5-6",
        "bytes=5-2",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=0x1-2",
        "bytes=1.5-2",
        "bytes",
        "lines=0-1",
        "=0-1",
        "0-1",
        "",
    ],
)
def test_what_is_not_one_range_of_bytes_is_ignored(api: httpx.Client, picture: str, range_: str) -> None:
    whole = api.get(picture, headers={"range": range_})

    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert "content-range" not in whole.headers


def test_two_range_headers_are_ignored(api: httpx.Client, picture: str) -> None:
    whole = api.get(picture, headers=[("range", "bytes=0-1"), ("range", "bytes=5-6")])

    assert (whole.status_code, whole.content) == (200, CONTENT)


@pytest.mark.parametrize("range_", ["bytes=0-1", "bytes=100-"])
def test_head_has_no_range(api: httpx.Client, picture: str, range_: str) -> None:
    head = api.head(picture, headers={"range": range_})

    assert (head.status_code, head.headers["content-length"]) == (200, "100")
    assert "content-range" not in head.headers


@pytest.mark.parametrize("validator", ['"etag"', "Sat, 28 Nov 2026 00:00:00 GMT"])
def test_a_range_for_another_version_gets_the_whole(api: httpx.Client, picture: str, validator: str) -> None:
    whole = api.get(picture, headers={"range": "bytes=0-1", "if-range": validator})

    assert (whole.status_code, whole.content) == (200, CONTENT)


def test_a_range_of_no_picture_is_a_404(api: httpx.Client, picture: str) -> None:
    missing = api.get(picture.replace("png", "jpg"), headers={"range": "bytes=0-1"})

    assert_refused(missing, 404, "NOT_FOUND")
