"""The migration that reports all reviews to GigService, for badges that count each buyer once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from review_service.store.reviews import REVIEWS
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from servicekit.migrations import migrate
from tests.support.postgres import PostgresServer, migrations_of

REVIEW = Statement("""
    INSERT INTO reviews (id, order_id, gig_id, buyer_id, buyer_name, stars, comment, created_at)
    VALUES ($1, $2, $3, $4, 'ann', $5, '', $6)
""")
ROWS = Statement("SELECT key, payload FROM outbox WHERE topic = $1 ORDER BY id")
GIGS = (new_id(), new_id())
ANN, BOB = new_id(), new_id()


@pytest.fixture
def old_database(postgres: PostgresServer, tmp_path: Path) -> Iterator[Database]:
    """Return a database of the version before the migration."""
    for migration in sorted(migrations_of("review").glob("000[1-5]_*.py")):
        shutil.copy(migration, tmp_path)
    name = "reviews_before_sellers"
    database = Database(postgres.empty("review", name))
    migrate(database, tmp_path)
    yield database
    database.close()
    postgres.drop(name)


def store_review(database: Database, gig: UUID, buyer: UUID, stars: int, second: int) -> str:
    """Store a review as every version does; return its id."""
    review = new_id()
    at = datetime(2026, 1, 1, 0, 0, second, 123456, UTC)
    with database.transaction():
        database.fetch_all(REVIEW, review, new_id(), gig, buyer, stars, at)
    return str(review)


def test_the_newest_review_of_each_buyer_of_a_gig_is_reported_and_each_later_one(old_database: Database) -> None:
    store_review(old_database, GIGS[0], ANN, 1, 1)
    newest = {
        store_review(old_database, GIGS[0], ANN, 5, 3),
        store_review(old_database, GIGS[0], BOB, 4, 2),
        store_review(old_database, GIGS[1], ANN, 3, 4),
    }

    migrate(old_database, migrations_of("review"))

    rows = old_database.fetch_all(ROWS, REVIEWS)
    assert {row["key"] for row in rows} == newest
    later = store_review(old_database, GIGS[0], BOB, 2, 9)
    added = old_database.fetch_all(ROWS, REVIEWS)[-1]
    assert added["key"] == later
    at = datetime.fromisoformat(added["payload"].pop("created_at"))
    assert at == datetime(2026, 1, 1, 0, 0, 9, 123456, UTC)
    assert added["payload"] == {"gig_id": str(GIGS[0]), "buyer_id": str(BOB), "stars": 2}
