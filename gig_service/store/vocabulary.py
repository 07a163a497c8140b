"""The words of the gigs, and how the words of a search are looked up among them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import peewee
from playhouse.postgres_ext import TS_MATCH

from gig_service.domain.gig import Status
from gig_service.domain.words import (
    MAX_MISSPELT,
    Candidate,
    Corrections,
    Word,
    is_correctable,
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
# The words whose gigs are counted in one statement. No gig can have all the words when one of them has no gig and no
# correction, so the words after it are not looked up.
WORDS_AT_ONCE = 8
# Frequencies are counted up to this number.
MANY = 100


class Vocabulary:
    """The words of the visible gigs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def words(self, q: str) -> list[Word]:
        """Return the significant words of `q`, each once.

        They end with the first word that no gig has and that has no correction, or after MAX_MISSPELT words that no
        gig has: no gig can match then.
        """
        rows = self._database.fetch_all(WORDS, q)
        words = significant_words(Word(row["word"], row["stem"], row["common"], is_known=False) for row in rows)
        found: list[Word] = []
        misspelt = 0
        for word in self._look_up(words):
            found.append(word)
            misspelt += not word.is_known
            if misspelt > MAX_MISSPELT or not (word.is_known or is_correctable(word.text)):
                break
        return found

    def _look_up(self, words: Sequence[Word]) -> Iterator[Word]:
        """Yield the words with their `is_known`, looked up some at a time."""
        for start in range(0, len(words), WORDS_AT_ONCE):
            some = words[start : start + WORDS_AT_ONCE]
            gigs = self._count_gigs([word.stem for word in some], up_to=1)
            yield from (replace(word, is_known=bool(gigs[word.stem])) for word in some)

    def corrections(self, words: Iterable[Word]) -> Corrections:
        """Return the stems that replace the words that no gig has.

        They are incomplete when a word has no correction, or when more than MAX_MISSPELT words need one: then no gig
        can match, and nothing more is looked up.
        """
        misspelt = [word for word in words if not word.is_known]
        corrections: dict[str, tuple[str, ...]] = {}
        if len(misspelt) > MAX_MISSPELT or not all(is_correctable(word.text) for word in misspelt):
            return corrections
        for word in misspelt:
            stems = self._correct(word)
            if not stems:
                break
            corrections[word.text] = stems
        return corrections

    def _correct(self, word: Word) -> tuple[str, ...]:
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
