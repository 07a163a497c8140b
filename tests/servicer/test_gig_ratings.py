"""Ratings from ReviewService, as a gig, its seller and a search show them."""

import random
from uuid import UUID

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.gigs import Gigs


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


def a_rating(gig_id: str, version: int, *stars: int) -> gig_pb2.ApplyRatingRequest:
    return gig_pb2.ApplyRatingRequest(gig_id=gig_id, version=version, review_count=len(stars), rating_sum=sum(stars))


def test_a_gig_shows_what_its_reviews_come_to(gigs: Gigs) -> None:
    gig_id = gigs.create()

    gigs.internal(a_rating(gig_id, 1, 4, 4, 4, 5))

    page = gigs.page(gig_id)
    assert (page.rating, page.review_count) == (4.3, 4)
    (result,) = gigs.search().response.results
    assert (result.rating, result.review_count) == (4.3, 4)


def test_the_same_rating_twice_and_an_older_one_change_nothing(gigs: Gigs) -> None:
    gig_id = gigs.create()

    for request in (
        a_rating(gig_id, 2, 5, 4),
        a_rating(gig_id, 2, 5, 4),
        a_rating(gig_id, 1, 5),
        a_rating(gig_id, 2, 1, 1),
    ):
        assert not gigs.internal(request).error

    assert (gigs.page(gig_id).rating, gigs.page(gig_id).review_count) == (4.5, 2)
    assert gigs.etag(gig_id) == '"1-2-1"'


@pytest.mark.parametrize("seed", range(5))
def test_ratings_in_any_order_and_any_number_of_times_end_with_the_newest(gigs: Gigs, seed: int) -> None:
    chance = random.Random(seed)
    ids = [gigs.create(), gigs.create()]
    stars = {gig_id: [chance.randint(3, 5) for _ in range(6)] for gig_id in ids}
    requests = [a_rating(gig_id, number + 1, *stars[gig_id][: number + 1]) for gig_id in ids for number in range(6)]
    requests += chance.choices(requests, k=6)
    chance.shuffle(requests)

    for request in requests:
        gigs.internal(request)

    for gig_id in ids:
        assert gigs.page(gig_id).review_count == 6
    every = [star for of_gig in stars.values() for star in of_gig]
    assert list(gigs.page(ids[0]).seller.badges) == (["Top Seller"] if sum(every) * 10 >= 48 * 12 else [])
    seller = gigs.store.gigs.page(UUID(ids[0])).seller
    assert (seller.totals.count, seller.totals.total) == (12, sum(every))


def test_badges_are_over_all_gigs_of_the_seller_deleted_ones_included(gigs: Gigs) -> None:
    kept, gone = gigs.create(), gigs.create()
    gigs.rate(gone, 5, 5)
    gigs.call(gig_pb2.DeleteGigRequest(gig_id=gone))
    gigs.rate(kept, 5)
    assert list(gigs.page(kept).seller.badges) == ["Rising Talent"]

    assert not gigs.internal(a_rating(gone, 9, *[5] * 9)).error

    assert list(gigs.page(kept).seller.badges) == ["Top Seller"]
    assert gigs.found() == [kept]


def test_other_badges_change_the_tags_of_all_gigs_of_the_seller_and_other_sums_do_not(gigs: Gigs) -> None:
    rated, other, strangers = gigs.create(), gigs.create(), gigs.create("someone")
    tags = {gig_id: gigs.etag(gig_id) for gig_id in (other, strangers)}

    gigs.rate(rated, 5, 5)
    assert gigs.etag(other) == tags[other]
    gigs.rate(rated, 5, 5, 5)

    assert gigs.etag(other) != tags[other]
    assert gigs.etag(strangers) == tags[strangers]


def test_a_rating_of_a_gig_that_never_was_is_not_found(gigs: Gigs) -> None:
    assert gigs.internal(a_rating(str(new_id()), 1, 5)).message == "Gig not found"


def test_the_order_of_rating_follows_reviews(gigs: Gigs) -> None:
    first, second = gigs.create(), gigs.create()
    gigs.rate(first, 4)
    gigs.rate(second, 5)
    assert gigs.found() == [second, first]

    gigs.rate(second, 5, 1)

    assert gigs.found() == [first, second]
