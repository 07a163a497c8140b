"""Searches: filters, words, orders and pages."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.gig.v1 import gig_pb2
from servicekit import paging
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.gigs import OWNER, WEB_DEV, Gigs, a_package
from tests.support.postgres import PostgresServer
from tests.support.rpc import Answer

ADMIN = ("root", "admin")


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


def category(gigs: Gigs, slug: str) -> str:
    categories = gigs.call(gig_pb2.ListCategoriesRequest(), None).response.categories
    return str(next(category.id for category in categories if category.slug == slug))


def prices(*amounts: float, delivery_days: int = 14) -> list[gig_pb2.PackageInput]:
    return [a_package(price=amount, delivery_days=delivery_days) for amount in amounts]


def refused_field(answer: Answer) -> str:
    assert answer.error == "INVALID_ARGUMENT"
    return str(answer.body["details"][0]["field"])


# --- the response


def test_a_result_shows_what_the_seed_asks_for(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=prices(900, 500))
    gigs.rate(gig_id, *[5] * 10)
    for number in range(10):
        gigs.review(gig_id, f"buyer {number}", 5)

    response = gigs.search(category="web-dev", min_price=300, max_price=1000).response

    (result,) = response.results
    assert (result.id, result.title) == (gig_id, "Professional Website Development")
    assert (result.starting_price, result.rating, result.review_count, result.thumbnail) == (500, 5, 10, "")
    assert (result.seller.id, result.seller.username) == (str(OWNER), "webdev_pro")
    assert list(result.seller.badges) == ["Top Seller"]
    assert (response.total, response.total_is_estimate) == (1, False)
    assert not response.HasField("next_page_token")


def test_an_empty_marketplace_answers_nothing(gigs: Gigs) -> None:
    response = gigs.search().response

    assert (list(response.results), response.total) == ([], 0)


# --- categories


def test_a_category_is_named_by_slug_or_id_in_any_case_and_a_parent_includes_its_children(gigs: Gigs) -> None:
    web = gigs.create()
    mobile = gigs.create(category_id=category(gigs, "mobile-apps"))
    parent = gigs.create(category_id=category(gigs, "programming-tech"))
    gigs.create(category_id=category(gigs, "logo-design"))

    assert gigs.found(category="web-dev") == [web]
    assert gigs.found(category=WEB_DEV.upper()) == [web]
    assert set(gigs.found(category="programming-tech")) == {web, mobile, parent}
    assert set(gigs.found(category=category(gigs, "programming-tech"))) == {web, mobile, parent}
    assert gigs.found(category="voice-over") == []


@pytest.mark.parametrize("unknown", ["nonsense", "01900000-0000-7000-8000-000000000001", "WEB-DEV"])
def test_an_unknown_category_is_named(gigs: Gigs, unknown: str) -> None:
    assert refused_field(gigs.search(category=unknown)) == "category"


def test_a_gig_that_moves_is_found_where_it_is(gigs: Gigs) -> None:
    gig_id = gigs.create()
    moved = {"title": "Other", "description": "x", "category_id": category(gigs, "seo")}

    gigs.call(gig_pb2.UpdateGigRequest(gig_id=gig_id, **moved))

    assert gigs.found(category="web-dev") == []
    assert gigs.found(category="digital-marketing") == [gig_id]


# --- packages


def test_one_and_the_same_package_must_meet_price_and_delivery(gigs: Gigs) -> None:
    gigs.create(packages=[a_package(price=100, delivery_days=30), a_package(price=900, delivery_days=3)])
    both = gigs.create(packages=[a_package(price=800, delivery_days=30), a_package(price=150, delivery_days=3)])

    assert gigs.found(max_price=200, max_delivery_days=5) == [both]
    assert gigs.found(min_price=200, max_price=700) == []
    assert len(gigs.found(max_delivery_days=3)) == 2
    assert gigs.found(max_delivery_days=2) == []


@pytest.mark.parametrize(
    ("filters", "starting_price"),
    [
        ({}, 20),
        ({"min_price": 20.01}, 50.5),
        ({"min_price": 20}, 20),
        ({"max_delivery_days": 4}, 50.5),
        ({"max_delivery_days": 2}, 300),
        ({"min_price": 51, "max_price": 300}, 300),
    ],
)
def test_the_starting_price_is_that_of_the_cheapest_package_that_meets_the_filters(
    gigs: Gigs, filters: dict[str, Any], starting_price: float
) -> None:
    gigs.create(
        packages=[
            a_package(price=300, delivery_days=2),
            a_package(price=20, delivery_days=9),
            a_package(price=50.5, delivery_days=4),
        ]
    )

    assert [result.starting_price for result in gigs.search(**filters).response.results] == [starting_price]


def test_a_gig_with_equally_cheap_packages_is_found_once(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=prices(50, 50, 50))

    assert gigs.found() == [gig_id]
    assert gigs.search().response.total == 1


def test_packages_that_change_are_found_as_they_are(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=prices(50))
    (package,) = gigs.page(gig_id).packages

    gigs.call(gig_pb2.AddPackageRequest(gig_id=gig_id, title="Other", price=70, delivery_days=1))
    gigs.call(gig_pb2.DeletePackageRequest(gig_id=gig_id, package_id=package.id))

    assert gigs.found(max_price=60) == []
    assert gigs.found(min_price=70, max_delivery_days=1) == [gig_id]


def test_a_price_range_that_is_upside_down_is_refused(gigs: Gigs) -> None:
    assert refused_field(gigs.search(min_price=10, max_price=5)) == "minPrice"


# --- tags, rating, seller, status


def test_all_tags_must_match_in_any_letter_case(gigs: Gigs) -> None:
    both = gigs.create(tags=["Frontend", "Web"])
    gigs.create(tags=["web"])

    assert gigs.found(tags=["WEB", "frontend"]) == [both]
    assert len(gigs.found(tags=["web"])) == 2
    assert gigs.found(tags=["we"]) == []


def test_min_rating_is_held_against_the_rating_shown(gigs: Gigs) -> None:
    gig_id = gigs.create()
    gigs.rate(gig_id, 4, 4, 4, 5)

    assert gigs.found(min_rating=4.3) == [gig_id]
    assert gigs.found(min_rating=4.31) == []
    gigs.create()
    assert len(gigs.found(min_rating=0)) == 2


def test_only_active_gigs_of_a_seller_are_found(gigs: Gigs) -> None:
    mine, other = gigs.create(), gigs.create("someone")
    gigs.set_status(gigs.create(), "PAUSED")

    assert gigs.found(seller_id=str(OWNER)) == [mine]
    assert set(gigs.found()) == {mine, other}
    assert gigs.found(seller_id=str(new_id())) == []


def test_sellers_find_their_own_gigs_by_status(gigs: Gigs) -> None:
    active, paused, suspended = gigs.create(), gigs.create(), gigs.create()
    gigs.set_status(paused, "PAUSED")
    gigs.set_status(suspended, "SUSPENDED", *ADMIN)
    own = {"name": "webdev_pro", "seller_id": str(OWNER)}

    assert gigs.found(**own, status="ACTIVE") == [active]
    assert gigs.found(**own, status="PAUSED") == [paused]
    assert gigs.found(**own, status="SUSPENDED") == [suspended]
    assert gigs.found(**own) == [active]


def test_nobody_finds_other_sellers_gigs_by_status(gigs: Gigs) -> None:
    for name in (None, "someone"):
        assert gigs.search(name, seller_id=str(OWNER), status="PAUSED").error == "FORBIDDEN"
    assert refused_field(gigs.search("webdev_pro", status="PAUSED")) == "status"


# --- words


@pytest.fixture(scope="module")
def shop(postgres: PostgresServer) -> Iterator[Gigs]:
    """Return GigService with the catalogue, for tests that only read."""
    database = Database(postgres.fresh("gig"))
    yield Gigs(database)
    database.close()


@pytest.fixture(scope="module")
def catalogue(shop: Gigs) -> dict[str, str]:
    """Create a few gigs with different words, and return their ids by short names."""
    texts = {
        "web": ("Responsive websites in Node.js", "I'll build fast sites for small companies", ["web", "javascript"]),
        "logo": ("Logo design", "A modern logo for your brand, and the source files", ["branding"]),
        "cafe": ("Menus for cafés", "Crème brûlée never looked better", ["print"]),
        "cpp": ("C++ developer", "Performance work; 3D engines", ["c++"]),
        "moscow": ("Перевод на русский", "Быстро и точно", ["translation"]),
    }
    return {
        name: shop.create(title=title, description=description, tags=tags)
        for name, (title, description, tags) in texts.items()
    }


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("website", "web"),
        ("WEBSITES", "web"),
        ("websites responsive", "web"),
        ("company", "web"),
        ("node", "web"),
        ("node.js", "web"),
        ("javascript", "web"),
        ("build site", "web"),
        ("I'll build", "web"),
        ("design logos", "logo"),
        ("logo for the brand", "logo"),
        ("the logo", "logo"),
        ("branding", "logo"),
        ("cafe", "cafe"),
        ("CAFÉS", "cafe"),
        ("creme brulee", "cafe"),
        ("c++", "cpp"),
        ("3d", "cpp"),
        ("русский", "moscow"),
        ("ПЕРЕВОД", "moscow"),
        ("developer!!!", "cpp"),
    ],
)
def test_words_are_found_in_title_tags_and_description_in_any_order_and_form(
    shop: Gigs, catalogue: dict[str, str], q: str, expected: str
) -> None:
    assert shop.found(q=q) == [catalogue[expected]]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("webiste", "web"),
        ("wbesites", "web"),
        ("respnsive website", "web"),
        ("desing logo", "logo"),
        ("lgoo", "logo"),
        ("develper", "cpp"),
        ("javascrpit", "web"),
        ("prerformance", "cpp"),
        ("the brnad", "logo"),
    ],
)
def test_typing_errors_are_forgiven(shop: Gigs, catalogue: dict[str, str], q: str, expected: str) -> None:
    assert shop.found(q=q) == [catalogue[expected]]


@pytest.mark.parametrize("q", ["website logo", "zzzzzzzz", "logo zzzzzzzz", "x" * 500, "2d", "'); drop table gigs; --"])
def test_all_words_must_match(shop: Gigs, catalogue: dict[str, str], q: str) -> None:
    answer = shop.search(q=q)

    assert not answer.error
    assert (list(answer.response.results), answer.response.total) == ([], 0)


def test_very_common_words_count_when_there_are_no_others(shop: Gigs, catalogue: dict[str, str]) -> None:
    assert shop.found(q="and the") == [catalogue["logo"]]
    assert shop.found(q="the website") == [catalogue["web"]]


@pytest.mark.parametrize("q", ["!!!", "...", "— ’", "& | ! ( )", "'"])
def test_nothing_but_punctuation_is_no_q(shop: Gigs, catalogue: dict[str, str], q: str) -> None:
    assert shop.found(q=q) == shop.found()
    assert len(shop.found(q=q)) == len(catalogue)


@settings(max_examples=60, deadline=None)
@given(q=st.text(max_size=60))
def test_any_text_at_all_is_answered(shop: Gigs, catalogue: dict[str, str], q: str) -> None:
    assert shop.search(q=q).error in ("", "INVALID_ARGUMENT")


def test_a_word_that_no_visible_gig_has_any_more_is_taken_for_a_typing_error(gigs: Gigs) -> None:
    odd = gigs.create(title="Desing for you", description="x", tags=[])
    good = gigs.create(title="Design for you", description="x", tags=[])
    assert gigs.found(q="desing") == [odd]

    gigs.set_status(odd, "PAUSED")

    assert gigs.found(q="desing") == [good]


def test_a_gig_is_found_by_its_new_words_and_not_by_its_old_ones(gigs: Gigs) -> None:
    gig_id = gigs.create(title="Logo design", description="x", tags=[])

    gigs.call(gig_pb2.UpdateGigRequest(gig_id=gig_id, title="Voice over", description="y", category_id=WEB_DEV))

    assert gigs.found(q="vioce") == [gig_id]
    assert gigs.found(q="logo") == []


def test_a_title_is_more_relevant_than_a_tag_and_that_more_than_a_description(gigs: Gigs) -> None:
    described = gigs.create(title="Something", description="All about logo work", tags=["x"])
    tagged = gigs.create(title="Something", description="All about it", tags=["logo"])
    titled = gigs.create(title="A logo", description="All about it", tags=["x"])
    gigs.rate(described, *[5] * 20)

    assert gigs.found(q="logo") == [titled, tagged, described]
    assert gigs.found(q="logo", sort="rating")[0] == described


def test_words_and_filters_go_together(gigs: Gigs) -> None:
    gigs.create(title="Logo one", packages=prices(10))
    dear = gigs.create(title="Logo two", packages=prices(100))
    gigs.create(title="Icon", packages=prices(100))

    assert gigs.found(q="logo", min_price=50, category="web-dev", tags=["web"]) == [dear]


# --- orders and pages


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
    ],
)
def test_a_page_token_with_a_right_digest_and_nonsense_inside_is_refused(gigs: Gigs, key: tuple[str, ...]) -> None:
    token = paging.encode(gig_pb2.SearchGigsRequest(), key)

    assert refused_field(gigs.search(page_token=token)) == "pageToken"
