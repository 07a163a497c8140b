"""The bits of words beside the sort keys of gigs: never without the bits of a word that the gig has."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gig_service.domain.search import Filters, Sort
from gig_service.domain.word_bits import word_bits
from gig_service.store import search_statements as statements
from gig_service.store.search_index import SearchIndex
from gig_service.store.store import Store
from servicekit.database import Database, Statement
from tests.support.gigs import Gigs, an_update, prices

OF_DATABASE = Statement("SELECT word_bits($1::text[])::text AS bits")
WRONG = Statement("""
    SELECT g.title, s.word_bits FROM search_rows AS s JOIN gigs AS g ON g.id = s.gig_id
    WHERE s.word_bits IS DISTINCT FROM word_bits(tsvector_to_array(g.document))
""")
# As a worker of the version before writes: it knows no bits.
OLD_UPDATE = Statement("UPDATE gigs SET title = $2, document = $3::tsvector WHERE id = $1")
OLD_ROWS = Statement("UPDATE search_rows SET word_bits = NULL WHERE gig_id = $1")
WITHOUT = Statement("SELECT DISTINCT gig_id FROM search_rows WHERE word_bits IS NULL")
LEXEMES = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


@given(lexemes=LEXEMES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_load_makes_the_same_bits_as_the_database(gig_database: Database, lexemes: list[str]) -> None:
    row = gig_database.fetch_one(OF_DATABASE, lexemes)

    assert row is not None
    assert row["bits"] == word_bits(lexemes)


def test_each_word_of_three_letters_or_more_has_bits(gig_database: Database) -> None:
    assert [word_bits([lexeme]).count("1") > 0 for lexeme in ("seo", "logo", "c#", "=logo")] == [1, 1, 0, 0]
    assert word_bits(["logo", "banner"]).count("1") > word_bits(["logo"]).count("1")


def test_every_change_of_a_text_changes_the_bits_of_the_gigs_rows(gigs: Gigs, gig_database: Database) -> None:
    gig = gigs.create(title="Logo design", tags=["banner"], packages=prices(10, 20))
    gigs.rate(gig, 5)
    assert gig_database.fetch_all(WRONG) == []

    assert not gigs.call(an_update(gig, title="Website translation"), if_match=gigs.etag(gig)).error
    assert gig_database.fetch_all(WRONG) == []

    gig_database.fetch_all(OLD_UPDATE, UUID(gig), "Poster", "'poster':1A")
    assert gig_database.fetch_all(WRONG) == []


def test_rows_of_an_older_version_are_found_and_get_their_bits_in_the_background(
    gigs: Gigs, gig_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SAMPLED", "COLLECTED", "COLLECTED_PACKAGES"):
        monkeypatch.setattr(statements, name, 0)
    for build in (statements.sample, statements.walk, statements.rank, statements.collect):
        build.cache_clear()
        monkeypatch.setattr(statements, build.__name__, build.__wrapped__)
    old, new = (gigs.create(title=title) for title in ("Logo design", "Modern logo"))
    gigs.create(title="Banner")
    gig_database.fetch_all(OLD_ROWS, UUID(old))
    search = Store(gig_database).search

    for sort in (Sort.RELEVANCE, Sort.NEWEST, Sort.RATING):
        hits = search.page(Filters(), "('logo')", sort, after=None, limit=5).hits
        assert {hit.result.id for hit in hits} == {old, new}

    assert SearchIndex(gig_database).fill_word_bits() == 1
    assert gig_database.fetch_all(WITHOUT) == []
    assert gig_database.fetch_all(WRONG) == []
