"""Searches against a model: Python filters and sorts all gigs; each way of reading a page gives the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gig_service.commands.apply_rating import ApplyRating
from gig_service.domain.gig import GigDetails, PackageDetails
from gig_service.domain.rating import GigRating, RatingTotals
from gig_service.domain.search import Category, Filters, Sort
from gig_service.store import search_statements as statements
from gig_service.store.search import UNRANKED, Search
from gig_service.store.store import Store
from servicekit.database import Database
from tests.support.gigs import OWNER, Gigs
from tests.support.identity import user_id
from tests.support.postgres import PostgresServer

GIGS = 60
SELLERS = {"webdev_pro": OWNER, "someone": user_id("someone")}
SLUGS = ("web-dev", "mobile-apps", "logo-design", "programming-tech", "graphics-design")
WORDS = ("logo", "banner", "poster")
TAGS = ("red", "blue")
PRICES = st.sampled_from([Decimal(price) for price in (5, 10, 15, 20, 30)])
# Every way of reading a page: all matches sorted; an index walked to the end or to a bound; the best few ranked.
# The sample says "many" when its bounds are 0.
MANY = {"COLLECTED": -1, "SAMPLED": 0, "SAMPLED_FOR_SURE": 0}


def short_walk(gigs: int) -> dict[str, int]:
    """Return the bounds of a walk to so many gigs."""
    names = ("WALKED", "WALKED_BY_SAMPLE", "WALKED_BY_BITS", "RANKED_OF", "RANKED_OF_BITS")
    return {**MANY, **dict.fromkeys(names, gigs)}


WAYS = {
    "as it comes": {},
    "all are collected": {"COLLECTED": 10_000},
    "an index is walked": {**MANY, "COLLECTED_PACKAGES": -1},
    "a short walk, then all are collected": short_walk(3),
    "a short walk, then the rest of it": {
        **MANY,
        "COLLECTED_PACKAGES": -1,
        "WALKED": 7,
        "WALKED_BY_SAMPLE": 7,
        "RANKED_OF": 9,
    },
    "only a few are ranked": {**MANY, "COLLECTED_PACKAGES": 4, "RANKED": 5},
    "few by the sample, and too many to collect": {"COLLECTED": 4, "COLLECTED_PACKAGES": 4, "RANKED": 5},
}


# What a forged page token may begin with: a rank above all, and a boundary below all gigs.
ABOVE_ALL = (2**31 - 1, Decimal("9.9"), 0, UUID(int=0))
BELOW_ALL = (Decimal(0), 0, UUID(int=0))


@dataclass(frozen=True)
class Stored:
    """A gig as the test has stored it."""

    id: UUID
    place: int
    seller: UUID
    category: Category
    packages: tuple[tuple[Decimal, int], ...]
    words: frozenset[str]
    tags: frozenset[str]
    rating: GigRating

    def price(self, filters: Filters) -> Decimal | None:
        """Return the price of the cheapest package that meets the filters."""
        low, high = filters.min_price or Decimal(0), filters.max_price or Decimal(10**6)
        days = filters.max_delivery_days or 99
        return min((price for price, takes in self.packages if low <= price <= high and takes <= days), default=None)

    def matches(self, filters: Filters, words: frozenset[str]) -> bool:
        """Return whether a search finds the gig."""
        in_category = filters.category is None or filters.category.id in (self.category.id, self.category.parent_id)
        rated = filters.min_rating is None or self.rating.totals.rating >= Decimal(str(filters.min_rating))
        of_seller = filters.seller_id in (None, self.seller)
        has_all = words <= self.words and set(filters.tags) <= self.tags
        return in_category and rated and of_seller and has_all and self.price(filters) is not None


@dataclass(frozen=True)
class Market:
    """A database and the gigs in it."""

    database: Database
    gigs: tuple[Stored, ...]
    categories: dict[str, Category]


@pytest.fixture(scope="module")
def market(postgres: PostgresServer) -> Iterator[Market]:
    database = Database(postgres.fresh("gig"))
    store = Store(database)
    categories = {slug: store.categories.find(slug) for slug in SLUGS}
    random = Random(4)
    for name, seller in SELLERS.items():
        store.sellers.remember(seller, name)
    gigs = tuple(a_gig(store, random, place, list(categories.values())) for place in range(GIGS))
    # Those that an older version has written have no bits of their words.
    database.execute("UPDATE search_rows SET word_bits = NULL WHERE get_byte(uuid_send(gig_id), 15) & 3 = 0")
    database.execute("ANALYZE")
    yield Market(database, gigs, categories)
    database.close()


def a_gig(store: Store, random: Random, place: int, categories: list[Category]) -> Stored:
    seller = random.choice(list(SELLERS.values()))
    category = random.choice(categories)
    packages = tuple(
        (Decimal(random.choice((5, 10, 15, 20, 30))), random.choice((1, 3, 7))) for _ in range(random.randint(1, 4))
    )
    words = frozenset(random.sample(WORDS, random.randint(0, 3)))
    tags = frozenset(random.sample(TAGS, random.randint(0, 2)))
    count, stars = random.choice(((0, 0), (1, 4), (2, 9), (2, 10), (3, 12)))
    details = GigDetails("Gig", " ".join(("x", *words)), category.id, tuple(tags))
    with store.transaction():
        gig_id = store.gigs.create(seller, details, [PackageDetails("P", "", *each, (), 0) for each in packages])
    rating = GigRating(1, RatingTotals(count, stars))
    ApplyRating(store).execute(gig_id, rating)
    return Stored(gig_id, place, seller, category, packages, words, tags, rating)


def model(market: Market, filters: Filters, words: frozenset[str], sort: Sort) -> list[UUID]:
    """Return the ids that a search finds, in its order; by relevance in the order of rating."""

    def key(gig: Stored) -> tuple[object, ...]:
        price = gig.price(filters)
        assert price is not None
        by_rating = (gig.rating.totals.rating, gig.rating.totals.count, gig.id)
        keys = {Sort.NEWEST: (gig.place,), Sort.PRICE: (price, gig.id), Sort.PRICE_DESCENDING: (price, gig.id)}
        return keys.get(sort, by_rating)

    found = [gig for gig in market.gigs if gig.matches(filters, words)]
    return [gig.id for gig in sorted(found, key=key, reverse=sort is not Sort.PRICE)]


def every_page(search: Search, filters: Filters, words: str, sort: Sort, size: int, total: int) -> list[UUID]:
    ids: list[UUID] = []
    after = boundary = None
    while True:
        page = search.page(filters, words, sort, after=after, limit=size, boundary=boundary)
        assert (page.total.count, page.total.is_estimate) == (total, False)
        ids += [UUID(hit.result.id) for hit in page.hits]
        if len(page.hits) < size:
            return ids
        after, boundary = page.hits[-1].sort_key, page.boundary


@pytest.mark.parametrize("way", WAYS)
@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_search_finds_what_a_model_finds(
    market: Market, monkeypatch: pytest.MonkeyPatch, way: str, data: st.DataObject
) -> None:
    set_bounds(monkeypatch, WAYS[way])
    low, high = sorted(data.draw(st.tuples(PRICES, PRICES)))
    slug = data.draw(st.sampled_from((None, *SLUGS)))
    filters = Filters(
        category=market.categories[slug] if slug else None,
        min_price=data.draw(st.sampled_from((None, low))),
        max_price=data.draw(st.sampled_from((None, high))),
        max_delivery_days=data.draw(st.sampled_from((None, 1, 3))),
        tags=data.draw(st.sampled_from(((), (), ("red",), ("red", "blue")))),
        min_rating=data.draw(st.sampled_from((None, 0.0, 4.0, 4.5))),
        seller_id=data.draw(st.sampled_from((None, None, *SELLERS.values()))),
    )
    words = data.draw(st.frozensets(st.sampled_from(WORDS), max_size=2))
    sort = data.draw(st.sampled_from(list(Sort) if words else [sort for sort in Sort if sort is not Sort.RELEVANCE]))
    query = " & ".join(f"'{word}'" for word in words)
    expected = model(market, filters, words, sort)

    size = data.draw(st.sampled_from((3, 7, 100)))
    found = every_page(Search(market.database), filters, query, sort, size, len(expected))

    assert sorted(found) == sorted(expected)
    if sort is not Sort.RELEVANCE:
        assert found == expected


def set_bounds(monkeypatch: pytest.MonkeyPatch, bounds: dict[str, int]) -> None:
    """Set bounds of the statements. They are part of their texts, so no statement is kept from before."""
    for name, value in bounds.items():
        monkeypatch.setattr(statements, name, value)
    built = (statements.walk, statements.rank, statements.collect, statements.total, statements.sample)
    for build in (statements.plain, *built):
        build.cache_clear()


@pytest.fixture(autouse=True)
def _forget_statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield
    monkeypatch.undo()
    set_bounds(monkeypatch, {})


@pytest.mark.parametrize("way", WAYS)
def test_the_price_of_a_result_is_that_of_the_cheapest_package_that_meets_the_filters(
    market: Market, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    set_bounds(monkeypatch, WAYS[way])
    stored = {gig.id: gig for gig in market.gigs}

    for filters in (Filters(), Filters(min_price=Decimal(10)), Filters(max_delivery_days=3, tags=("red",))):
        for sort in Sort:
            words = "'logo'" if sort is Sort.RELEVANCE else ""
            page = Search(market.database).page(filters, words, sort, after=None, limit=100)

            assert page.hits
            for hit in page.hits:
                assert hit.result.starting_price == stored[UUID(hit.result.id)].price(filters)


@pytest.mark.parametrize(
    "bounds",
    [{"COLLECTED": 8}, {**MANY, "RANKED": 8}, {**MANY, "RANKED_OF": 8, "RANKED_OF_BITS": 8}],
    ids=["all are collected", "some are ranked", "some are looked at"],
)
def test_pages_by_relevance_neither_skip_nor_repeat_while_gigs_are_added_up_to_twice_the_bound(
    gig_database: Database, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, int]
) -> None:
    set_bounds(monkeypatch, bounds)
    gigs = Gigs(gig_database)
    before = [gigs.create(title=title, description="logo") for title in ("Logo", "Design") * 4]
    for less_relevant in before[1::2]:
        gigs.rate(less_relevant, 4)
    seen: list[str] = []
    token = ""

    for _ in range(20):
        response = gigs.search(q="logo", page_size=1, page_token=token).response
        seen += [result.id for result in response.results]
        token = response.next_page_token
        if not token:
            break
        if len(seen) < 8:
            gigs.rate(gigs.create(title="A logo, too", description="x"), 5)

    assert len(seen) == len(set(seen))
    assert set(before) <= set(seen)


@pytest.mark.parametrize("bounds", [{"RANKED": 3}, {"RANKED_OF": 3, "RANKED_OF_BITS": 3}], ids=["ranked", "looked at"])
def test_a_forged_boundary_has_no_more_than_twice_the_gigs_ranked(
    market: Market, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, int]
) -> None:
    set_bounds(monkeypatch, {**MANY, **bounds})

    page = Search(market.database).page(
        Filters(), "'logo'", Sort.RELEVANCE, after=ABOVE_ALL, limit=100, boundary=BELOW_ALL
    )

    # The other gigs lie neither among the ranked ones nor below the boundary.
    assert 0 < len(page.hits) <= 6
    assert page.total.count > 6


def test_a_forged_token_without_a_boundary_goes_on_by_rating_when_too_many_gigs_match(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_bounds(monkeypatch, {"COLLECTED": 5})

    page = Search(market.database).page(Filters(), "'logo'", Sort.RELEVANCE, after=ABOVE_ALL, limit=100)

    assert {hit.sort_key[0] for hit in page.hits} == {UNRANKED}
    assert [UUID(hit.result.id) for hit in page.hits] == model(market, Filters(), frozenset(("logo",)), Sort.RELEVANCE)
    assert page.boundary is not None
