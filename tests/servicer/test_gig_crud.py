"""Gigs from creation to deletion, through the pipeline."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit.clock import Clock
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.gigs import OWNER, WEB_DEV, Gigs, a_gig, a_package, an_update


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


def test_a_seller_makes_a_gig(gigs: Gigs) -> None:
    answer = gigs.call(a_gig())

    created = answer.response
    assert created.title == "Professional Website Development"
    assert created.seller_id == str(OWNER)
    assert created.status == gig_pb2.Gig.ACTIVE
    assert UUID(created.id).version == 7
    assert answer.headers["location"] == f"/api/gigs/{created.id}"
    assert answer.headers["etag"] == '"1-0-1"'
    assert created.created_at.seconds > 0
    assert created.created_at.nanos == 0


def test_a_gig_page_shows_everything(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package(), a_package(title="Premium", price=19.99, features=[], revisions=3)])

    page = gigs.get(gig_id).response.gig

    assert (page.id, page.title) == (gig_id, "Professional Website Development")
    assert page.description == "I'll build you a responsive website"
    assert page.category_id == WEB_DEV
    assert list(page.tags) == ["frontend", "web"]
    assert page.status == gig_pb2.Gig.ACTIVE
    assert (page.rating, page.review_count) == (0, 0)
    assert (page.seller.id, page.seller.username, list(page.seller.badges)) == (str(OWNER), "webdev_pro", [])
    basic, premium = page.packages
    assert (basic.title, basic.description, basic.price, basic.delivery_days) == (
        "Basic Website", "5-page site", 500, 14,
    )  # fmt: skip
    assert (list(basic.features), basic.revisions) == (["Responsive Design", "Contact Form"], 0)
    assert (premium.title, premium.price, list(premium.features), premium.revisions) == ("Premium", 19.99, [], 3)
    assert list(page.images) == []
    assert page.created_at == page.updated_at


def test_readers_and_the_owner_after_an_edit_get_the_same_page(gigs: Gigs) -> None:
    awkward = 'a "quoted", {comma} \\ back\\slash, Straße 日本 👩‍💻 \\u0000'
    gig_id = gigs.create(
        title=awkward,
        packages=[
            a_package(title=awkward, features=[awkward, "x"], price=price, revisions=9) for price in (5, 19.99, 1234.56)
        ],
    )
    gigs.add_images(gig_id, 3)
    for number in range(11):
        gigs.review(gig_id, f"buyer{number}", 5)
    gigs.rate(gig_id, 5, 4, 4)

    edited = gigs.call(an_update(gig_id, title=awkward, description=awkward, tags=["c++", awkward[:20]]))
    read = gigs.get(gig_id)

    assert read.response.gig == edited.response.gig
    assert read.headers["etag"] == edited.headers["etag"]
    assert list(read.response.gig.seller.badges) == ["Top Seller"]
    assert read.response.gig.packages[2].features[0] == awkward


def test_packages_keep_their_order(gigs: Gigs) -> None:
    titles = [f"Package {number}" for number in range(10)]

    gig_id = gigs.create(packages=[a_package(title=title) for title in titles])

    assert [package.title for package in gigs.page(gig_id).packages] == titles


def test_an_unknown_category_is_named(gigs: Gigs) -> None:
    for request in (a_gig(category_id=str(new_id())), an_update(gigs.create(), category_id=str(new_id()))):
        answer = gigs.call(request)

        assert answer.error == "INVALID_ARGUMENT"
        assert [detail["field"] for detail in answer.body["details"]] == ["categoryId"]


def test_buyers_make_no_gigs(gigs: Gigs) -> None:
    assert gigs.call(a_gig(), "someone", "buyer").error == "FORBIDDEN"
    assert gigs.call(a_gig(), None).error == "UNAUTHORIZED"


@pytest.mark.parametrize("method", [gig_pb2.GetGigRequest, gig_pb2.ListPackagesRequest, gig_pb2.DeleteGigRequest])
def test_a_gig_that_never_was_is_not_found(gigs: Gigs, method: Any) -> None:
    for gig_id in (str(new_id()), "nonsense"):
        answer = gigs.call(method(gig_id=gig_id))

        assert (answer.error, answer.message) == ("NOT_FOUND", "Gig not found")


def test_ids_are_matched_in_any_letter_case(gigs: Gigs) -> None:
    gig_id = gigs.create()

    assert gigs.get(gig_id.upper()).response.gig.id == gig_id


def test_an_update_replaces_texts_and_what_is_left_out_is_empty(gigs: Gigs) -> None:
    gig_id = gigs.create()
    before = gigs.page(gig_id)

    answer = gigs.call(an_update(gig_id, title="  Fast websites "))

    page = answer.response.gig
    assert (page.title, page.description, list(page.tags)) == ("Fast websites", "In a week", [])
    assert page.packages == before.packages
    assert page == gigs.page(gig_id)
    assert answer.headers["etag"] == gigs.etag(gig_id) == '"2-0-1"'


def test_an_update_moves_updated_at_and_nothing_moves_created_at(gigs: Gigs, gig_database: Database) -> None:
    gig_id = gigs.create()
    before = gigs.page(gig_id)
    Clock(gig_database).travel(timedelta(hours=1))

    gigs.call(an_update(gig_id))

    after = gigs.page(gig_id)
    assert after.created_at == before.created_at
    assert 3600 <= after.updated_at.seconds - before.updated_at.seconds < 3700


def test_only_the_owner_updates_and_deletes(gigs: Gigs) -> None:
    gig_id = gigs.create()

    for request in (an_update(gig_id), gig_pb2.DeleteGigRequest(gig_id=gig_id)):
        answer = gigs.call(request, "someone")

        assert answer.error == "FORBIDDEN"
        assert answer.message == "You don't have permission to modify this gig"
    assert gigs.etag(gig_id) == '"1-0-1"'


def test_anothers_paused_gig_is_not_found_for_writes_either(gigs: Gigs) -> None:
    gig_id = gigs.create()
    gigs.set_status(gig_id, "PAUSED")

    for request in (an_update(gig_id), gig_pb2.DeleteGigRequest(gig_id=gig_id)):
        assert gigs.call(request, "someone").error == "NOT_FOUND"
    assert not gigs.call(an_update(gig_id)).error


def test_an_update_honours_if_match(gigs: Gigs) -> None:
    gig_id = gigs.create()
    seen = gigs.etag(gig_id)

    assert not gigs.call(an_update(gig_id), if_match=seen).error
    assert gigs.call(an_update(gig_id), if_match=seen).error == "PRECONDITION_FAILED"
    assert not gigs.call(an_update(gig_id), if_match=f'"1-0-1", W/{gigs.etag(gig_id)}').error
    assert not gigs.call(an_update(gig_id), if_match="*").error


def test_a_review_changes_the_tag_and_fails_no_if_match(gigs: Gigs) -> None:
    gig_id = gigs.create()
    seen = gigs.etag(gig_id)

    gigs.rate(gig_id, 5)

    assert gigs.etag(gig_id) != seen
    assert not gigs.call(an_update(gig_id), if_match=seen).error


def test_a_deleted_gig_is_not_found_by_anyone(gigs: Gigs) -> None:
    gig_id = gigs.create()

    assert not gigs.call(gig_pb2.DeleteGigRequest(gig_id=gig_id), if_match=gigs.etag(gig_id)).error

    for caller in ((None,), ("webdev_pro",), ("root", "admin")):
        assert gigs.get(gig_id, *caller).error == "NOT_FOUND"
    assert gigs.call(an_update(gig_id)).error == "NOT_FOUND"
    assert gigs.call(gig_pb2.DeleteGigRequest(gig_id=gig_id)).error == "NOT_FOUND"
    assert gigs.set_status(gig_id, "ACTIVE", "root", "admin").error == "NOT_FOUND"
    assert gigs.found() == []


def test_deleting_honours_if_match(gigs: Gigs) -> None:
    gig_id = gigs.create()

    assert gigs.call(gig_pb2.DeleteGigRequest(gig_id=gig_id), if_match='"9-0-1"').error == "PRECONDITION_FAILED"
    assert not gigs.get(gig_id).error


def test_a_sellers_name_is_that_of_their_latest_write_on_all_their_gigs(gigs: Gigs, gig_database: Database) -> None:
    first, second = gigs.create(), gigs.create()
    seen = gigs.etag(first)

    gigs.store.sellers.remember(OWNER, "webdev_prime")

    assert {gigs.page(gig_id).seller.username for gig_id in (first, second)} == {"webdev_prime"}
    assert gigs.etag(first) != seen
    assert not gigs.call(an_update(first), if_match=seen).error
    assert {gigs.page(gig_id).seller.username for gig_id in (first, second)} == {"webdev_pro"}


def test_a_refused_write_changes_no_name(gigs: Gigs) -> None:
    gig_id = gigs.create()
    gigs.store.sellers.remember(OWNER, "webdev_prime")

    assert gigs.call(an_update(gig_id), if_match='"9-0-1"').error == "PRECONDITION_FAILED"

    assert gigs.page(gig_id).seller.username == "webdev_prime"


def test_a_token_without_a_name_leaves_the_known_one(gigs: Gigs) -> None:
    gig_id = gigs.create()

    gigs.store.sellers.remember(OWNER, "")

    assert gigs.page(gig_id).seller.username == "webdev_pro"
    assert gigs.etag(gig_id) == '"1-0-1"'


def test_the_categories_are_a_tree_of_two_levels_with_parents_first(gigs: Gigs) -> None:
    categories = gigs.call(gig_pb2.ListCategoriesRequest(), None).response.categories

    places = {category.id: place for place, category in enumerate(categories)}
    children = [category for category in categories if category.HasField("parent_id")]
    assert 8 <= len(categories) - len(children) <= 15
    assert 40 <= len(children) <= 60
    assert all(places[child.parent_id] < places[child.id] for child in children)
    assert not {child.parent_id for child in children} & {child.id for child in children}
    assert len({category.slug for category in categories}) == len(categories)
    (web_dev,) = (category for category in categories if category.slug == "web-dev")
    assert web_dev.id == WEB_DEV
    assert web_dev.parent_id
