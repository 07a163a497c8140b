"""Searches: what a result shows, and the filters."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.gigs import OWNER, WEB_DEV, Gigs, a_package, prices, refused_field

ADMIN = ("root", "admin")


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


def category(gigs: Gigs, slug: str) -> str:
    categories = gigs.call(gig_pb2.ListCategoriesRequest(), None).response.categories
    return str(next(category.id for category in categories if category.slug == slug))


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
