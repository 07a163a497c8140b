"""The words of the gigs, and how the words of a search are looked up among them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from random import random

import peewee
from playhouse.postgres_ext import TS_MATCH

from gig_service.domain.analysis import stem
from gig_service.domain.gig import Status
from gig_service.domain.words import (
    MAX_MISSPELT,
    RARE_GIGS,
    Candidate,
    Corrections,
    Word,
    allowed_errors,
    correct_rare,
    deletions,
    is_correctable,
    is_near,
    nearest_stems,
    significant_words,
    typed_words,
)
from gig_service.store.models import GigRow
from servicekit.database import Database, Row, Statement

COUNTS = Statement("SELECT word, gigs FROM words WHERE word = ANY ($1::text[])")
# Candidates that become the word, or the word without a letter, by leaving out a letter: all with one typing error, and
# some with two. It takes a millisecond among half a million words.
NEIGHBOURS = Statement("""
    SELECT word, gigs FROM words WHERE word_deletions(word) && $1::text[] ORDER BY gigs DESC, word LIMIT 200
""")
# Candidates by trigrams, for two typing errors. Among half a million words it takes 20 times as long as among the
# frequent ones.
NEAREST = Statement("SELECT word, gigs FROM words ORDER BY word <-> $1 LIMIT 50")
NEAREST_FREQUENT = Statement("SELECT word, gigs FROM words WHERE gigs >= 10 ORDER BY word <-> $1 LIMIT 50")
# The most words among which all are looked at by trigrams, by the planner's statistics.
FEW_WORDS = 50_000
WORDS_OF_ALL = Statement("SELECT reltuples AS words FROM pg_class WHERE oid = 'words'::regclass")
# All writers insert in the same order, so that two gigs with the same new words never wait for each other both.
ADD = Statement("""
    INSERT INTO words (word, gigs)
    SELECT word, gigs FROM unnest($1::text[], $2::integer[]) AS counted (word, gigs) ORDER BY word
    ON CONFLICT (word) DO UPDATE SET gigs = greatest(0, words.gigs + excluded.gigs)
""")
IS_OUTDATED = Statement("SELECT EXISTS (SELECT FROM gigs_to_analyse) AS is_outdated")
# The lexemes by which gigs are found that the first version has analysed, in PostgreSQL.
OLD_STEMS = Statement("""
    SELECT word, plainto_tsquery('gig_words', search_text(word))::text AS stem FROM unnest($1::text[]) AS typed (word)
""")
# The words whose gigs are counted in one statement. No gig can have all the words when one of them has no gig and no
# correction, so the words after it are not looked up.
WORDS_AT_ONCE = 8
# A word with this approximate count is certainly in a gig, and not rare.
MANY = 100
# The approximate count of a word grows in steps of this share of it, each step as much more seldom.
STEP = 8


class Vocabulary:
    """The words of the visible gigs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_outdated = True

    def words(self, q: str) -> list[Word]:
        """Return the significant words of `q`, each once.

        They end with the first word that no gig has and that has no correction, or after MAX_MISSPELT words that no
        gig has: no gig can match then.
        """
        found: list[Word] = []
        misspelt = 0
        for word in self._look_up(significant_words(typed_words(q))):
            found.append(word)
            misspelt += not word.is_known
            if misspelt > MAX_MISSPELT or not (word.is_known or is_correctable(word.text)):
                break
        return found

    def _look_up(self, words: Sequence[Word]) -> Iterator[Word]:
        """Yield the words with the numbers of their gigs, looked up some at a time."""
        for start in range(0, len(words), WORDS_AT_ONCE):
            some = self._with_old_stems(words[start : start + WORDS_AT_ONCE])
            rows = self._database.fetch_all(COUNTS, [word.text for word in some])
            gigs = {row["word"]: row["gigs"] for row in rows if row["gigs"] >= MANY}
            counted = self._count_gigs([word.stem for word in some if word.text not in gigs], up_to=RARE_GIGS + 1)
            yield from (replace(word, gigs=gigs.get(word.text) or counted[word.stem]) for word in some)

    def _with_old_stems(self, words: Sequence[Word]) -> Sequence[Word]:
        """Add the lexemes of gigs that an older version has analysed, until the last of them is analysed anew."""
        if self._is_outdated:
            (row,) = self._database.fetch_all(IS_OUTDATED)
            self._is_outdated = row["is_outdated"]
        if not self._is_outdated:
            return words
        rows = self._database.fetch_all(OLD_STEMS, [word.text for word in words])
        old = {row["word"]: row["stem"] for row in rows if row["stem"]}
        return [
            replace(word, stem=f"{word.stem} | {old[word.text]}")
            if old.get(word.text, word.stem) != word.stem
            else word
            for word in words
        ]

    def corrections(self, words: Sequence[Word]) -> Corrections:
        """Return the stems that replace the words that no gig has, and that few have and are likely misspelt.

        They are incomplete when a word has no correction, or when more than MAX_MISSPELT words need one: then no gig
        can match, and nothing more is looked up.
        """
        misspelt = [word for word in words if not word.is_known]
        corrections: dict[str, tuple[str, ...]] = {}
        if len(misspelt) > MAX_MISSPELT or not all(is_correctable(word.text) for word in misspelt):
            return corrections
        for word in misspelt:
            stems = nearest_stems(word.text, self._candidates(word))
            if not stems:
                return corrections
            corrections[word.text] = stems
        rare = [word for word in words if word.may_be_misspelt]
        for word in rare[: MAX_MISSPELT - len(misspelt)]:
            stems = correct_rare(word, map(_candidate, self._near(word, NEIGHBOURS, deletions(word.text))))
            if stems:
                corrections[word.text] = stems
        return corrections

    def _candidates(self, word: Word) -> list[Candidate]:
        """Return the words near to a word. Their gigs are counted only where none may be left."""
        rows = self._near(word, NEIGHBOURS, deletions(word.text))
        if not rows and allowed_errors(word.text) > 1:
            (all_words,) = self._database.fetch_all(WORDS_OF_ALL)
            rows = self._near(word, NEAREST if all_words["words"] < FEW_WORDS else NEAREST_FREQUENT, word.text)
        near = list(map(_candidate, rows))
        counted = self._count_gigs([some.stem for some in near if some.gigs < MANY], up_to=1)
        return [
            some if some.gigs >= MANY else replace(some, gigs=max(some.gigs, 1) * counted[some.stem]) for some in near
        ]

    def _near(self, word: Word, statement: Statement, parameter: object) -> list[Row]:
        return [row for row in self._database.fetch_all(statement, parameter) if is_near(word.text, row["word"])]

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

    def count(self, changes: Mapping[str, int]) -> None:
        """Add the changes to the counts of words. It must be the last write of a transaction.

        Counts are approximate: a frequent word is counted seldom, by more at once, so that writers of different gigs
        have no row to wait for. It is as much on average.
        """
        rows = self._database.fetch_all(COUNTS, list(changes))
        known = {row["word"]: row["gigs"] for row in rows}
        written: dict[str, int] = {}
        for word, change in changes.items():
            step = max(1, known.get(word, 0) // STEP)
            steps, rest = divmod(abs(change), step)
            amount = step * (steps + (random() * step < rest))  # noqa: S311  # no secret
            if amount and (change > 0 or word in known):
                written[word] = amount if change > 0 else -amount
        if written:
            self._database.fetch_all(ADD, list(written), list(written.values()))


def _candidate(row: Row) -> Candidate:
    return Candidate(row["word"], f"'{stem(row['word'])}'", row["gigs"])


def _count(stem: str, up_to: int) -> peewee.Node:
    matching = (
        GigRow.select(peewee.SQL("1"))
        .where(_matches(stem), GigRow.status == Status.ACTIVE, GigRow.deleted_at.is_null())
        # In a subquery, so that the planner does not know it. Of a stem that its statistics do not have it expects
        # hundreds of gigs, and would read the whole table to find the first few.
        .limit(peewee.SQL(f"(SELECT {up_to})"))
    )
    return peewee.Select([matching.alias("matching")], [peewee.fn.COUNT(peewee.SQL("*"))])


def _matches(tsquery: str) -> peewee.Expression:
    return peewee.Expression(GigRow.document, TS_MATCH, peewee.Value(tsquery).cast("tsquery"))
