"""Searches: orders and pages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit import paging
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.gigs import Gigs, prices, refused_field
from tests.support.postgres import PostgresServer


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


@pytest.fixture(scope="module")
def ties(postgres: PostgresServer) -> Iterator[tuple[Gigs, list[str]]]:
    """Return GigService with the gigs of `rated`, for tests that only read."""
    database = Database(postgres.fresh("gig"))
    gigs = Gigs(database)
    yield gigs, rated(gigs)
    database.close()


def rated(gigs: Gigs) -> list[str]:
    """Create gigs with ties in every column: two ratings, two numbers of reviews, two prices."""
    ids = []
    for number, (stars, count, price) in enumerate(itertools.product((4, 5), (1, 2), (10, 20))):
        for copy in range(2):
            gig_id = gigs.create(
                title=f"Logo {number} {copy}", description="x" + " logo" * copy, packages=prices(price, price + 5)
            )
            gigs.rate(gig_id, *[stars] * count)
            ids.append(gig_id)
    return ids


SORTS = {
    "rating": lambda result: (-result.rating, -result.review_count),
    "newest": lambda result: 0,
    "price": lambda result: result.starting_price,
    "-price": lambda result: -result.starting_price,
    "relevance": lambda result: 0,
}


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("page_size", [1, 3, 16])
def test_pages_of_every_order_hold_every_gig_once_ties_or_not(
    ties: tuple[Gigs, list[str]], sort: str, page_size: int
) -> None:
    gigs, ids = ties
    whole = gigs.search(sort=sort, q="logo", page_size=100).response

    paged = gigs.every_page(sort=sort, q="logo", page_size=page_size)

    assert paged == [result.id for result in whole.results]
    assert sorted(paged) == sorted(ids)
    assert list(whole.results) == sorted(whole.results, key=SORTS[sort])
    assert whole.total == len(ids)


def test_newest_comes_first(gigs: Gigs) -> None:
    ids = [gigs.create() for _ in range(5)]

    assert gigs.every_page(sort="newest", page_size=2) == ids[::-1]


def test_the_price_orders_go_by_the_starting_price_under_the_filters(gigs: Gigs) -> None:
    low = gigs.create(packages=prices(10, 500))
    middle = gigs.create(packages=prices(100))
    high = gigs.create(packages=prices(300))

    assert gigs.found(sort="price") == [low, middle, high]
    assert gigs.found(sort="price", min_price=50) == [middle, high, low]
    assert gigs.found(sort="-price", min_price=50) == [low, high, middle]


def test_without_words_relevance_is_the_order_of_rating_and_that_is_the_default(ties: tuple[Gigs, list[str]]) -> None:
    gigs, _ = ties

    assert gigs.found(sort="relevance") == gigs.found(sort="rating") == gigs.found()


@pytest.mark.parametrize("sort", SORTS)
def test_pages_neither_skip_nor_repeat_while_gigs_are_added(gigs: Gigs, sort: str) -> None:
    before = rated(gigs)
    seen: list[str] = []
    token, added = "", []

    for number in itertools.count():
        response = gigs.search(sort=sort, q="logo", page_size=3, page_token=token).response
        seen += [result.id for result in response.results]
        token = response.next_page_token
        if not token:
            break
        added.append(gigs.create(title="Logo logo", description="logo", packages=prices(5 + 4 * number)))
        if number % 2:
            gigs.rate(added[-1], 5, 4)

    assert len(seen) == len(set(seen))
    assert [gig_id for gig_id in seen if gig_id in before] == [
        gig_id for gig_id in gigs.every_page(sort=sort, q="logo", page_size=100) if gig_id in before
    ]
    assert set(before) <= set(seen) <= {*before, *added}


def test_the_following_pages_understand_a_misspelt_word_as_the_first_did(gigs: Gigs) -> None:
    ids = {gigs.create(title=f"Design {number}", description="x") for number in range(4)}
    first = gigs.search(q="desing", page_size=2).response
    gigs.create(title="Desing", description="x")

    second = gigs.search(q="desing", page_size=2, page_token=first.next_page_token).response

    assert {result.id for page in (first, second) for result in page.results} == ids


def test_a_page_size_of_zero_is_twenty(gigs: Gigs) -> None:
    for _ in range(21):
        gigs.create()

    assert len(gigs.found(page_size=0)) == len(gigs.found()) == 20
    assert len(gigs.found(page_size=100)) == 21


@pytest.mark.parametrize("page_size", [-1, 101])
def test_other_page_sizes_are_refused(gigs: Gigs, page_size: int) -> None:
    assert refused_field(gigs.search(page_size=page_size)) == "pageSize"


def test_an_unknown_order_is_refused(gigs: Gigs) -> None:
    assert refused_field(gigs.search(sort="cheapest")) == "sort"


def test_a_page_token_goes_with_its_filters_and_any_page_size(gigs: Gigs) -> None:
    for _ in range(3):
        gigs.create()
    token = gigs.search(page_size=1, min_price=1).response.next_page_token

    assert refused_field(gigs.search(page_token=token)) == "pageToken"
    assert refused_field(gigs.search(page_token=token, min_price=2)) == "pageToken"
    assert refused_field(gigs.search(page_token=token, min_price=1, sort="newest")) == "pageToken"
    assert len(gigs.found(page_token=token, min_price=1, page_size=50)) == 2


@pytest.mark.parametrize("token", ["nonsense", "!", "A" * 40, "é"])
def test_a_forged_page_token_is_refused(gigs: Gigs, token: str) -> None:
    assert refused_field(gigs.search(page_token=token)) == "pageToken"


@pytest.mark.parametrize(
    "key",
    [
        ("4.5", "1", "no id", "{}"),
        ("NaN", "1", str(new_id()), "{}"),
        ("1E+999999", "1", str(new_id()), "{}"),
        ("4.5", "1", str(new_id()), "[1]"),
        ("4.5", "1", str(new_id()), "7"),
        ("4.5", "1", str(new_id()), '{"a": ["\'b"]}'),
        ("4.5", "1", str(new_id()), '{"a": ["b\'::text"]}'),
        ("4.5", "1", str(new_id()), '{"a": [1]}'),
        ("4.5", "1", str(new_id()), '{"a": 1}'),
        ("4.5", "1"),
        ("4.5", "2147483648", str(new_id()), "{}"),
    ],
)
def test_a_page_token_with_a_right_digest_and_nonsense_inside_is_refused(gigs: Gigs, key: tuple[str, ...]) -> None:
    token = paging.encode(gig_pb2.SearchGigsRequest(), key)

    assert refused_field(gigs.search(page_token=token)) == "pageToken"


@pytest.mark.parametrize(
    "key",
    [
        ("2147483648", "4.5", "1", str(new_id()), "{}", ""),
        ("-2147483649", "4.5", "1", str(new_id()), "{}", ""),
        ("9", "4.5", "3000000000", str(new_id()), "{}", ""),
        ("9", "4.5", "1", str(new_id()), "{}", f"4.5 3000000000 {new_id()}"),
    ],
)
def test_a_page_token_by_relevance_with_a_number_that_no_column_holds_is_refused(
    gigs: Gigs, key: tuple[str, ...]
) -> None:
    token = paging.encode(gig_pb2.SearchGigsRequest(q="logo"), key)

    assert refused_field(gigs.search(q="logo", page_token=token)) == "pageToken"
