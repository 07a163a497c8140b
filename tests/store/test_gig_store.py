"""Gigs in a real PostgreSQL: concurrent writes, the number of statements of a read, large totals."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest

from gig_service.commands.add_package import AddPackage
from gig_service.commands.apply_rating import ApplyRating
from gig_service.commands.apply_review import ApplyReview
from gig_service.commands.delete_package import DeletePackage
from gig_service.commands.update_gig import UpdateGig
from gig_service.domain.gig import GigDetails, PackageDetails, Status
from gig_service.domain.rating import BuyerReview, GigRating, RatingTotals
from gig_service.domain.search import EXACT_TOTAL, Filters, Sort
from gig_service.store import search_statements
from gig_service.store.search_statements import Query, Shape
from gig_service.store.store import Store
from servicekit.database import Database, Statement
from servicekit.errors import NotFound
from servicekit.ids import new_id
from tests.support.at_once import at_once
from tests.support.gigs import OWNER, WEB_DEV
from tests.support.identity import a_caller

SELLER = a_caller("webdev_pro", "seller")
DETAILS = GigDetails("Logo design", "A logo", UUID(WEB_DEV), ("logo",))


@pytest.fixture
def store(gig_database: Database) -> Store:
    return Store(gig_database)


def a_package() -> PackageDetails:
    return PackageDetails("Basic", "", Decimal(500), 14, (), 0)


def a_stored_gig(store: Store, packages: int = 1, *, details: GigDetails = DETAILS) -> UUID:
    with store.transaction():
        store.sellers.remember(OWNER, "webdev_pro")
        return store.gigs.create(OWNER, details, [a_package() for _ in range(packages)])


def updating(store: Store, gig_id: UUID, if_match: str | None = None) -> Callable[[], object]:
    return partial(UpdateGig(store).execute, gig_id, DETAILS, SELLER, if_match)


def test_of_two_updates_with_the_same_if_match_at_once_exactly_one_wins(store: Store, gig_database: Database) -> None:
    for _ in range(5):
        gig_id = a_stored_gig(store)

        outcome = at_once([updating(store, gig_id, '"1-0-1"')] * 2, gig_database)

        assert sorted(outcome) == ["PRECONDITION_FAILED", "won"]
        assert store.gigs.page(gig_id).gig.version == 2


def test_no_update_at_the_same_moment_is_lost(store: Store, gig_database: Database) -> None:
    gig_id = a_stored_gig(store)

    assert at_once([updating(store, gig_id)] * 8, gig_database) == ["won"] * 8

    assert store.gigs.page(gig_id).gig.version == 9


def test_packages_added_at_once_stop_at_the_limit(store: Store, gig_database: Database) -> None:
    gig_id = a_stored_gig(store, packages=7)

    outcome = at_once([partial(AddPackage(store).execute, gig_id, a_package(), SELLER, None)] * 6, gig_database)

    assert sorted(outcome) == ["LIMIT_REACHED"] * 3 + ["won"] * 3
    assert len(store.gigs.page(gig_id).packages) == 10


def test_of_the_last_two_packages_one_stays_when_both_go_at_once(store: Store, gig_database: Database) -> None:
    gig_id = a_stored_gig(store, packages=2)

    delete = DeletePackage(store)
    package_ids = store.gigs.get(gig_id).package_ids

    outcome = at_once([partial(delete.execute, gig_id, id_, SELLER, None) for id_ in package_ids], gig_database)

    assert sorted(outcome) == ["CONFLICT", "won"]
    assert len(store.gigs.page(gig_id).packages) == 1


def test_ratings_applied_at_once_in_any_order_end_with_the_newest(store: Store, gig_database: Database) -> None:
    ids = [a_stored_gig(store) for _ in range(3)]
    ratings = [GigRating(version, RatingTotals(version, 5 * version)) for version in range(1, 6)]
    apply = ApplyRating(store)

    outcome = at_once(
        [partial(apply.execute, gig_id, rating) for gig_id in ids for rating in ratings * 2], gig_database
    )

    assert outcome == ["won"] * len(outcome)
    for gig_id in ids:
        page = store.gigs.page(gig_id)
        assert (page.rating_version, page.review_count) == (5, 5)


def test_reviews_applied_at_once_in_any_order_end_with_exact_totals(store: Store, gig_database: Database) -> None:
    ids = [a_stored_gig(store) for _ in range(3)]
    buyers = [new_id() for _ in range(4)]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    reviews = [
        (gig_id, BuyerReview(new_id(), buyer, at + timedelta(seconds=number), stars=5 - number))
        for number, gig_id in enumerate(ids)
        for buyer in buyers
    ]
    apply = ApplyReview(store)

    outcome = at_once([partial(apply.execute, *review) for review in reviews * 2], gig_database)

    assert outcome == ["won"] * len(outcome)
    assert store.gigs.page(ids[0]).seller.totals == RatingTotals(4, 4 * 3)


def test_gigs_ratings_edits_and_new_words_at_once_do_not_block_each_other(store: Store, gig_database: Database) -> None:
    gig_id = a_stored_gig(store)

    def make(number: int) -> None:
        words = [f"word{place}" for place in range(40)]
        a_stored_gig(
            store, details=GigDetails("New", " ".join(words if number % 2 else words[::-1]), UUID(WEB_DEV), ())
        )

    works: list[Callable[[], object]] = [partial(make, number) for number in range(6)]
    works += [partial(ApplyRating(store).execute, gig_id, GigRating(n, RatingTotals(1, 5))) for n in (1, 2)]
    works += [updating(store, gig_id)] * 4

    assert at_once(works, gig_database) == ["won"] * len(works)


def test_what_is_raised_in_a_transaction_leaves_nothing_behind(store: Store) -> None:
    gig_id = a_stored_gig(store)

    with pytest.raises(NotFound), store.transaction():
        store.gigs.replace_details(gig_id, GigDetails("Other", "x", UUID(WEB_DEV), ()))
        store.packages.insert(gig_id, [a_package()])
        raise NotFound("Gig")

    page = store.gigs.page(gig_id)
    assert (page.details, page.gig.version, len(page.packages)) == (DETAILS, 1, 1)


def test_a_page_and_a_search_take_one_statement_whatever_hangs_on_the_gigs(
    store: Store, gig_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gig_id = a_stored_gig(store, packages=10)
    for _ in range(5):
        a_stored_gig(store, packages=10)
    statements: list[str] = []
    fetch_prepared, execute = gig_database._fetch, gig_database.peewee.execute_sql

    def fetch(statement: Statement, params: tuple[object, ...]) -> object:
        statements.append("prepared")
        return fetch_prepared(statement, params)

    def run(sql: str, params: object = None) -> object:
        statements.append("planned")
        return execute(sql, params)

    monkeypatch.setattr(gig_database, "_fetch", fetch)
    monkeypatch.setattr(gig_database.peewee, "execute_sql", run)

    page = store.gigs.page(gig_id)
    found = store.search.page(Filters(), "", Sort.RATING, after=None, limit=20)

    assert (len(page.packages), len(found.hits), found.total.count) == (10, 6, 6)
    assert statements == ["prepared", "prepared"]


def many(database: Database, number: int) -> None:
    """Insert this number of gigs with two packages each, straight into the tables."""
    database.execute(
        """
        INSERT INTO gigs (id, seller_id, title, description, category_id, tags, status, created_at, updated_at, rating,
            document)
        SELECT gen_random_uuid(), %s, 'Logo ' || n, 'x', %s, '{}', 'ACTIVE', app_now(), app_now(), n %% 50 / 10.0,
            '''logo'':1A'
        FROM generate_series(1, %s) AS n
        """,
        (OWNER, UUID(WEB_DEV), number),
    )
    database.execute(
        """
        INSERT INTO packages (id, gig_id, position, title, description, price, delivery_days, features, revisions)
        SELECT gen_random_uuid(), g.id, p, 'Basic', '', 10 * p, 5, '{}', 0 FROM gigs AS g, generate_series(1, 2) AS p
        """
    )
    database.execute(
        """
        INSERT INTO search_rows (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days,
            rating, review_count, created_at, is_cheapest)
        SELECT p.id, g.id, g.seller_id, g.status, g.category_id, c.parent_id, p.price, p.delivery_days, g.rating, 0,
            g.created_at, p.position = 1
        FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id
        """
    )
    database.execute("ANALYZE")


@pytest.mark.parametrize("words", ["", "'logo'"])
def test_a_total_is_exact_up_to_a_thousand_and_an_estimate_beyond(
    store: Store, gig_database: Database, words: str
) -> None:
    store.sellers.remember(OWNER, "webdev_pro")
    many(gig_database, EXACT_TOTAL)
    sort = Sort.RELEVANCE if words else Sort.RATING
    exact = store.search.page(Filters(), words, sort, after=None, limit=20).total
    assert (exact.count, exact.is_estimate) == (EXACT_TOTAL, False)

    a_stored_gig(store)

    more = store.search.page(Filters(), words, sort, after=None, limit=20).total
    assert more.is_estimate
    assert EXACT_TOTAL < more.count <= 3 * EXACT_TOTAL


def test_a_frequent_word_is_known_by_a_sample_and_its_gigs_are_not_counted(
    store: Store, gig_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.sellers.remember(OWNER, "webdev_pro")
    many(gig_database, 8 * EXACT_TOTAL)
    sampled: list[Shape] = []
    for name in ("total", "collect"):
        monkeypatch.setattr(search_statements, name, lambda *_, name=name, **__: pytest.fail(f"{name} was run"))
    sample = search_statements.sample

    def counted(shape: Shape) -> Query:
        sampled.append(shape)
        return sample(shape)

    monkeypatch.setattr(search_statements, "sample", counted)

    pages = [
        store.search.page(filters, "'logo'", sort, after=None, limit=20)
        for filters in (Filters(), Filters(max_price=Decimal(15)))
        for sort in (Sort.RELEVANCE, Sort.NEWEST)
    ]

    assert len(sampled) == 2
    for page in pages:
        assert len(page.hits) == 20
        assert page.total.is_estimate
        assert 2 * EXACT_TOTAL < page.total.count <= 8 * EXACT_TOTAL


def test_ids_are_of_version_seven_and_amounts_exact(store: Store) -> None:
    gig_id = a_stored_gig(store)

    (package,) = store.gigs.page(gig_id).packages

    assert (gig_id.version, package.id.version) == (7, 7)
    assert str(package.details.price) == "500.00"


def test_the_rules_view_of_a_gig_is_that_of_its_page(store: Store) -> None:
    gig_id = a_stored_gig(store, packages=2)

    gig = store.gigs.get(gig_id)

    assert (gig.id, gig.seller_id, gig.status, gig.version) == (gig_id, OWNER, Status.ACTIVE, 1)
    assert gig.package_ids == tuple(package.id for package in store.gigs.page(gig_id).packages)
    for read in (store.gigs.get, store.gigs.lock, store.gigs.page):
        with pytest.raises(NotFound):
            read(new_id())
