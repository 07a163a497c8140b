"""Ratings from ReviewService, as a gig, its seller and a search show them."""

import random
from uuid import UUID

import pytest

from gig_service.domain.rating import RatingTotals
from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.gigs import Gigs
from tests.support.identity import user_id


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


def test_badges_are_over_all_gigs_of_the_seller_deleted_ones_included(gigs: Gigs) -> None:
    kept, gone = gigs.create(), gigs.create()
    for buyer in ("ann", "bob"):
        gigs.review(gone, buyer, 5)
    gigs.call(gig_pb2.DeleteGigRequest(gig_id=gone))
    gigs.review(kept, "eve", 5)
    assert list(gigs.page(kept).seller.badges) == ["Rising Talent"]

    for number in range(7):
        gigs.review(gone, f"buyer {number}", 5)

    assert list(gigs.page(kept).seller.badges) == ["Top Seller"]
    assert gigs.found() == [kept]


def test_badges_count_each_buyer_once(gigs: Gigs) -> None:
    first, second = gigs.create(), gigs.create()
    gigs.rate(first, *[5] * 10)

    for number in range(10):
        gigs.review((first, second)[number % 2], "ann", 5)
    assert list(gigs.page(first).seller.badges) == []
    for buyer in ("bob", "eve"):
        gigs.review(first, buyer, 5)
    assert list(gigs.page(first).seller.badges) == ["Rising Talent"]
    for number in range(7):
        gigs.review(second, f"buyer {number}", 5)

    assert list(gigs.page(first).seller.badges) == ["Top Seller"]


def test_of_each_buyer_the_newest_review_counts(gigs: Gigs) -> None:
    gig_id, other = gigs.create(), gigs.create()
    for buyer in ("ann", "bob", "eve"):
        gigs.review(gig_id, buyer, 5)
    assert list(gigs.page(gig_id).seller.badges) == ["Rising Talent"]

    gigs.review(other, "ann", 1)
    assert list(gigs.page(gig_id).seller.badges) == []
    gigs.review(gig_id, "ann", 5)

    assert list(gigs.page(gig_id).seller.badges) == ["Rising Talent"]


@pytest.mark.parametrize("seed", range(5))
def test_reviews_in_any_order_and_any_number_of_times_end_with_the_newest_of_each_buyer(gigs: Gigs, seed: int) -> None:
    chance = random.Random(seed)
    ids = [gigs.create(), gigs.create()]
    buyers = [user_id(f"buyer {number}") for number in range(6)]
    requests = []
    for number in range(30):
        request = gig_pb2.ApplyReviewRequest(
            gig_id=chance.choice(ids), buyer_id=str(chance.choice(buyers)), review_id=str(new_id())
        )
        request.created_at.seconds = 1_700_000_000 + number // 3  # several at one time
        request.rating = chance.randint(1, 5)
        requests.append(request)
    newest = {request.buyer_id: request.rating for request in requests}
    sent = requests + chance.choices(requests, k=20)
    chance.shuffle(sent)

    for request in sent:
        assert not gigs.internal(request).error

    totals = gigs.store.gigs.page(UUID(ids[0])).seller.totals
    assert totals == RatingTotals(len(newest), sum(newest.values()))


def test_other_badges_change_the_tags_of_all_gigs_of_the_seller_and_other_sums_do_not(gigs: Gigs) -> None:
    rated, other, strangers = gigs.create(), gigs.create(), gigs.create("someone")
    tags = {gig_id: gigs.etag(gig_id) for gig_id in (other, strangers)}

    for buyer in ("ann", "bob"):
        gigs.review(rated, buyer, 5)
    assert gigs.etag(other) == tags[other]
    gigs.review(rated, "eve", 5)

    assert gigs.etag(other) != tags[other]
    assert gigs.etag(strangers) == tags[strangers]


def test_a_review_of_a_gig_that_never_was_is_not_found(gigs: Gigs) -> None:
    request = gig_pb2.ApplyReviewRequest(
        gig_id=str(new_id()), buyer_id=str(new_id()), review_id=str(new_id()), rating=5
    )
    request.created_at.GetCurrentTime()

    assert gigs.internal(request).message == "Gig not found"


def test_a_rating_of_a_gig_that_never_was_is_not_found(gigs: Gigs) -> None:
    assert gigs.internal(a_rating(str(new_id()), 1, 5)).message == "Gig not found"


def test_the_order_of_rating_follows_reviews(gigs: Gigs) -> None:
    first, second = gigs.create(), gigs.create()
    gigs.rate(first, 4)
    gigs.rate(second, 5)
    assert gigs.found() == [second, first]

    gigs.rate(second, 5, 1)

    assert gigs.found() == [first, second]


NIL, MAX = str(UUID(int=0)), str(UUID(int=2**128 - 1))


def listed(gigs: Gigs, after: str = NIL, until: str = MAX) -> gig_pb2.ListRatingsResponse:
    answer = gigs.internal(gig_pb2.ListRatingsRequest(after_gig_id=after, until_gig_id=until))
    assert not answer.error, answer.message
    response: gig_pb2.ListRatingsResponse = answer.response
    return response


def test_ratings_are_listed_as_they_are_stored_deleted_gigs_included_and_unrated_ones_not(gigs: Gigs) -> None:
    kept, gone, _ = gigs.create(), gigs.create(), gigs.create()
    gigs.internal(a_rating(kept, 4, 5, 4))
    gigs.internal(a_rating(gone, 9, 1))
    gigs.call(gig_pb2.DeleteGigRequest(gig_id=gone))

    response = listed(gigs)

    assert [
        (each.gig_id, each.version, each.review_count, each.rating_sum, each.is_shown) for each in response.ratings
    ] == [(kept, 4, 2, 9, True), (gone, 9, 1, 1, True)]
    assert not response.HasField("reached_gig_id")


@pytest.mark.parametrize(
    "fault",
    [
        "UPDATE gigs SET rating = 4.4",
        "UPDATE search_rows SET rating = 4.4",
        "UPDATE search_rows SET review_count = 1",
        "UPDATE gigs SET rating_sum = 10",
    ],
)
def test_a_rating_that_is_not_shown_is_listed_so(gigs: Gigs, gig_database: Database, fault: str) -> None:
    gig_id = gigs.create()
    gigs.rate(gig_id, 5, 4)
    gig_database.execute(fault)

    (rating,) = listed(gigs).ratings

    assert not rating.is_shown


def test_a_list_of_ratings_goes_on_where_the_last_one_ended(gigs: Gigs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gig_service.store.ratings.PAGE_SIZE", 2)
    ids = [gigs.create() for _ in range(6)]
    for gig_id in ids:
        # The second page has no rating at all, and goes on.
        if gig_id not in ids[2:4]:
            gigs.rate(gig_id, 5)
    seen: list[list[str]] = []

    after = ids[0]
    while after:
        response = listed(gigs, after, ids[5])
        seen.append([each.gig_id for each in response.ratings])
        after = response.reached_gig_id

    assert seen == [[ids[1]], [ids[4]], [ids[5]]]


def test_reviews_that_neither_count_nor_are_replaced_are_missing(gigs: Gigs) -> None:
    gig_id, other, strangers = gigs.create(), gigs.create(), gigs.create("someone")

    def a_review(gig: str, buyer: str, second: int) -> gig_pb2.ApplyReviewRequest:
        request = gig_pb2.ApplyReviewRequest(
            gig_id=gig, buyer_id=str(user_id(buyer)), review_id=str(new_id()), rating=5
        )
        request.created_at.seconds = 1_700_000_000 + second
        return request

    counted = [a_review(gig_id, "ann", 5), a_review(strangers, "ann", 1)]
    replaced = [a_review(gig_id, "ann", 4), a_review(other, "ann", 3)]
    missing = [
        a_review(other, "ann", 6),
        a_review(gig_id, "bob", 1),
        a_review(strangers, "bob", 1),
        a_review(str(new_id()), "ann", 1),
    ]
    for review in counted:
        gigs.internal(review)

    answer = gigs.internal(gig_pb2.FindMissingReviewsRequest(reviews=[*missing, *counted, *replaced]))

    assert list(answer.response.review_ids) == [review.review_id for review in missing]


def test_at_most_five_hundred_reviews_are_looked_for_at_once(gigs: Gigs) -> None:
    review = gig_pb2.ApplyReviewRequest(gig_id=str(new_id()), buyer_id=str(new_id()), review_id=str(new_id()), rating=5)
    review.created_at.GetCurrentTime()

    assert not gigs.internal(gig_pb2.FindMissingReviewsRequest(reviews=[review] * 500)).error
    for number in (0, 501):
        assert gigs.internal(gig_pb2.FindMissingReviewsRequest(reviews=[review] * number)).error == "INVALID_ARGUMENT"


@pytest.mark.parametrize("name", ["webdev_pro", "root"])
def test_the_comparison_is_for_services_alone(gigs: Gigs, name: str) -> None:
    requests = (gig_pb2.ListRatingsRequest(after_gig_id=NIL, until_gig_id=MAX), gig_pb2.FindMissingReviewsRequest())
    for request in requests:
        assert gigs.call(request, name, "seller", "admin").error == "FORBIDDEN"
