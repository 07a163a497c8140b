"""`make repair-ratings`, and the same average everywhere: the real ReviewService and GigService over real gRPC."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from io import StringIO
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from marketplace.gig.v1 import gig_pb2
from review_service import repair_ratings
from review_service.domain.rating_differences import GigServiceRating
from review_service.gigs import Gigs as GigClient
from review_service.repair_ratings import Findings, RatingRepair
from servicekit.database import Database, Statement
from servicekit.errors import MarketplaceError
from servicekit.outbox.relay import PARK_AFTER
from servicekit.progress import ShownProgress
from tests.support.at_once import closing
from tests.support.eventually import eventually
from tests.support.gigs import Gigs
from tests.support.reviewservice import World
from tests.support.standins import OrderStandIn, service_tokens, serving

WAITING = Statement("SELECT count(*) AS count FROM outbox WHERE parked_at IS NULL")


class Marketplace:
    """GigService and ReviewService; orders are the test's."""

    def __init__(self, gigs: Gigs, world: World, gig_address: str, review_database: Database) -> None:
        self.gigs = gigs
        self.world = world
        self.reviews = review_database
        self.address = gig_address
        self.client = GigClient(gig_address, service_tokens("review"))

    def gig(self, *stars: int) -> str:
        """Create a gig with reviews of as many buyers. Return its id."""
        gig_id = self.gigs.create()
        for rating in stars:
            self.review(gig_id, rating)
        return gig_id

    def review(self, gig_id: str, stars: int) -> float:
        """Submit a review of a new order. Return the new average."""
        answer = self.world.submit(self.world.order(gig_id=UUID(gig_id)), rating=stars)
        assert not answer.error, answer.message
        return float(answer.response.new_average_rating)

    def deliver(self) -> None:
        """Wait until the outbox is empty, but for parked rows."""
        eventually(lambda: self.reviews.fetch_one(WAITING) == {"count": 0}, every=0.01)

    def repair(self, *, dry_run: bool = False) -> Findings:
        return RatingRepair(self.world.store, self.client, only_reports=dry_run).execute()

    def shown(self, gig_id: str) -> tuple[float, int]:
        """Return the rating and the number of reviews on the gig's page, which are those of searches."""
        page = self.gigs.page(gig_id)
        (result,) = [each for each in self.gigs.search().response.results if each.id == gig_id]
        assert (result.rating, result.review_count) == (page.rating, page.review_count)
        return page.rating, page.review_count


@pytest.fixture
def market(review_database: Database, gig_database: Database) -> Iterator[Marketplace]:
    """Run both services; what reviews report is delivered."""
    gigs = Gigs(gig_database)
    with ExitStack() as stack:
        orders = OrderStandIn()
        gig_address = stack.enter_context(serving(gigs.servicer))
        world = World(review_database, gig_address, stack.enter_context(serving(orders)))
        world.orders = orders
        world.relay.start()
        stack.callback(world.relay.stop)
        yield Marketplace(gigs, world, gig_address, review_database)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 5), min_size=1, max_size=12))
@example([5, 4, 4, 4])
@example([5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 4])
@example([1, 1, 1, 2])
def test_one_exact_average_is_shown_everywhere(market: Marketplace, stars: list[int]) -> None:
    exact = Fraction(sum(stars), len(stars)) * 10
    # Half up, in whole numbers.
    expected = int(exact + Fraction(1, 2)) / 10
    gig_id = market.gig(*stars[:-1])

    answered = market.review(gig_id, stars[-1])

    market.deliver()
    listed = market.world.page(gig_id=gig_id, rating=1).response
    assert (answered, listed.average_rating, market.shown(gig_id)) == (expected, expected, (expected, len(stars)))
    for bound, is_found in ((expected, True), (expected + 0.1, False)):
        found = [each.id for each in market.gigs.search(min_rating=round(min(bound, 5), 1)).response.results]
        assert (gig_id in found) is (is_found or expected == 5)


def test_without_a_fault_there_are_no_differences(market: Marketplace) -> None:
    market.gig(5, 4)
    market.gig()
    deleted = market.gig(3)
    market.gigs.call(gig_pb2.DeleteGigRequest(gig_id=deleted))
    market.deliver()

    findings = market.repair()

    assert findings == Findings(gigs=2, reviews=3)
    assert repair_ratings.text(findings).endswith("\nno differences")


FAULTS = {
    "a review is counted twice": ("review", "UPDATE gig_ratings SET stars_5 = stars_5 + 1, version = version + 1"),
    "a review is not counted": ("review", "UPDATE gig_ratings SET stars_5 = stars_5 - 1"),
    "the counts are lost": ("review", "DELETE FROM gig_ratings"),
    "GigService has lost the rating": (
        "gig",
        "UPDATE gigs SET rating = 0, rating_version = 0, review_count = 0, rating_sum = 0",
    ),
    "GigService has an older rating": ("gig", "UPDATE gigs SET rating_version = 1, review_count = 1, rating_sum = 5"),
    "GigService has other sums": ("gig", "UPDATE gigs SET rating_sum = rating_sum - 1"),
    "GigService has a newer version": ("gig", "UPDATE gigs SET rating_version = 1000, rating_sum = 3"),
    "the page shows another rating": ("gig", "UPDATE gigs SET rating = 1.0"),
    "searches show another rating": ("gig", "UPDATE search_rows SET rating = 1.0"),
    "searches show another number": ("gig", "UPDATE search_rows SET review_count = 7"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_reported_and_repaired(
    market: Marketplace, review_database: Database, gig_database: Database, fault: str
) -> None:
    gig_id = market.gig(5, 4)
    market.deliver()
    service, statement = FAULTS[fault]
    (review_database if service == "review" else gig_database).execute(statement)

    reported = market.repair(dry_run=True)
    again = market.repair(dry_run=True)
    repaired = market.repair()
    market.deliver()

    assert reported == again
    assert len(reported.differences) >= 1
    assert all(text.startswith(f"gig {gig_id}: ") for text in reported.differences)
    assert (reported.repaired, repaired.repaired, repaired.differences) == (0, 1, reported.differences)
    assert market.repair() == Findings(gigs=1, reviews=2)
    assert market.shown(gig_id) == (4.5, 2)
    assert market.world.page(gig_id=gig_id).response.histogram == {1: 0, 2: 0, 3: 0, 4: 1, 5: 1}
    # The next review goes on from there.
    assert market.review(gig_id, 3) == 4
    market.deliver()
    assert market.shown(gig_id) == (4, 3)


def test_a_rating_without_any_review_is_taken_back(market: Marketplace, review_database: Database) -> None:
    gig_id, other = market.gig(5, 4), market.gig(5)
    market.deliver()
    review_database.execute("DELETE FROM gig_ratings WHERE gig_id = %s", (gig_id,))
    review_database.execute("DELETE FROM reviews WHERE gig_id = %s", (gig_id,))

    findings = market.repair()
    market.deliver()

    (found,) = findings.differences
    assert found.startswith(f"gig {gig_id}: GigService has 2 reviews with 9 stars (version 2), ReviewService 0 reviews")
    assert (market.shown(gig_id), market.shown(other)) == ((0, 0), (5, 1))
    assert market.repair().differences == []


def test_a_review_that_gig_service_has_lost_counts_again_for_badges(
    market: Marketplace, gig_database: Database
) -> None:
    gig_id = market.gig()
    for buyer in ("ann", "bob", "eve"):
        market.world.submit_as(buyer, gig_id)
    market.deliver()
    assert list(market.gigs.page(gig_id).seller.badges) == ["Rising Talent"]
    gig_database.execute("DELETE FROM seller_reviews; UPDATE sellers SET buyer_count = 0, buyer_rating_sum = 0")

    findings = market.repair()
    market.deliver()

    assert len(findings.differences) == findings.repaired == 3
    assert all("does not count it for the badges" in text for text in findings.differences)
    assert list(market.gigs.page(gig_id).seller.badges) == ["Rising Talent"]
    assert market.repair().differences == []


def test_of_a_buyers_reviews_only_the_newest_must_count(market: Marketplace) -> None:
    gig_id, other = market.gig(5, 1), market.gig(3)
    market.review(gig_id, 4)
    market.review(other, 2)
    market.deliver()

    assert market.repair() == Findings(gigs=2, reviews=5)


def test_what_waits_in_the_outbox_is_no_difference_and_what_is_parked_is(
    market: Marketplace, review_database: Database
) -> None:
    market.world.relay.stop()
    gig_id = market.gig(5)

    assert market.repair() == Findings(gigs=1, reviews=1, pending=2)

    review_database.execute(
        "UPDATE outbox SET parked_at = app_now(), next_attempt_at = 'infinity', refusals = %s", (PARK_AFTER,)
    )
    reported = market.repair(dry_run=True)
    assert len(reported.differences) == 2
    assert all(text.endswith("is parked") for text in reported.differences)

    assert market.repair().repaired == 2
    assert market.repair() == Findings(gigs=1, reviews=1, pending=2)
    market.world.twin().relay.start()
    market.deliver()
    assert market.repair() == Findings(gigs=1, reviews=1)
    assert market.shown(gig_id) == (5, 1)


def test_gigs_and_reviews_beyond_a_batch_are_compared_too(
    market: Marketplace, gig_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("GIGS", 2), ("REVIEWS", 3)):
        monkeypatch.setattr(repair_ratings, name, size)
    ids = [market.gig(5, 3) for _ in range(5)]
    market.deliver()
    assert market.repair() == Findings(gigs=5, reviews=10)
    gig_database.execute("UPDATE gigs SET rating_sum = 9")

    found = [text.split()[1][:-1] for text in market.repair(dry_run=True).differences]
    assert list(dict.fromkeys(found)) == ids


@pytest.mark.parametrize("faulty", [False, True])
def test_under_load_nothing_is_found_but_faults_and_no_review_is_lost(
    market: Marketplace, gig_database: Database, review_database: Database, faulty: bool
) -> None:
    ids = [market.gig(5) for _ in range(4)]
    market.deliver()
    worlds = [market.world.twin() for _ in ids]
    for world in worlds:
        world.orders = market.world.orders
    over = threading.Event()
    sent = dict.fromkeys(ids, 1)

    def load(world: World, gig_id: str) -> None:
        while not over.is_set() and sent[gig_id] < 300:
            answer = world.submit(world.order(gig_id=UUID(gig_id)), rating=4)
            assert not answer.error, answer.message
            sent[gig_id] += 1

    with ThreadPoolExecutor(4) as pool:
        loaders = [
            pool.submit(closing(review_database, partial(load, world, gig_id)))
            for world, gig_id in zip(worlds, ids, strict=True)
        ]
        found: list[Findings] = []
        try:
            # Until reviews have come while ratings were compared.
            while len(found) < 15 or not any(each.pending for each in found):
                if faulty and len(found) % 3 == 0:
                    # While counts and reviews are compared and counted anew, further reviews come.
                    review_database.execute("UPDATE gig_ratings SET stars_1 = stars_1 + 1")
                found.append(market.repair())
        finally:
            over.set()
        for loader in loaders:
            loader.result(30)

    market.deliver()
    if faulty:
        assert all(each.repaired == 4 for each in found[::3]), found
        found = [each for number, each in enumerate(found) if number % 3]
    assert [each.differences for each in found] == [[]] * len(found)
    assert market.repair() == Findings(gigs=4, reviews=sum(sent.values()))
    for gig_id in ids:
        assert market.shown(gig_id)[1] == sent[gig_id]


@pytest.mark.parametrize("is_delivered", [True, False])
@pytest.mark.parametrize("is_first", [True, False], ids=["before GigService's rating is read", "afterwards"])
def test_a_review_that_comes_during_the_comparison_is_no_difference(
    market: Marketplace, *, is_first: bool, is_delivered: bool
) -> None:
    gig_id = market.gig(5)
    unrated = market.gig()
    market.deliver()
    if not is_delivered:
        market.world.relay.stop()
    looks: list[GigServiceRating] = []

    class Interrupted(GigClient):
        def ratings(self, after: UUID, until: UUID) -> Iterator[GigServiceRating]:
            if not is_first:
                looks.extend(super().ratings(after, until))
            for each in (gig_id, unrated):
                market.review(each, 4)
            if is_delivered:
                market.deliver()
            if is_first:
                looks.extend(super().ratings(after, until))
            return iter(looks)

    client = Interrupted(market.address, service_tokens("review"))
    findings = RatingRepair(market.world.store, client, only_reports=True).execute()

    assert findings.differences == []
    seen = {rating.gig_id: rating.version for rating in looks}
    newest = {UUID(gig_id): 2, UUID(unrated): 1}
    assert seen == (newest if is_first and is_delivered else {UUID(gig_id): 1})


def test_without_gig_service_the_comparison_is_impossible(review_database: Database) -> None:
    with serving(OrderStandIn()) as address:
        world = World(review_database, address, address)

    with pytest.raises(MarketplaceError, match="unavailable"):
        RatingRepair(world.store, GigClient(address, service_tokens("review")), only_reports=True).execute()


def test_progress_is_shown(market: Marketplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servicekit.progress.LOG_SECONDS", 0)
    market.gig(5, 4)
    market.deliver()
    stream = StringIO()

    RatingRepair(market.world.store, market.client, only_reports=True, progress=ShownProgress(stream)).execute()

    assert "1 of 1 gigs" in stream.getvalue()
    assert "2 of 2 reviews" in stream.getvalue()
