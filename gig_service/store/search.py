"""Searches over `search_rows`: which statement reads a page, and the total.

An index that has exactly the gigs that match is read by one prepared statement. For other searches a sample of the
gigs, or the planner, first says whether few or many match. When they are few, all are collected and sorted; when they
are many, an index is read in the order of the search until the page is full. Both give up at a bound, so that a wrong
guess costs little, and then the other one is tried.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from operator import itemgetter
from typing import Any
from uuid import UUID

from gig_service.domain.search import (
    EXACT_TOTAL,
    SORT_ORDERS,
    Filters,
    Hit,
    SearchPage,
    SearchResult,
    Sort,
    SortKey,
    Total,
)
from gig_service.domain.words import required_stems
from gig_service.store import search_statements as statements
from gig_service.store.relevance import match_values, rank_values
from gig_service.store.search_statements import Query, Shape
from servicekit.database import Database

# How long an estimate and the count in the sample are used again, and that more than EXACT_TOTAL gigs were counted; and
# how many of each are kept.
ESTIMATE_SECONDS = 60.0
MAX_ESTIMATES = 2_000
# The rank of gigs that come after all ranked ones. No gig has it by itself.
UNRANKED = -1
_BY_RATING = SORT_ORDERS[Sort.RATING].columns
_ANY_PRICE = Decimal(999_999_999)
_ANY_DAYS = 32_767


# A place before all gigs in the order of rating.
_TOP = (Decimal("9.9"), 0, UUID(int=0))

Values = dict[str, Any]
Row = tuple[Any, ...]
# The filters and the words of a search.
_Asked = tuple[Filters, str]

# The number of columns of a result, and the sort key of a row.
_RESULT = len(SearchResult._fields)
_KEYS = {
    sort: itemgetter(*map(statements.shown_columns(sort).index, order.columns)) for sort, order in SORT_ORDERS.items()
}


class _Recent:
    """Numbers of the last minute, by the search."""

    def __init__(self) -> None:
        self._numbers: dict[_Asked, tuple[float, int]] = {}

    def get(self, asked: _Asked) -> int | None:
        """Return the number of a search, if it is known."""
        until, number = self._numbers.get(asked, (0.0, 0))
        return number if until > time.monotonic() else None

    def put(self, asked: _Asked, number: int) -> None:
        """Keep the number of a search."""
        if len(self._numbers) >= MAX_ESTIMATES:
            self._numbers.clear()
        self._numbers[asked] = (time.monotonic() + ESTIMATE_SECONDS, number)


class Search:
    """Searches. `words` is always a query of `gig_service.domain.words`; an empty one is no condition."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._estimates = _Recent()
        self._sampled = _Recent()
        self._counted_many = _Recent()

    def page(
        self,
        filters: Filters,
        words: str,
        sort: Sort,
        *,
        after: SortKey | None,
        limit: int,
        boundary: SortKey | None = None,
    ) -> SearchPage:
        """Return the first `limit` gigs behind the sort key `after`, or the first of all without one; and the total.

        `boundary` is that of the page before.
        """
        asked = (filters, words)
        shape = _shape(filters, words, sort, is_first=after is None)
        values = _values(filters, words, sort, after, limit)
        if shape.is_plain:
            return self._plain(asked, shape, values)
        with self._database.transaction():
            few = self._are_few(asked, shape, values)
            if sort is Sort.RELEVANCE:
                return self._by_relevance(asked, shape, values, boundary, few=few)
            return self._sorted(asked, shape, values, few=few)

    def _plain(self, asked: _Asked, shape: Shape, values: Values) -> SearchPage:
        query = statements.plain(shape)
        rows = self._database.fetch_tuples(query.prepared, *(values[name] for name in query.names))
        if not rows and not shape.is_first:
            with self._database.transaction():
                return SearchPage([], self._total(asked, shape, values))
        count = rows[0][-1] if rows else 0
        if count <= EXACT_TOTAL:
            return SearchPage(_hits(rows, shape.sort), Total(count, is_estimate=False))
        with self._database.transaction():
            estimate = self._estimate(asked, shape, values)
        return SearchPage(_hits(rows, shape.sort), Total(max(count, estimate), is_estimate=True))

    def _sorted(self, asked: _Asked, shape: Shape, values: Values, *, few: bool) -> SearchPage:
        page = self._collect(asked, shape, values) if few else None
        if page:
            return page
        hits = self._walk(asked, shape, values, may_collect=not few)
        return SearchPage(hits, self._total(asked, shape, values))

    def _by_relevance(
        self, asked: _Asked, shape: Shape, values: Values, boundary: SortKey | None, *, few: bool
    ) -> SearchPage:
        """Return a page of the gigs down to the boundary by rank, and then of those behind it by rating.

        A later page without a boundary ranks all gigs that match. If they are too many, it goes on by rating alone.
        """
        limit: int = values["limit"]
        rows: list[Row] = []
        if not shape.is_first and boundary is None:
            page = self._collect(asked, shape, values)
            if page:
                return page
            boundary, values = _TOP, values | {"rank": UNRANKED}
        if boundary is None:
            page = self._collect(asked, shape, values) if few else None
            if page:
                return page
            rows = self._run(statements.rank(shape, has_boundary=False), values)
            page = None if few or shape.is_sampled or len(rows) >= limit else self._collect(asked, shape, values)
            if page:
                return page
            boundary = rows[0][-len(_BY_RATING) :] if rows else _TOP
        elif values["rank"] != UNRANKED:
            rows = self._run(statements.rank(shape, has_boundary=True), values | _boundary(boundary))
        hits = _hits(rows, shape.sort)
        if len(hits) < limit:
            hits += self._unranked(asked, shape, values, boundary, limit - len(hits))
        return SearchPage(hits, self._total(asked, shape, values), boundary)

    def _unranked(self, asked: _Asked, shape: Shape, values: Values, boundary: SortKey, limit: int) -> list[Hit]:
        """Return gigs behind the boundary by rating, or behind the last one of the page before when that is later."""
        by_rating = replace(shape, sort=Sort.RATING, is_first=False)
        after = dict(zip(_BY_RATING, boundary, strict=True)) if values.get("rank") != UNRANKED else {}
        values = values | after | {"limit": limit}
        hits = self._walk(asked, by_rating, values, may_collect=True)
        return [Hit(hit.result, (UNRANKED, *hit.sort_key)) for hit in hits]

    def _walk(self, asked: _Asked, shape: Shape, values: Values, *, may_collect: bool) -> list[Hit]:
        """Return a page by reading an index in the order of the search; by finding all gigs where it is long."""
        rows = self._run(statements.walk(shape, is_bounded=True), values)
        if len(rows) < values["limit"]:
            page = self._collect(asked, shape, values) if may_collect else None
            if page:
                return page.hits
            rows = self._run(statements.walk(shape, is_bounded=False), values)
        return _hits(rows, shape.sort)

    def _are_few(self, asked: _Asked, shape: Shape, values: Values) -> bool:
        """Return whether so few gigs match that all of them can be sorted."""
        if not shape.is_sampled:
            return self._estimate(asked, shape, values) <= statements.COLLECTED
        bound = statements.sample_bound(shape)
        sampled = self._sampled.get(asked)
        if sampled is None:
            sampled = self._run(statements.sample(shape), values)[0][0]
            self._sampled.put(asked, sampled)
            if sampled == bound and sampled * statements.SAMPLE_SHARE > EXACT_TOTAL:
                self._counted_many.put(asked, sampled * statements.SAMPLE_SHARE)
        return sampled < bound

    def _collect(self, asked: _Asked, shape: Shape, values: Values) -> SearchPage | None:
        """Return the page by finding all gigs; None when there are too many."""
        rows = self._run(statements.collect(shape), values)
        found, total = rows[0][-2:]
        if found > statements.collect_bound(shape):
            # The next minute's searches need not try it again, nor count.
            self._estimates.put(asked, max(self._estimate(asked, shape, values), statements.COLLECTED + 1))
            self._sampled.put(asked, statements.SAMPLED)
            if total > EXACT_TOTAL:
                self._counted_many.put(asked, total)
            return None
        hits = _hits((row for row in rows if row[0]), shape.sort)
        # Above EXACT_TOTAL every total is called an estimate, also one that was counted here: the API promises no more.
        return SearchPage(hits, Total(total, is_estimate=total > EXACT_TOTAL))

    def _total(self, asked: _Asked, shape: Shape, values: Values) -> Total:
        """Return the number of gigs: counted up to EXACT_TOTAL, and the planner's estimate beyond."""
        count = self._counted_many.get(asked)
        if count is None:
            count = self._run(statements.total(shape, is_first_try=True), values)[0][0]
            if count <= EXACT_TOTAL and shape.has_packages:
                count = self._run(statements.total(shape), values)[0][0]
            if count <= EXACT_TOTAL:
                return Total(count, is_estimate=False)
            self._counted_many.put(asked, count)
        return Total(max(count, self._estimate(asked, shape, values)), is_estimate=True)

    def _estimate(self, asked: _Asked, shape: Shape, values: Values) -> int:
        """Return how many gigs the planner expects; for the same search it is asked once in ESTIMATE_SECONDS."""
        known = self._estimates.get(asked)
        if known is not None:
            return known
        [(plan,)] = self._run(statements.estimate(shape), values)
        estimate = int(plan[0]["Plan"]["Plan Rows"])
        self._estimates.put(asked, estimate)
        return estimate

    def _run(self, query: Query, values: Values) -> list[Row]:
        """Run a statement that is planned with its values, within a transaction."""
        cursor = self._database.peewee.execute_sql(query.literal, {name: values[name] for name in query.names})
        rows: list[Row] = cursor.fetchall()
        return rows


def _shape(filters: Filters, words: str, sort: Sort, *, is_first: bool) -> Shape:
    scope = ""
    if filters.category is not None:
        scope = "section_id" if filters.category.parent_id is None else "category_id"
    return Shape(
        sort=sort,
        scope=scope,
        of_seller=filters.seller_id is not None,
        has_rating=filters.min_rating is not None,
        has_packages=any(
            each is not None for each in (filters.min_price, filters.max_price, filters.max_delivery_days)
        ),
        has_tags=bool(filters.tags),
        has_words=bool(words),
        has_required=bool(required_stems(words)),
        is_first=is_first,
    )


def _values(filters: Filters, words: str, sort: Sort, after: SortKey | None, limit: int) -> Values:
    key = zip(SORT_ORDERS[sort].columns, after, strict=True) if after else ()
    return {
        "limit": limit,
        "status": filters.status,
        "category": filters.category and filters.category.id,
        "seller": filters.seller_id,
        "min_rating": filters.min_rating,
        "min_price": filters.min_price or 0,
        "max_price": _ANY_PRICE if filters.max_price is None else filters.max_price,
        "max_days": _ANY_DAYS if filters.max_delivery_days is None else filters.max_delivery_days,
        "tags": list(filters.tags),
        "required": required_stems(words),
        **match_values(words),
        **rank_values(words),
        **dict(key),
    }


def _boundary(key: SortKey) -> Values:
    return {f"until_{name}": value for name, value in zip(_BY_RATING, key, strict=True)}


def _hits(rows: Iterable[Row], sort: Sort) -> list[Hit]:
    key = _KEYS[sort]
    return [Hit(SearchResult._make(row[:_RESULT]), key(row)) for row in rows]
