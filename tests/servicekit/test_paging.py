"""Page tokens."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.gig.v1.gig_pb2 import SearchGigsRequest
from servicekit import paging
from servicekit.errors import InvalidArgument

ROW = UUID("550e8400-e29b-41d4-a716-446655440000")


def test_a_token_brings_back_the_key_it_was_made_of() -> None:
    token = paging.encode(SearchGigsRequest(q="logo"), (7, ROW))

    assert paging.decode(SearchGigsRequest(q="logo", page_token=token), int, UUID) == [7, ROW]


def test_the_size_of_the_page_may_change_between_pages() -> None:
    token = paging.encode(SearchGigsRequest(q="logo", page_size=5), (7, ROW))

    assert paging.decode(SearchGigsRequest(q="logo", page_size=9, page_token=token), int, UUID) == [7, ROW]


def test_a_token_goes_with_its_filters_alone() -> None:
    token = paging.encode(SearchGigsRequest(q="logo"), (7, ROW))

    with pytest.raises(InvalidArgument) as refused:
        paging.decode(SearchGigsRequest(q="web", page_token=token), int, UUID)
    assert refused.value.violations[0].field == "pageToken"


@given(st.text(min_size=1))
def test_what_is_no_token_is_refused(nonsense: str) -> None:
    with pytest.raises(InvalidArgument):
        paging.decode(SearchGigsRequest(page_token=nonsense.encode("utf-8", "replace").decode()), int, UUID)


def test_no_token_is_the_first_page() -> None:
    assert paging.decode(SearchGigsRequest(), int, UUID) is None
