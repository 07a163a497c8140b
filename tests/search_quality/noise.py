"""Thousands of gigs of real words, in their natural frequency, around the gigs of the table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from random import Random

from wordfreq import get_frequency_dict, top_n_list

from gig_service.domain import analysis
from gig_service.store.store import Store
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from tests.search_quality.table import EXPECTED, QUERIES, Text
from tests.support.gigs import WEB_DEV
from tests.support.identity import user_id

GIGS = 3000
WORDS = 30_000
# The most frequent words of the list ("the", "of") are no words of titles.
COMMON = 150

ADD = Statement("""
    INSERT INTO gigs (id, seller_id, title, description, category_id, tags, status, created_at, updated_at,
        document)
    SELECT id, $1, title, description, $2, string_to_array(tags, ' '), 'ACTIVE', now(), now(), document::tsvector
    FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[])
        AS gig (id, title, tags, description, document)
""")
ADD_PACKAGES = Statement("""
    INSERT INTO packages (id, gig_id, position, title, description, price, delivery_days, features, revisions)
    SELECT gen_random_uuid(), id, 1, 'Basic', 'Basic', 20, 3, '{}', 1 FROM gigs WHERE id = ANY ($1::uuid[])
""")
ADD_ROWS = Statement("""
    INSERT INTO search_rows
        (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count,
         created_at)
    SELECT p.id, g.id, g.seller_id, g.status, g.category_id, g.category_id, p.price, p.delivery_days,
        4.5, 12, g.created_at
    FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id WHERE g.id = ANY ($1::uuid[])
""")


def texts(count: int = GIGS) -> list[Text]:
    """Return the texts of so many gigs.

    Titles and tags have no word that begins like one of the table: a person could not tell which of the gigs is better.
    """
    random = Random(18)
    frequencies = get_frequency_dict("en")
    words = [word for word in top_n_list("en", WORDS) if word.isalpha()]
    of_table = {word[:4] for word in _words(_texts_of_table())}
    of_titles = [word for word in words[COMMON:] if word[:4] not in of_table]

    def weights(some: list[str]) -> list[float]:
        return list(accumulate(frequencies[word] for word in some))

    in_text, in_title = weights(words), weights(of_titles)
    return [
        Text(
            " ".join(random.choices(of_titles, cum_weights=in_title, k=5)).capitalize(),
            " ".join(dict.fromkeys(random.choices(of_titles, cum_weights=in_title, k=3))),
            " ".join(random.choices(words, cum_weights=in_text, k=40)),
        )
        for _ in range(count)
    ]


def add(database: Database, gigs: list[Text]) -> None:
    """Store the gigs, all of one seller, with one package each."""
    store = Store(database)
    seller = user_id("webdev_pro")
    ids = [new_id() for _ in gigs]
    with store.transaction():
        store.sellers.remember(seller, "webdev_pro")
        columns = [[gig[place] for gig in gigs] for place in range(3)]
        documents = [analysis.document(gig.title, gig.tags.split(), gig.description) for gig in gigs]
        database.fetch_all(ADD, seller, WEB_DEV, ids, *columns, [document.lexemes for document in documents])
        database.fetch_all(ADD_PACKAGES, ids)
        database.fetch_all(ADD_ROWS, ids)
        store.vocabulary.count(Counter(word for document in documents for word in document.words))
    database.execute("ANALYZE")


def _texts_of_table() -> Iterable[str]:
    for text in EXPECTED.values():
        yield from text[:3]
    for queries in QUERIES.values():
        yield from (typed for typed, _ in queries)


def _words(some: Iterable[str]) -> set[str]:
    return {word for text in some for word in re.findall(r"\w+", text.lower())}
