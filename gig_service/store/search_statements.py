"""The statements of searches. `Shape` says which conditions a search has; the values are parameters of the statement.

Four statements read a page, and three more tell how many gigs match:

- `plain` reads a page from an index that has exactly the gigs that match, and counts them up to a bound. It is
  prepared.
- `walk` reads gigs in the order of the search from an index, and takes those that meet the other conditions. It is fast
  when many gigs match. Its plan is the same for all values: each table behind the first stands in a LATERAL with a
  LIMIT, which is a look-up for each row and nothing else.
- `collect` finds all gigs that match and sorts them. It is fast when few match. Each run is planned with its values.
- `rank` reads the best rated matching gigs as `walk` does and sorts these by relevance.
- `total` counts the gigs that match up to a bound.
- `estimate` is an EXPLAIN: its plan tells how many gigs the planner expects.
- `sample` counts the matching gigs in a sixteenth of all gigs, which have an index of their own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from gig_service.domain.search import EXACT_TOTAL, SORT_ORDERS, Sort
from gig_service.store.relevance import RANK
from servicekit.database import Statement

# The largest page and one more row, which tells that there is a next page.
LARGEST_PAGE = 101
# A gig has ten packages at most, so more packages than these belong to more than EXACT_TOTAL gigs.
COUNTED_PACKAGES = 10 * (EXACT_TOTAL + 1)
# The gigs that `collect` sorts, or their packages; if more match, it tells so.
COLLECTED = 5_000
COLLECTED_PACKAGES = COUNTED_PACKAGES
# The gigs that `walk` and `rank` look at before they give up, and those that `rank` sorts. Where the sample says that
# many match, `walk` looks at more: of 15,000 among a million, 30 match on average, more than a page has.
WALKED = 5_000
WALKED_BY_SAMPLE = 15_000
RANKED_OF = 2_000
# The same where entries have the bits of words: those without the words cost a fifth of a microsecond. With a filter of
# packages no more are ranked, since of a frequent word each entry is looked up.
WALKED_BY_BITS = 50_000
RANKED_OF_BITS = 4_000
RANKED = 300
# A later page by relevance collects or ranks so many times as many gigs, since some may be added after the first page.
# Page tokens are not signed, so without a bound a forged one would have all gigs ranked.
MARGIN = 2

# One gig of so many is in the sample. Its id says so by its last bits, which are random.
SAMPLE_SHARE = 16
# The most matching gigs of the sample that are counted: they stand for 4,480 gigs, fewer than `collect` sorts.
SAMPLED = 280
# So many prove that more than EXACT_TOTAL match: of 1,000 gigs the sample has 62 on average, and 128 with a chance of
# less than one in a billion. With a filter of packages no more are counted, since finding those takes longer.
SAMPLED_FOR_SURE = 128

BY_PRICE = (Sort.PRICE, Sort.PRICE_DESCENDING)

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")
_TYPES = {
    "rank": "int", "rating": "numeric", "review_count": "int", "gig_id": "uuid", "created_at": "timestamptz",
    "price": "numeric",
}  # fmt: skip
_IN_SAMPLE = f"get_byte(uuid_send(g.id), 15) & {SAMPLE_SHARE - 1} = 0"
_OF_PACKAGE = "{0}.price BETWEEN :min_price::numeric AND :max_price::numeric AND {0}.delivery_days <= :max_days::int"
_RESULT = "gig_id, seller_id, price, rating, review_count, created_at"
_SELLER = """CROSS JOIN LATERAL (
        SELECT username, buyer_count, buyer_rating_sum FROM sellers WHERE sellers.id = page.seller_id LIMIT 1
    ) AS u"""
_GIG = """CROSS JOIN LATERAL (
        SELECT title, thumbnail_key FROM gigs WHERE gigs.id = page.gig_id LIMIT 1
    ) AS g"""
# The columns of SearchResult, with the types in which they are sent.
_SHOWN = {
    "gig_id": "::text", "title": "", "price": "::float8", "rating": "::float8", "review_count": "",
    "seller_id": "::text", "username": "", "buyer_count": "", "buyer_rating_sum": "", "thumbnail_key": "",
}  # fmt: skip
_OF_SELLER = dict.fromkeys(("username", "buyer_count", "buyer_rating_sum"), "u")
_OF_GIG = dict.fromkeys(("title", "thumbnail_key"), "g")


class Query:
    """One statement with parameters by name, for a prepared run and for one that is planned with its values."""

    def __init__(self, sql: str) -> None:
        self.names = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
        self._sql = sql

    @cached_property
    def prepared(self) -> Statement:
        """The statement to prepare; its values come in the order of `names`."""
        return Statement(_PARAMETER.sub(lambda found: f"${self.names.index(found[1]) + 1}", self._sql))

    @cached_property
    def literal(self) -> str:
        """The SQL with psycopg2's placeholders."""
        return _PARAMETER.sub(r"%(\1)s", self._sql)


@dataclass(frozen=True, slots=True)
class Shape:
    """The conditions and the order of a search. `scope` is the column that a category is compared with, or empty."""

    sort: Sort
    scope: str = ""
    of_seller: bool = False
    has_rating: bool = False
    has_packages: bool = False
    has_tags: bool = False
    has_words: bool = False
    # Whether some words have no alternatives: gigs without their bits need not be looked up.
    has_required: bool = False
    is_first: bool = True

    @property
    def is_plain(self) -> bool:
        """Whether an index has exactly the gigs that match, in the order of the search."""
        rating_is_range = not self.has_rating or self.sort is Sort.RATING
        return rating_is_range and not (self.of_seller or self.has_packages or self.has_text)

    @property
    def has_text(self) -> bool:
        """Whether there are conditions on words or tags."""
        return self.has_words or self.has_tags

    @property
    def is_sampled(self) -> bool:
        """Whether the index of the sample has the gigs that match. A seller has too few for a sample."""
        return self.has_text and not self.of_seller

    @property
    def has_bits(self) -> bool:
        """Whether an index in the order of the search has the bits of words, and the search asks for some."""
        return self.has_required and self.sort not in BY_PRICE

    @property
    def is_of_gigs_alone(self) -> bool:
        """Whether `gigs` has all columns that conditions and order need."""
        return self.has_text and not (self.has_packages or self.sort in BY_PRICE)

    @property
    def order(self) -> str:
        """The columns of ORDER BY."""
        order = SORT_ORDERS[self.sort]
        return ", ".join(f"{column} DESC" if order.descending else column for column in order.columns)

    def order_of(self, row: str) -> str:
        """Return the columns of ORDER BY, of a row: without it they are those that are sent, whose types differ."""
        return ", ".join(f"{row}.{column}" for column in self.order.split(", "))

    def of_gig(self, row: str) -> str:
        """Return the conditions on the columns that `search_rows` has of each gig; in `gigs` for the row `g`."""
        conditions = [f"{row}.status = :status" if self.of_seller else f"{row}.status = 'ACTIVE'"]
        if self.scope and row != "g":
            conditions.append(f"{row}.{self.scope} = :category::uuid")
        elif self.scope == "category_id":
            conditions.append("ARRAY[g.category_id] @> ARRAY[:category::uuid]")
        elif self.scope:
            conditions.append("g.category_id IN (SELECT id FROM categories WHERE :category::uuid IN (id, parent_id))")
        if self.of_seller:
            conditions.append(f"{row}.seller_id = :seller::uuid")
        if self.has_rating:
            conditions.append(f"{row}.rating >= :min_rating::numeric")
        return " AND ".join(conditions)

    def of_text(self, gig: str) -> str:
        """Return the conditions on the row of `gigs`, each with AND before it."""
        words = f" AND {gig}.document @@ :words::tsquery" if self.has_words else ""
        return words + (f" AND {gig}.tags @> :tags::text[]" if self.has_tags else "")

    def of_bits(self, row: str) -> str:
        """Return the condition that a row may have the words, or that its bits are not known, with AND before it."""
        bits = "word_bits(:required::text[])"
        return f" AND ({row}.word_bits IS NULL OR {row}.word_bits & {bits} = {bits})" if self.has_bits else ""

    def behind(self, row: str, columns: tuple[str, ...] | None = None, operator: str = "", prefix: str = "") -> str:
        """Return the condition that a row lies behind the last one of the page before, with AND before it."""
        order = SORT_ORDERS[self.sort]
        columns = columns or order.columns
        operator = operator or ("<" if order.descending else ">")
        left = ", ".join(f"{row}.{column}" for column in columns)
        right = ", ".join(f":{prefix}{column}::{_TYPES[column]}" for column in columns)
        return f" AND ({left}) {operator} ({right})"


@lru_cache(1000)
def plain(shape: Shape) -> Query:
    """Return the statement for a shape that an index serves alone: the page, with the total in each row."""
    behind = "" if shape.is_first else shape.behind("s")
    gigs = f"FROM search_rows AS s WHERE {shape.of_gig('s')} AND s.is_cheapest"
    return Query(f"""
        SELECT {_shown(shape, _OF_SELLER | _OF_GIG)},
            (SELECT count(*) FROM (SELECT {gigs} LIMIT {EXACT_TOTAL + 1}) AS matching) AS total
        FROM (
            SELECT {_RESULT} {gigs}{behind} ORDER BY {shape.order} LIMIT {LARGEST_PAGE}
        ) AS page {_GIG} {_SELLER}
        ORDER BY {shape.order_of("page")} LIMIT :limit::int
    """)


@lru_cache(1000)
def walk(shape: Shape, *, is_bounded: bool) -> Query:
    """Return the statement that reads gigs in order and takes those that match; of so many gigs, or of all."""
    by_price = shape.has_packages and shape.sort in BY_PRICE
    behind = "" if shape.is_first else shape.behind("s")
    kept = "f.package_id = s.package_id" if by_price else "true"
    conditions = f"{shape.of_gig('s')} AND {_OF_PACKAGE.format('s') if by_price else 's.is_cheapest'}{behind}"
    rows = "FROM search_rows AS s"
    if is_bounded:
        # Columns of the index alone: its entries are read without their rows.
        more = ["package_id"] if by_price else ["word_bits"] if shape.has_bits else []
        columns = ", ".join((*SORT_ORDERS[shape.sort].columns, *more))
        walked = WALKED_BY_BITS if shape.has_bits else WALKED_BY_SAMPLE if shape.is_sampled else WALKED
        rows = f"FROM (SELECT {columns} {rows} WHERE {conditions} ORDER BY {shape.order} LIMIT {walked}) AS s"
        conditions = "true"
    priced, starting = _priced(shape)
    return Query(f"""
        SELECT {_shown(shape, _OF_SELLER | priced)}
        FROM (
            SELECT {_matching(shape)} {rows} {_look_ups(shape)}
            WHERE {conditions} AND {kept}{shape.of_bits("s")} ORDER BY {shape.order} LIMIT {LARGEST_PAGE}
        ) AS page {_SELLER} {starting}
        ORDER BY {shape.order_of("page")} LIMIT :limit::int
    """)


@lru_cache(1000)
def rank(shape: Shape, *, has_boundary: bool) -> Query:
    """Return the statement that ranks the best rated matching gigs: RANKED of them, or those down to a boundary.

    Each row ends with the sort key of the last one by rating, the boundary.
    """
    rating = Shape(Sort.RATING)
    key = SORT_ORDERS[Sort.RATING].columns
    priced, starting = _priced(shape)
    until = shape.behind("s", key, ">=", "until_") if has_boundary else ""
    ranked_of = RANKED_OF_BITS if shape.has_bits and not shape.has_packages else RANKED_OF
    margin = MARGIN if has_boundary else 1
    bits = ", word_bits" if shape.has_bits else ""
    behind = "" if shape.is_first else f"WHERE true{shape.behind('ranked')}"
    return Query(f"""
        WITH ranked AS MATERIALIZED (
            SELECT {_matching(shape)}, {RANK} AS rank
            FROM (
                SELECT {", ".join(key)}{bits} FROM search_rows AS s
                WHERE {shape.of_gig("s")} AND s.is_cheapest{until} ORDER BY {rating.order} LIMIT {margin * ranked_of}
            ) AS s {_look_ups(shape)} WHERE true{shape.of_bits("s")} ORDER BY {rating.order} LIMIT {margin * RANKED}
        ), last AS (
            SELECT rating, review_count, gig_id FROM ranked ORDER BY rating, review_count, gig_id LIMIT 1
        )
        SELECT {_shown(shape, _OF_SELLER | priced)}, last.rating::float8, last.review_count, last.gig_id::text
        FROM (SELECT * FROM ranked {behind} ORDER BY {shape.order} LIMIT :limit::int) AS page {_SELLER} {starting}, last
        ORDER BY {shape.order_of("page")}
    """)


@lru_cache(1000)
def collect(shape: Shape) -> Query:
    """Return the statement that finds all gigs that match, counts and sorts them.

    Each row ends with the number of rows that were found, and of gigs among them. A page without gigs is one row with
    these alone.
    """
    behind = "" if shape.is_first else f"WHERE true{shape.behind('hits')}"
    distinct = "SELECT DISTINCT ON (gig_id) * FROM found ORDER BY gig_id, price"
    priced, starting = _priced(shape) if shape.is_of_gigs_alone else ({}, "")
    return Query(f"""
        WITH found AS MATERIALIZED (
            SELECT {_found(shape)} {_flat(shape)} LIMIT {collect_bound(shape) + 1}
        ), hits AS MATERIALIZED ({distinct if shape.has_packages else "SELECT * FROM found"})
        SELECT {_shown(shape, {})}, counts.found, counts.total
        FROM (SELECT (SELECT count(*) FROM found) AS found, (SELECT count(*) FROM hits) AS total) AS counts
        LEFT JOIN (
            SELECT page.*, g.title, g.thumbnail_key, u.*{", p.price" if priced else ""}
            FROM (SELECT * FROM hits {behind} ORDER BY {shape.order} LIMIT :limit::int) AS page
            {_GIG} {_SELLER} {starting}
        ) AS page ON true
        ORDER BY {shape.order_of("page")}
    """)


def collect_bound(shape: Shape) -> int:
    """Return the number of rows that `collect` finds at most."""
    margin = MARGIN if shape.sort is Sort.RELEVANCE and not shape.is_first else 1
    return margin * (COLLECTED_PACKAGES if shape.has_packages else COLLECTED)


@lru_cache(1000)
def total(shape: Shape, *, is_first_try: bool = False) -> Query:
    """Return the statement that counts the gigs that match, up to EXACT_TOTAL + 1.

    With filters of packages a first try looks at fewer packages; only a count above EXACT_TOTAL is right then.
    """
    shape = replace(shape, sort=Sort.RATING)
    if not shape.has_packages:
        return Query(f"SELECT count(*) AS total FROM (SELECT {_flat(shape)} LIMIT {EXACT_TOTAL + 1}) AS matching")
    limit = 3 * (EXACT_TOTAL + 1) if is_first_try else COUNTED_PACKAGES
    return Query(f"""
        SELECT least(count(DISTINCT gig_id), {EXACT_TOTAL + 1}) AS total
        FROM (SELECT s.gig_id {_flat(shape)} LIMIT {limit}) AS matching
    """)


@lru_cache(1000)
def sample(shape: Shape) -> Query:
    """Return the statement that counts the gigs of the sample that match, up to `sample_bound`."""
    package = f"""CROSS JOIN LATERAL (
        SELECT FROM search_rows AS s WHERE s.gig_id = g.id AND {_OF_PACKAGE.format("s")} LIMIT 1
    ) AS matching"""  # constants of ours
    return Query(f"""
        SELECT count(*) FROM (
            SELECT FROM gigs AS g {package if shape.has_packages else ""}
            WHERE {_IN_SAMPLE} AND {shape.of_gig("g")} AND g.deleted_at IS NULL{shape.of_text("g")}
            LIMIT {sample_bound(shape)}
        ) AS sampled
    """)


def sample_bound(shape: Shape) -> int:
    """Return the number of gigs that `sample` counts at most."""
    return SAMPLED_FOR_SURE if shape.has_packages else SAMPLED


@lru_cache(1000)
def estimate(shape: Shape) -> Query:
    """Return the statement whose plan tells how many gigs match."""
    shape = replace(shape, sort=Sort.RATING)
    if not shape.has_packages:
        return Query(f"EXPLAIN (FORMAT JSON) SELECT {_flat(shape)}")
    return Query(f"EXPLAIN (FORMAT JSON) SELECT s.gig_id {_flat(shape)} GROUP BY s.gig_id")


def shown_columns(sort: Sort) -> tuple[str, ...]:
    """Return the first columns of each row of a page: those of SearchResult, and others of the sort key."""
    return (*_SHOWN, *(column for column in SORT_ORDERS[sort].columns if column not in _SHOWN))


def _shown(shape: Shape, sources: Mapping[str, str]) -> str:
    """Return `shown_columns`, each of the row in `sources` or of `page`."""
    return ", ".join(
        f"{sources.get(column, 'page')}.{column}{_SHOWN.get(column, '')}" for column in shown_columns(shape.sort)
    )


def _found(shape: Shape) -> str:
    """Return the columns of a matching row, as far as the order needs them."""
    ranked = f", {RANK} AS rank" if shape.sort is Sort.RELEVANCE else ""
    if not shape.has_text:
        return ", ".join(f"s.{column}" for column in _RESULT.split(", "))
    price = "" if shape.is_of_gigs_alone else ", s.price"
    return f"g.id AS gig_id, g.seller_id, g.rating, g.review_count, g.created_at{price}{ranked}"


def _flat(shape: Shape) -> str:
    """Return FROM and WHERE of all matching rows: gigs, or their packages with a filter of these.

    With words or tags the conditions on the gig are those of `gigs`, whose index has the category beside the words.
    """
    package = _OF_PACKAGE.format("s") if shape.has_packages else "s.is_cheapest"
    if not shape.has_text:
        return f"FROM search_rows AS s WHERE {shape.of_gig('s')} AND {package}"
    joined = "" if shape.is_of_gigs_alone else f"JOIN search_rows AS s ON s.gig_id = g.id AND {package}"
    return f"FROM gigs AS g {joined} WHERE {shape.of_gig('g')} AND g.deleted_at IS NULL{shape.of_text('g')}"


def _priced(shape: Shape) -> tuple[dict[str, str], str]:
    """Return where the starting price stands and its look-up, for the gigs of a page that have none yet."""
    if shape.has_packages or shape.sort in BY_PRICE:
        return {}, ""
    return (
        {"price": "p"},
        """CROSS JOIN LATERAL (
        SELECT price FROM search_rows AS s WHERE s.gig_id = page.gig_id AND s.is_cheapest LIMIT 1
    ) AS p""",
    )


def _matching(shape: Shape) -> str:
    """Return the columns of a gig that matches. Those of the order are the index's own."""
    columns = SORT_ORDERS[Sort.RATING if shape.sort is Sort.RELEVANCE else shape.sort].columns
    others = [f"g.{name}" for name in ("seller_id", "rating", "review_count", "created_at") if name not in columns]
    price = ["f.price"] if shape.has_packages and "price" not in columns else []
    return ", ".join((*(f"s.{name}" for name in columns), *price, *others, "g.title", "g.thumbnail_key"))


def _look_ups(shape: Shape) -> str:
    """Return the tables that say of each gig whether it matches; words and tags first, which the fewest gigs have."""
    columns = "id, seller_id, rating, review_count, created_at, title, thumbnail_key"
    document = ", document" if shape.has_words else ""
    gig = f"""CROSS JOIN LATERAL (
        SELECT {columns}{document} FROM gigs WHERE gigs.id = s.gig_id{shape.of_text("gigs")} LIMIT 1
    ) AS g"""
    if not shape.has_packages:
        return gig
    # Of two equally cheap packages the one with the smaller id counts. The second look-up needs the first one.
    before = "g.id" if shape.has_text else "s.gig_id"
    cheapest = f"""CROSS JOIN LATERAL (
        SELECT price, package_id, gig_id FROM search_rows AS p WHERE p.gig_id = {before} AND {_OF_PACKAGE.format("p")}
        ORDER BY p.price, p.package_id LIMIT 1
    ) AS f"""
    return f"{gig} {cheapest}" if shape.has_text else f"{cheapest} {gig.replace('s.gig_id', 'f.gig_id')}"
