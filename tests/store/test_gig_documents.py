"""Documents: the migration to documents that the service makes, and gigs that an older version has written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from servicekit.migrations import migrate
from tests.support.gigs import WEB_DEV, Gigs, an_update
from tests.support.postgres import PostgresServer, migrations_of, url_of

SELLER = Statement("INSERT INTO sellers (id, username) VALUES ($1, 'ann')")
# As a worker of the version before writes a gig: it knows neither documents nor counts of words.
OLD_GIG = Statement("""
    INSERT INTO gigs (id, seller_id, title, description, category_id, tags, status, created_at, updated_at)
    VALUES ($1, $2, $3, 'x', $4, '{}', 'ACTIVE', now(), now())
""")
OLD_PACKAGE = Statement("""
    INSERT INTO packages (id, gig_id, position, title, description, price, delivery_days, features, revisions)
    VALUES (gen_random_uuid(), $1, 1, 'Basic', 'Basic', 20, 3, '{}', 1)
""")
OLD_ROW = Statement("""
    INSERT INTO search_rows
        (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count,
         created_at)
    SELECT p.id, g.id, g.seller_id, g.status, g.category_id, g.category_id, p.price, p.delivery_days, g.rating,
        g.review_count, g.created_at
    FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id WHERE g.id = $1
""")
OLD_UPDATE = Statement("UPDATE gigs SET title = $2 WHERE id = $1")
OLD_WORDS = Statement("INSERT INTO words (word) SELECT regexp_split_to_table(lower($1), ' ') ON CONFLICT DO NOTHING")
OUTDATED = Statement("SELECT gig_id FROM gigs_to_analyse ORDER BY gig_id")
COUNTS = Statement("SELECT word, gigs FROM words WHERE gigs > 0")


@pytest.fixture
def old_database(postgres: PostgresServer, tmp_path: Path) -> Iterator[Database]:
    """Return a database of the version before the migration."""
    for migration in sorted(migrations_of("gig").glob("000[1-7]_*.py")):
        shutil.copy(migration, tmp_path)
    name = "gigs_before_documents"
    database = Database(postgres.empty("gig", name))
    migrate(database, tmp_path)
    yield database
    database.close()
    postgres.drop(name)


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


def write_old(database: Database, seller: UUID, title: str) -> str:
    """Store a gig as the version before does; return its id."""
    gig_id = new_id()
    with database.transaction():
        database.fetch_all(OLD_GIG, gig_id, seller, title, WEB_DEV)
        database.fetch_all(OLD_PACKAGE, gig_id)
        database.fetch_all(OLD_ROW, gig_id)
        database.fetch_all(OLD_WORDS, title)
    return str(gig_id)


def outdated(database: Database) -> list[str]:
    return [str(row["gig_id"]) for row in database.fetch_all(OUTDATED)]


def counts(database: Database) -> dict[str, int]:
    return {row["word"]: row["gigs"] for row in database.fetch_all(COUNTS)}


def test_gigs_from_before_are_found_as_before_until_they_are_analysed_and_better_then(old_database: Database) -> None:
    seller = new_id()
    old_database.fetch_all(SELLER, seller)
    titles = ["Organisation of buses", "C# programs", "Colours of Rome", "Ten quizzes"]
    ids = [write_old(old_database, seller, title) for title in titles]

    migrate(old_database, migrations_of("gig"))

    assert outdated(old_database) == sorted(ids)
    for titled, gig_id in zip(titles, ids, strict=True):
        assert Gigs(old_database).found(q=titled) == [gig_id]
    assert Gigs(old_database).found(q="quiz") == []

    gigs = Gigs(old_database)
    assert gigs.store.documents.analyse_outdated() == len(ids)
    assert gigs.store.documents.analyse_outdated() == 0

    assert outdated(old_database) == []
    found = [gigs.found(q=q) for q in ("organization bus", "c#", "color", "quiz")]
    assert found == [[gig_id] for gig_id in ids]
    assert counts(old_database)["rome"] == 1


def test_a_gig_of_a_worker_of_the_version_before_is_found_and_analysed_later(
    gigs: Gigs, gig_database: Database
) -> None:
    seller = new_id()
    gig_database.fetch_all(SELLER, seller)
    gig_id = write_old(gig_database, seller, "Coloured lenses")
    assert gigs.found(q="lens") == []
    assert gigs.found(q="lenses") == [gig_id]

    assert gigs.store.documents.analyse_outdated() == 1

    assert gigs.found(q="colored lens") == [gig_id]


def test_a_title_that_a_worker_of_the_version_before_changes_is_analysed_later(
    gigs: Gigs, gig_database: Database
) -> None:
    gig_id = gigs.create(title="Camera lenses", description="x", tags=[])
    assert outdated(gig_database) == []

    gig_database.fetch_all(OLD_UPDATE, UUID(gig_id), "Kitchen knives")

    assert outdated(gig_database) == [gig_id]
    assert gigs.found(q="knives") == [gig_id]
    assert gigs.found(q="camera") == []
    gigs.store.documents.analyse_outdated()
    assert gigs.found(q="knife") == [gig_id]


def test_a_gig_that_is_being_changed_is_analysed_when_that_is_over(gigs: Gigs, gig_database: Database) -> None:
    gig_id = gigs.create(title="Camera lenses", description="x", tags=[])
    gig_database.fetch_all(OLD_UPDATE, UUID(gig_id), "Kitchen knives")
    database = Database(url_of(gig_database))
    other = Gigs(database)

    with gigs.store.transaction():
        gigs.store.gigs.lock(UUID(gig_id))
        assert other.store.documents.analyse_outdated() == 0

    assert other.store.documents.analyse_outdated() == 1
    database.close()


def test_words_are_counted_by_the_gigs_that_have_them(gigs: Gigs, gig_database: Database) -> None:
    first = gigs.create(title="Logo logo", description="logo design", tags=["logo"])
    gigs.create(title="Logo", description="print", tags=[])
    assert counts(gig_database) == {"logo": 2, "design": 1, "print": 1}

    gigs.call(an_update(first, title="Banner", description="design"))
    assert counts(gig_database) == {"logo": 1, "design": 1, "print": 1, "banner": 1}

    gigs.call(gig_pb2.DeleteGigRequest(gig_id=first))
    assert counts(gig_database) == {"logo": 1, "print": 1}


def test_the_count_of_a_frequent_word_is_right_on_average(gigs: Gigs, gig_database: Database) -> None:
    for _ in range(1000):
        gigs.store.vocabulary.count({"logo": 1})
    assert 400 < counts(gig_database)["logo"] < 2500

    gigs.store.vocabulary.count({"logo": 50_000})
    assert 48_000 < counts(gig_database)["logo"] < 56_000
