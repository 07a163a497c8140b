"""How the words of a search are found among those that gigs have."""

from collections.abc import Iterable, Sequence

import peewee
from playhouse.postgres_ext import TS_MATCH

from gig_service.domain.gig import Status
from gig_service.domain.words import (
    Candidate,
    Corrections,
    Word,
    allowed_errors,
    corrections,
    is_near,
    that_count,
)
from gig_service.store.models import GigRow
from servicekit.database import Database, Statement

# Each word once, in the order typed, with its tsquery. A word that the text search takes for nothing is none.
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
# The nearest by trigrams are many more than those that will do: which those are is for the domain to say.
NEAREST = Statement("""
    SELECT word, plainto_tsquery('gig_words', word)::text AS stem FROM words ORDER BY word <-> $1 LIMIT 50
""")
# Frequencies are counted up to here.
MANY = 100


class Vocabulary:
    """The words of the gigs that can be found."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def words(self, q: str) -> list[Word]:
        """The words of `q` that count, each once."""
        rows = self._database.fetch_all(WORDS, q)
        found = self._gigs_with([row["stem"] for row in rows], up_to=1)
        return that_count(Word(row["word"], row["stem"], row["common"], bool(found[row["stem"]])) for row in rows)

    def corrections(self, words: Iterable[Word]) -> Corrections:
        """What the words that no gig has were meant to be."""
        return {word.text: self._correct(word) for word in words if not word.known}

    def _correct(self, word: Word) -> tuple[str, ...]:
        if not allowed_errors(word.text):
            return ()
        rows = [row for row in self._database.fetch_all(NEAREST, word.text) if is_near(word.text, row["word"])]
        found = self._gigs_with([row["stem"] for row in rows], up_to=MANY)
        return corrections(word.text, (Candidate(row["word"], row["stem"], found[row["stem"]]) for row in rows))

    def _gigs_with(self, stems: Sequence[str], *, up_to: int) -> dict[str, int]:
        """In how many gigs that everyone can see each of these is found.

        The words stand in the statement as constants, because only so does the planner ask its statistics how rare
        each is; a prepared statement would not.
        """
        if not stems:
            return {}
        different = list(dict.fromkeys(stems))
        with self._database.transaction():
            row = peewee.Select(columns=[_count(stem, up_to) for stem in different]).tuples()
            counts = row.execute(self._database.peewee)[0]
        return dict(zip(different, counts, strict=True))


def _count(stem: str, up_to: int) -> peewee.Node:
    matching = (
        GigRow.select(peewee.SQL("1"))
        .where(matches(stem), GigRow.status == Status.ACTIVE, GigRow.deleted_at.is_null())
        .limit(up_to)
    )
    return peewee.Select([matching.alias("matching")], [peewee.fn.COUNT(peewee.SQL("*"))])


def matches(tsquery: str) -> peewee.Expression:
    """Whether a gig has what a `tsquery` asks for."""
    return peewee.Expression(GigRow.document, TS_MATCH, peewee.Value(tsquery).cast("tsquery"))
