"""Page tokens."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.gig.v1.gig_pb2 import SearchGigsRequest
from servicekit import paging
from servicekit.errors import InvalidArgument

ROW = UUID("550e8400-e29b-41d4-a716-446655440000")
KEY = (paging.int64, paging.uuid)


def test_a_token_brings_back_the_key_it_was_made_of() -> None:
    token = paging.encode(SearchGigsRequest(q="logo"), (7, ROW))

    assert paging.decode(SearchGigsRequest(q="logo", page_token=token), *KEY) == [7, ROW]


def test_the_size_of_the_page_may_change_between_pages() -> None:
    token = paging.encode(SearchGigsRequest(q="logo", page_size=5), (7, ROW))

    assert paging.decode(SearchGigsRequest(q="logo", page_size=9, page_token=token), *KEY) == [
        7,
        ROW,
    ]


def test_a_token_goes_with_its_filters_alone() -> None:
    token = paging.encode(SearchGigsRequest(q="logo"), (7, ROW))

    with pytest.raises(InvalidArgument) as refused:
        paging.decode(SearchGigsRequest(q="web", page_token=token), *KEY)
    assert refused.value.violations[0].field == "pageToken"


@given(st.text(min_size=1))
def test_what_is_no_token_is_refused(nonsense: str) -> None:
    with pytest.raises(InvalidArgument):
        paging.decode(
            SearchGigsRequest(page_token=nonsense.encode("utf-8", "replace").decode()), paging.int64, paging.uuid
        )


def test_no_token_is_the_first_page() -> None:
    assert paging.decode(SearchGigsRequest(), *KEY) is None


def forged(payload: bytes, request: SearchGigsRequest | None = None) -> SearchGigsRequest:
    """Return a request with a token of this payload and its right digest, as anybody can make one."""
    request = request or SearchGigsRequest()
    raw = paging._digest(request, payload) + payload
    request.page_token = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return request


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"null",
        b"5",
        b"NaN",
        b'"7"',
        b"[]",
        b"[7, 8]",
        b'[7, "550e8400-e29b-41d4-a716-446655440000"]',
        b'["7", null]',
        b'["7", ["550e8400-e29b-41d4-a716-446655440000"]]',
        b'["7", "550e8400-e29b-41d4-a716-446655440000", "x"]',
        b'{"7": "550e8400-e29b-41d4-a716-446655440000"}',
        b'["7", "\xff"]',
        b"[" * 700,
        b'["7", "' + b"0" * 40,
    ],
    ids=lambda payload: repr(payload)[:40],
)
def test_a_forged_token_of_another_shape_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidArgument):
        paging.decode(forged(payload), *KEY)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((paging.int64, text) for text in ("", "x", "1.5", "1e3", "1_0", " 1", "+1", "01", "-0", "NaN", "9" * 30)),
        *((paging.int64, text) for text in (str(2**63), str(-(2**63) - 1), "\u0661", "9" * 5000, "\ud800", "1\0")),
        *((paging.int32, text) for text in ("", "01", str(2**31), str(-(2**31) - 1), str(2**63), "9" * 30)),
        *((paging.amount, text) for text in ("", "NaN", "Infinity", "1e9", "-1", "1.234", "1234567890", "\u0661")),
        *(
            (paging.timestamp, text)
            for text in ("", "now", "2026-11-28", "2026-11-28 10:00:00", "0000-01-01 00:00:00+00:00")
        ),
        (paging.timestamp, "9999-12-31T23:59:59.999999-23:59"),
        (paging.timestamp, "9999-12-31 23:59:59.999999-23:59"),
        (paging.timestamp, "0001-01-01 00:00:00+23:59"),
        (paging.timestamp, "2026-02-30 10:00:00+00:00"),
        (paging.timestamp, "2026-11-28 10:00:00.1+00:00"),
        *(
            (paging.uuid, text)
            for text in ("", "7", ROW.hex, ROW.urn, f"{{{ROW}}}", str(ROW).upper(), f" {ROW}", "\ud800")
        ),
    ],
    ids=lambda value: ascii(getattr(value, "__name__", value))[:45],
)
def test_a_parser_takes_nothing_but_what_is_written(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.decimals(0, 999_999_999, places=2),
    st.datetimes(timezones=st.just(UTC)),
    st.uuids(),
)
def test_a_parser_reads_what_is_written(number: int, count: int, amount: Decimal, at: datetime, row: UUID) -> None:
    request = SearchGigsRequest(q="logo")
    request.page_token = paging.encode(request, (number, count, amount, at, row))

    assert paging.decode(request, paging.int64, paging.int32, paging.amount, paging.timestamp, paging.uuid) == [
        number,
        count,
        amount,
        at,
        row,
    ]


def test_a_token_of_ten_megabytes_is_refused_at_once() -> None:
    with pytest.raises(InvalidArgument):
        paging.decode(SearchGigsRequest(page_token="A" * 10_000_000), *KEY)
