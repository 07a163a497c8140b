"""Searches: the statements that a hostile `q` costs."""

from __future__ import annotations

import pytest

from gig_service.domain.words import MAX_MISSPELT
from gig_service.store.vocabulary import NEIGHBOURS, WORDS_AT_ONCE
from servicekit.database import Database
from tests.support.counting import CountingDatabase
from tests.support.gigs import Gigs

KNOWN = [f"{first}{second}logo" for first in "bcdfghk" for second in "aeiou"]


@pytest.fixture
def database(gig_database: Database) -> CountingDatabase:
    return CountingDatabase.of(gig_database)


@pytest.fixture
def gigs(database: CountingDatabase) -> Gigs:
    return Gigs(database)


def misspelt(word: str) -> str:
    return f"{word[:-1]}x"


def test_a_search_looks_no_further_than_the_first_word_without_a_correction(
    gigs: Gigs, database: CountingDatabase
) -> None:
    gigs.create(description=" ".join(KNOWN))

    assert gigs.found(q=" ".join(["qwxyjz", *map(misspelt, KNOWN[: MAX_MISSPELT - 1])])) == []
    assert database.reads(NEIGHBOURS) == 1


@pytest.mark.parametrize("hopeless", ["zq", "12345", "q" * 43])
def test_a_word_that_cannot_be_misspelt_ends_a_search_before_any_look_up(
    gigs: Gigs, database: CountingDatabase, hopeless: str
) -> None:
    gigs.create(description=" ".join(KNOWN))

    assert gigs.found(q=f"{misspelt(KNOWN[0])} {hopeless}") == []
    assert database.reads(NEIGHBOURS) == 0
    words = gigs.store.vocabulary.words(" ".join([KNOWN[0], hopeless, *KNOWN[1:]]))
    assert [word.text for word in words] == [KNOWN[0], hopeless]


def test_so_many_words_of_a_search_may_be_misspelt(gigs: Gigs, database: CountingDatabase) -> None:
    gig_id = gigs.create(description=" ".join(KNOWN))

    assert gigs.found(q=" ".join(map(misspelt, KNOWN[:MAX_MISSPELT]))) == [gig_id]
    assert database.reads(NEIGHBOURS) == MAX_MISSPELT

    assert gigs.found(q=" ".join(map(misspelt, KNOWN[: MAX_MISSPELT + 1]))) == []
    assert database.reads(NEIGHBOURS) == MAX_MISSPELT


def test_a_hundred_nonsense_words_are_counted_in_two_statements_at_most(
    gigs: Gigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    gigs.create(description=" ".join(KNOWN))
    vocabulary = gigs.store.vocabulary
    count_gigs, asked = vocabulary._count_gigs, []

    def counting(stems: list[str], *, up_to: int) -> dict[str, int]:
        asked.append(len(stems))
        return count_gigs(stems, up_to=up_to)

    monkeypatch.setattr(vocabulary, "_count_gigs", counting)

    assert gigs.found(q=" ".join(f"qx{a}{b}" for a in "jkvw" for b in "bcdfghjklmnpqrstvwxyzaeiu")) == []
    assert asked == [WORDS_AT_ONCE] * (MAX_MISSPELT // WORDS_AT_ONCE + 1)


def test_all_words_of_a_long_q_count_when_all_are_known(gigs: Gigs) -> None:
    gig_id = gigs.create(description=" ".join(KNOWN))
    gigs.create(description=" ".join(KNOWN[:-1]))

    assert gigs.found(q=" ".join(KNOWN)) == [gig_id]


def test_two_words_in_a_title_are_more_relevant_than_a_hundred_times_in_a_description(gigs: Gigs) -> None:
    titled = gigs.create(title="Logo and banner", description="x", tags=[])
    described = gigs.create(title="Something", description="logo banner " * 100, tags=[])

    assert gigs.found(q="logo banner") == [titled, described]
