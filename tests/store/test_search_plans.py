"""The plans of searches among 20,000 gigs: none of them reads a whole table.

Sequential scans are not forbidden to the planner: among so many gigs it takes an index because that is cheaper. Where a
statement is planned with its values, they are such as few gigs meet, since for a word of every second gig reading the
table is right; Search walks an index then. Prepared statements have the plan that fits no value in particular.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from benchmarks.search_data import load
from gig_service.domain.search import Sort
from gig_service.store import search_statements as statements
from gig_service.store.search_statements import Query, Shape
from servicekit.database import Database
from tests.support.postgres import PostgresServer

GIGS = 20_000
BIG = ("gigs", "search_rows", "packages", "sellers")
FLAGS = ("of_seller", "has_rating", "has_packages", "has_tags", "has_words")
KEY = {
    "rank": 300,
    "rating": Decimal("4.5"),
    "review_count": 3,
    "created_at": datetime(2025, 1, 3, tzinfo=UTC),
    "price": Decimal(100),
}


@pytest.fixture(scope="module")
def filled(postgres: PostgresServer) -> Iterator[tuple[Database, dict[str, Any]]]:
    """Return a database with gigs, and the values of all parameters: those of a gig whose words are rare."""
    database = Database(postgres.fresh("gig"), statement_timeout_ms=0)
    load(database, GIGS)
    category, seller, gig_id = database.peewee.execute_sql("""
        SELECT category_id, (array_agg(seller_id))[1], (array_agg(id))[1] FROM gigs
        GROUP BY category_id ORDER BY count(*) OFFSET 25 LIMIT 1
    """).fetchone()
    words, frequent = database.peewee.execute_sql("""
        SELECT min(quote_literal(word)) FILTER (WHERE ndoc < 10), (array_agg(quote_literal(word) ORDER BY ndoc DESC))[1]
        FROM ts_stat('SELECT document FROM gigs')
    """).fetchone()
    ((tag,),) = database.peewee.execute_sql("""
        SELECT min(tag) FROM (SELECT unnest(tags) FROM gigs GROUP BY 1 HAVING count(*) < 10) AS rare (tag)
    """).fetchall()
    yield database, {
        **KEY, **{f"until_{name}": value for name, value in KEY.items()}, "gig_id": gig_id, "until_gig_id": gig_id,
        "limit": 21, "status": "ACTIVE", "category": category, "seller": seller, "min_rating": 4.9, "tags": [tag],
        "min_price": 900, "max_price": 910, "max_days": 3, "words": words, "any_word": words, "own": words,
        "frequent": frequent,
    }  # fmt: skip
    database.close()


def shapes(sorts: tuple[Sort, ...]) -> Iterator[Shape]:
    """Return the shapes with up to two kinds of filters, in each scope, from the first page and from a later one."""
    for sort, scope, count, is_first in itertools.product(sorts, ("", "category_id", "section_id"), (0, 1, 2), (0, 1)):
        for flags in itertools.combinations(FLAGS, count):
            shape = Shape(sort, scope, is_first=bool(is_first), **dict.fromkeys(flags, True))
            if sort is not Sort.RELEVANCE or shape.has_words:
                yield shape


def big_scans(database: Database, query: Query, values: dict[str, Any], *, prepared: bool) -> list[str]:
    """Return the tables that a statement's plan reads as a whole."""
    if prepared:
        sql, given = f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {query.prepared.sql}", None
    else:
        sql, given = f"EXPLAIN (FORMAT JSON) {query.literal}", {name: values[name] for name in query.names}
    (plan,) = database.peewee.execute_sql(sql, given).fetchone()

    def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for child in node.get("Plans", ()):
            yield from nodes(child)

    return [
        node["Relation Name"]
        for node in nodes(plan[0]["Plan"])
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in BIG
    ]


SORTED = tuple(sort for sort in Sort if sort is not Sort.RELEVANCE)


def test_a_search_that_one_index_serves_reads_no_whole_table(filled: tuple[Database, dict[str, Any]]) -> None:
    plain = [shape for shape in shapes(SORTED) if shape.is_plain]

    assert {(shape.sort, shape.scope) for shape in plain} == set(
        itertools.product(SORTED, ("", "category_id", "section_id"))
    )
    scans = {shape: big_scans(filled[0], statements.plain(shape), filled[1], prepared=True) for shape in plain}
    assert {shape: tables for shape, tables in scans.items() if tables} == {}


@pytest.mark.parametrize("sort", Sort)
def test_no_way_to_read_a_page_reads_a_whole_table(filled: tuple[Database, dict[str, Any]], sort: Sort) -> None:
    database, values = filled
    many = values | {"words": values["frequent"], "min_price": 1, "max_price": 9_999, "min_rating": 0, "max_days": 90}
    ways: list[tuple[Shape, Query, dict[str, Any]]] = []
    for shape in shapes((sort,)):
        if sort is Sort.RELEVANCE:
            ways += [(shape, statements.rank(shape, has_boundary=each), values) for each in (False, True)]
        if not shape.is_plain:
            ways.append((shape, statements.collect(shape), values))
            ways.append((shape, statements.total(shape), values))
        if shape.is_sampled:
            ways.append((shape, statements.sample(shape), values))
        if not shape.is_plain and sort is not Sort.RELEVANCE:
            ways.append((shape, statements.walk(shape, is_bounded=True), values))
            # Without a bound it runs only when very many gigs match.
            if not shape.has_tags:
                ways.append((shape, statements.walk(shape, is_bounded=False), many))

    scans = {(shape, query.literal): big_scans(database, query, given, prepared=False) for shape, query, given in ways}
    assert {key: tables for key, tables in scans.items() if tables} == {}
