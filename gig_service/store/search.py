"""Searches over `search_rows`, where a row is a package: filters, orders, pages and the total.

Each search builds its own statement, which is not prepared, so that the planner sees the values and knows how many rows
each filter leaves.
"""

from typing import Any

import peewee

from gig_service.domain.gig import Seller
from gig_service.domain.rating import RatingTotals
from gig_service.domain.search import EXACT_TOTAL, SORT_ORDERS, Filters, Hit, SearchResult, Sort, SortKey, Total
from gig_service.store.models import GigRow, SearchRow, SellerRow
from gig_service.store.relevance import matches, rank
from servicekit.database import Database, Row


class Search:
    """Searches. `words` is always a query of `gig_service.domain.words`; an empty one is no condition."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, filters: Filters, words: str, sort: Sort, *, after: SortKey | None, limit: int) -> list[Hit]:
        """Return the first `limit` gigs behind the sort key `after`, or the first of all without one."""
        order = SORT_ORDERS[sort]
        columns = [_column(name, words) for name in order.columns]
        query = (
            SearchRow.select(
                SearchRow.gig_id,
                SearchRow.seller_id,
                SearchRow.price,
                SearchRow.rating,
                SearchRow.review_count,
                GigRow.title,
                GigRow.thumbnail_key,
                SellerRow.username,
                SellerRow.version,
                SellerRow.buyer_count,
                SellerRow.buyer_rating_sum,
                *(column.alias(f"key_{place}") for place, column in enumerate(columns)),
            )
            .join(GigRow, on=(GigRow.id == SearchRow.gig_id))
            .join_from(SearchRow, SellerRow, on=(SellerRow.id == SearchRow.seller_id))
            .where(*_conditions(filters, words))
            .order_by(*(column.desc() if order.descending else column.asc() for column in columns))
            .limit(limit)
        )
        if after is not None:
            query = query.where(_compare(columns, "<" if order.descending else ">", after))
        with self._database.transaction():
            rows = list(query.dicts().execute(self._database.peewee))
        return [Hit(_to_result(row), tuple(row[f"key_{place}"] for place in range(len(columns)))) for row in rows]

    def total(self, filters: Filters, words: str) -> Total:
        """Return the number of gigs: counted up to EXACT_TOTAL, and the planner's estimate beyond."""
        matching = (
            SearchRow.select(peewee.SQL("1"))
            .join(GigRow, on=(GigRow.id == SearchRow.gig_id))
            .where(*_conditions(filters, words))
        )
        some = matching.limit(EXACT_TOTAL + 1).alias("matching")
        with self._database.transaction():
            count = peewee.Select([some], [peewee.fn.COUNT(peewee.SQL("*"))]).scalar(self._database.peewee)
            if count <= EXACT_TOTAL:
                return Total(count, is_estimate=False)
            return Total(max(count, self._estimate(matching)), is_estimate=True)

    def _estimate(self, query: peewee.Query) -> int:
        sql, params = self._database.peewee.get_sql_context().sql(query).query()
        plan = self._database.peewee.execute_sql(f"EXPLAIN (FORMAT JSON) {sql}", params).fetchone()[0]
        return int(plan[0]["Plan"]["Plan Rows"])


def _conditions(filters: Filters, words: str) -> list[peewee.Node]:
    """Select one row a gig that meets the filters: its cheapest package that meets them.

    Of two equally cheap packages the one with the smaller id counts.
    """
    other = SearchRow.alias("other")
    cheaper = other.select(peewee.SQL("1")).where(
        other.gig_id == SearchRow.gig_id,
        _compare([other.price, other.package_id], "<", (SearchRow.price, SearchRow.package_id)),
        *_of_package(filters, other),
    )
    return [*_of_gig(filters, words), *_of_package(filters, SearchRow), ~peewee.fn.EXISTS(cheaper)]


def _of_gig(filters: Filters, words: str) -> list[peewee.Node]:
    conditions: list[peewee.Node] = [SearchRow.status == filters.status]
    if filters.category is not None:
        is_child = filters.category.parent_id is not None
        column = SearchRow.category_id if is_child else SearchRow.section_id
        conditions.append(column == filters.category.id)
    if filters.min_rating is not None:
        conditions.append(SearchRow.rating >= peewee.Value(filters.min_rating))
    if filters.seller_id is not None:
        conditions.append(SearchRow.seller_id == filters.seller_id)
    if filters.tags:
        conditions.append(GigRow.tags.contains(*filters.tags))
    if words:
        conditions.append(matches(words))
    return conditions


def _of_package(filters: Filters, row: Any) -> list[peewee.Node]:
    conditions: list[peewee.Node] = []
    if filters.min_price is not None:
        conditions.append(row.price >= peewee.Value(filters.min_price))
    if filters.max_price is not None:
        conditions.append(row.price <= peewee.Value(filters.max_price))
    if filters.max_delivery_days is not None:
        conditions.append(row.delivery_days <= filters.max_delivery_days)
    return conditions


def _column(name: str, words: str) -> Any:
    if name == "rank":
        return rank(words)
    return getattr(SearchRow, name)


def _compare(left: list[Any], operator: str, right: SortKey) -> peewee.Expression:
    """Compare rows of columns as PostgreSQL does: by the first that differs."""
    return peewee.Expression(peewee.Tuple(*left), operator, peewee.Tuple(*right))


def _to_result(row: Row) -> SearchResult:
    totals = RatingTotals(row["buyer_count"], row["buyer_rating_sum"])
    return SearchResult(
        id=row["gig_id"],
        title=row["title"],
        starting_price=row["price"],
        rating=row["rating"],
        review_count=row["review_count"],
        seller=Seller(row["seller_id"], row["username"], totals, row["version"]),
        thumbnail_key=row["thumbnail_key"],
    )
