"""The words of the gigs, and how the words of a search are looked up among them."""

from collections.abc import Iterable, Sequence

import peewee
from playhouse.postgres_ext import TS_MATCH

from gig_service.domain.gig import Status
from gig_service.domain.words import (
    Candidate,
    Corrections,
    Word,
    allowed_errors,
    is_near,
    nearest_stems,
    significant_words,
)
from gig_service.store.models import GigRow
from servicekit.database import Database, Statement

# Each word once, in the order typed, with its tsquery. Text without a search term, such as punctuation, is no word.
WORDS = Statement("""
    SELECT word, stem::text AS stem, numnode(plainto_tsquery('english', word)) = 0 AS common
    FROM (
        SELECT word, min(place) AS place, plainto_tsquery('gig_words', word) AS stem
        FROM regexp_split_to_table(search_text($1), ' ') WITH ORDINALITY AS typed (word, place)
        WHERE octet_length(word) BETWEEN 1 AND 1000
        GROUP BY word
    ) AS words
    WHERE numnode(stem) > 0 ORDER BY place
""")
# Candidates by trigrams; the domain chooses among them by typing errors.
NEAREST = Statement("""
    SELECT word, plainto_tsquery('gig_words', word)::text AS stem FROM words ORDER BY word <-> $1 LIMIT 50
""")
# Frequencies are counted up to this number.
MANY = 100


class Vocabulary:
    """The words of the visible gigs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def words(self, q: str) -> list[Word]:
        """Return the significant words of `q`, each once."""
        rows = self._database.fetch_all(WORDS, q)
        gigs = self._count_gigs([row["stem"] for row in rows], up_to=1)
        return significant_words(Word(row["word"], row["stem"], row["common"], bool(gigs[row["stem"]])) for row in rows)

    def corrections(self, words: Iterable[Word]) -> Corrections:
        """Return the stems that replace the words that no gig has."""
        return {word.text: self._correct(word) for word in words if not word.is_known}

    def _correct(self, word: Word) -> tuple[str, ...]:
        if not allowed_errors(word.text):
            return ()
        rows = [row for row in self._database.fetch_all(NEAREST, word.text) if is_near(word.text, row["word"])]
        gigs = self._count_gigs([row["stem"] for row in rows], up_to=MANY)
        return nearest_stems(word.text, (Candidate(row["word"], row["stem"], gigs[row["stem"]]) for row in rows))

    def _count_gigs(self, stems: Sequence[str], *, up_to: int) -> dict[str, int]:
        """Return the number of ACTIVE gigs with each of these stems, counted up to `up_to`.

        The stems are constants in the statement, so that the planner looks up in its statistics how rare each one is; a
        prepared statement has no such statistics.
        """
        if not stems:
            return {}
        distinct = list(dict.fromkeys(stems))
        with self._database.transaction():
            row = peewee.Select(columns=[_count(stem, up_to) for stem in distinct]).tuples()
            counts = row.execute(self._database.peewee)[0]
        return dict(zip(distinct, counts, strict=True))


def _count(stem: str, up_to: int) -> peewee.Node:
    matching = (
        GigRow.select(peewee.SQL("1"))
        .where(matches(stem), GigRow.status == Status.ACTIVE, GigRow.deleted_at.is_null())
        .limit(up_to)
    )
    return peewee.Select([matching.alias("matching")], [peewee.fn.COUNT(peewee.SQL("*"))])


def matches(tsquery: str) -> peewee.Expression:
    """Return the condition that a gig matches a `tsquery`."""
    return peewee.Expression(GigRow.document, TS_MATCH, peewee.Value(tsquery).cast("tsquery"))
