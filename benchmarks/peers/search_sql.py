"""The hand-written SQL of the peer on asyncpg: a gig's page, and a statement for each shape of a search."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from benchmarks.peers.settings import EXACT_TOTAL, SORTS, SearchQuery

# The colons are quoted, because pgbench takes `:MI` for a variable.
_TIME = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24":"MI":"SS"Z"')"""
GIG = f"""
    SELECT g.id::text, g.title, g.description, g.category_id::text, g.tags, g.status, g.rating::float8, g.review_count,
        {_TIME.format("g.created_at")} AS created_at, {_TIME.format("g.updated_at")} AS updated_at,
        g.seller_id::text, s.username, s.buyer_count, s.buyer_rating_sum,
        (
            SELECT json_agg(json_build_object(
                'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::float8,
                'deliveryDays', p.delivery_days, 'features', p.features, 'revisions', p.revisions,
                'extras', (
                    SELECT coalesce(json_agg(json_build_object(
                        'id', e.id, 'title', e.title, 'price', e.price, 'extraDays', e.extra_days,
                        'extraRevisions', e.extra_revisions
                    )), '[]') FROM jsonb_to_recordset(p.extras)
                        AS e (id text, title text, price float8, extra_days integer, extra_revisions integer)
                )
            ) ORDER BY p.position)::text FROM packages AS p WHERE p.gig_id = g.id
        ) AS packages,
        (
            SELECT json_agg(json_build_object(
                'id', i.id, 'url', $2::text || '/' || i.key, 'thumbnailUrl', $2 || '/' || i.thumbnail_key,
                'isPrimary', i.is_primary
            ) ORDER BY i.position)::text FROM images AS i WHERE i.gig_id = g.id
        ) AS images
    FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id
    WHERE g.id = $1 AND g.deleted_at IS NULL AND g.status = 'ACTIVE'
"""
# Each category with its id and whether it has a parent.
CATEGORIES = "SELECT id, slug, parent_id IS NOT NULL AS is_child FROM categories"

_PARSERS: dict[str, Callable[[str], Any]] = {
    "rating": Decimal,
    "price": Decimal,
    "review_count": int,
    "created_at": datetime.fromisoformat,
    "gig_id": UUID,
}


class Shape(NamedTuple):
    """Everything about a search that its SQL depends on."""

    filters: tuple[str, ...]
    sort: str
    is_first_page: bool


class Prepared(NamedTuple):
    """The texts of a search's two statements and their parameters; `page` also has `limit`, as its last one."""

    page: str
    total: str
    filters: list[Any]
    after: list[Any]


# The condition of each filter, on a row of search_rows; `{}` is its parameter.
_CONDITIONS = {
    "category": "{row}.category_id = {}",
    "section": "{row}.section_id = {}",
    "min_rating": "{row}.rating >= {}",
    "tags": "g.tags @> {}",
    "min_price": "{row}.price >= {}",
    "max_price": "{row}.price <= {}",
    "max_delivery_days": "{row}.delivery_days <= {}",
}
_OF_PACKAGE = ("min_price", "max_price", "max_delivery_days")


def prepare(query: SearchQuery, categories: dict[str, tuple[UUID, bool]]) -> Prepared:
    """Return the statements of a search. Raises KeyError for an unknown category."""
    values: dict[str, Any] = {}
    if query.category:
        category_id, is_child = categories[query.category]
        values["category" if is_child else "section"] = category_id
    for name in ("min_rating", "min_price", "max_price", "max_delivery_days"):
        if (value := getattr(query, name)) is not None:
            values[name] = value
    if query.tags:
        values["tags"] = query.tags
    columns = SORTS[query.sort]
    after = parse(columns, query.after) or []
    page, total = _statements(Shape(tuple(values), query.sort, not after))
    return Prepared(page, total, list(values.values()), after)


def parse(columns: tuple[str, ...], key: list[Any] | None) -> list[Any] | None:
    """Return the sort key of a page token as values for these columns."""
    return key and [_PARSERS[column](part) for column, part in zip(columns, key, strict=True)]


@cache
def _statements(shape: Shape) -> tuple[str, str]:
    """Return the SQL of a page and of its total."""
    columns = SORTS[shape.sort]  # type: ignore[index]
    descending = shape.sort != "price"
    numbers = {name: f"${number}" for number, name in enumerate(shape.filters, 1)}
    found = " AND ".join(_CONDITIONS[name].format(number, row="r") for name, number in numbers.items()) or "true"
    of_package = "".join(
        f" AND {_CONDITIONS[name].format(number, row='o')}" for name, number in numbers.items() if name in _OF_PACKAGE
    )
    # One row a gig: of the packages that meet the filters the cheapest. That of all has a mark, and indexes of its own.
    is_cheapest = "r.is_cheapest"
    if of_package:
        is_cheapest = f"""NOT EXISTS (
            SELECT FROM search_rows AS o
            WHERE o.gig_id = r.gig_id AND (o.price, o.package_id) < (r.price, r.package_id){of_package}
        )"""  # our own words
    rows = f"""
        FROM search_rows AS r JOIN gigs AS g ON g.id = r.gig_id JOIN sellers AS s ON s.id = r.seller_id
        WHERE r.status = 'ACTIVE' AND {found} AND {is_cheapest}
    """
    key = ", ".join(f"r.{column}" for column in columns)
    count = len(numbers)
    behind = ""
    if not shape.is_first_page:
        places = ", ".join(f"${count + place}" for place in range(1, len(columns) + 1))
        behind = f"AND ({key}) {'<' if descending else '>'} ({places})"
        count += len(columns)
    order = ", ".join(f"r.{column} {'DESC' if descending else 'ASC'}" for column in columns)
    page = f"""
        SELECT r.gig_id, g.title, r.price, r.rating, r.review_count, r.created_at, r.seller_id::text AS seller_id,
            s.username, s.buyer_count, s.buyer_rating_sum, g.thumbnail_key
        {rows} {behind} ORDER BY {order} LIMIT ${count + 1}
    """  # our own words
    return page, f"SELECT count(*) FROM (SELECT {rows} LIMIT {EXACT_TOTAL + 1}) AS found"
