"""The quality of searches: a table of queries, each with the gigs that a person expects first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from servicekit.database import Database
from tests.search_quality import noise
from tests.search_quality.table import AROUND, EXPECTED, FIRST, QUERIES, Text
from tests.support.gigs import Gigs
from tests.support.postgres import PostgresServer

# The results that a person looks at.
TOP = 5
# At least so many of 100 queries. Before the analysis moved out of PostgreSQL it was 70 alone, and 58 among thousands.
FOUND = 98


class Market:
    """A database with the gigs of the table."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gigs = Gigs(database)
        self._names = {self._create(text, stars=0): name for name, text in EXPECTED.items()}
        for text in AROUND:
            self._create(text, stars=5)
        database.execute("ANALYZE")

    def _create(self, text: Text, *, stars: int) -> str:
        tags = [tag.strip() for tag in text.tags.split(",") if tag.strip()]
        gig = self._gigs.create(title=text.title, tags=tags, description=text.description)
        rated = stars if text.stars is None else text.stars
        if rated:
            self._gigs.rate(gig, *[rated] * 20)
        return gig

    def add(self, others: list[Text]) -> None:
        """Store other gigs around those of the table."""
        noise.add(self._database, others)

    def miss(self, typed: str, expected: str) -> str:
        """Return what is wrong with the results of a query; empty when they are as expected."""
        answer = self._gigs.search(q=typed)
        assert not answer.error, answer.message
        names = expected.removeprefix(FIRST).split(", ")
        top = len(names) if expected.startswith(FIRST) else TOP
        results = list(answer.response.results)
        found = [self._names.get(result.id) for result in results]
        if set(names) <= set(found[:top]):
            return ""
        places = {name: found.index(name) + 1 if name in found else None for name in names}
        return f"{typed!r}: places {places}, first {[result.title for result in results[:3]]}"


@pytest.fixture(scope="module")
def market(postgres: PostgresServer) -> Iterator[Market]:
    # One statement adds some thirty thousand words; on a busy machine it takes longer than a request may.
    with closing(Database(postgres.fresh("gig"), statement_timeout_ms=0)) as database:
        yield Market(database)


@pytest.fixture(scope="module", params=["alone", "among thousands"])
def surroundings(request: pytest.FixtureRequest, market: Market) -> str:
    """Return what is around the gigs of the table: nothing, and later thousands of other gigs."""
    if request.param == "among thousands":
        market.add(noise.texts())
    return str(request.param)


def test_the_expected_gigs_come_first(market: Market, surroundings: str) -> None:
    queries = [query for some in QUERIES.values() for query in some]
    misses = [miss for typed, expected in queries if (miss := market.miss(typed, expected))]

    print(f"{surroundings}: found {len(queries) - len(misses)} of {len(queries)}", *misses, sep="\n  ")

    assert len(queries) >= 60
    assert len(queries) - len(misses) >= FOUND * len(queries) / 100, "\n".join(misses)
