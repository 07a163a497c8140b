"""Loading by batches: stored once and whole, and indexes that are set aside come back."""

from __future__ import annotations

import pytest

from gig_service.store.bulk_load import SELLERS, TABLES
from servicekit.bulk_load import BulkLoad
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from tests.support.postgres import url_of

SELLER_COUNT = Statement("SELECT count(*) AS number FROM sellers")
KEYS = Statement("""
    SELECT pg_get_indexdef(indexrelid) AS definition, indisunique AS is_unique FROM pg_index
    WHERE indrelid::regclass::text = ANY ($1::text[])
    UNION ALL SELECT conname || pg_get_constraintdef(oid) || convalidated, false FROM pg_constraint
    WHERE contype = 'f' AND conrelid::regclass::text = ANY ($1::text[])
""")


@pytest.fixture
def bulk(gig_database: Database) -> BulkLoad:
    load = BulkLoad(gig_database)
    load.create_schema()
    return load


def a_seller() -> str:
    return f"{new_id()}\tanna\t1\t0\t0"


def sellers(bulk: BulkLoad) -> int:
    return int(bulk.database.fetch_all(SELLER_COUNT)[0]["number"])


def keys(bulk: BulkLoad, *, unique: bool | None = None) -> list[str]:
    rows = bulk.database.fetch_all(KEYS, list(TABLES))
    return sorted(row["definition"] for row in rows if unique is None or row["is_unique"] is unique)


def test_a_batch_that_fails_leaves_neither_rows_nor_its_record(bulk: BulkLoad) -> None:
    with pytest.raises(KeyError), bulk.batch(1, 0):
        bulk.copy(SELLERS, [a_seller()])
        raise KeyError

    assert (sellers(bulk), bulk.loaded(1)) == (0, set())


def test_rows_that_begin_a_transaction_belong_to_it(bulk: BulkLoad) -> None:
    with pytest.raises(KeyError), bulk.database.transaction():
        bulk.copy(SELLERS, [a_seller()])
        raise KeyError

    assert sellers(bulk) == 0


def test_a_batch_is_stored_once(bulk: BulkLoad) -> None:
    for _ in range(2):
        try:
            with bulk.batch(1, 0):
                bulk.copy(SELLERS, [a_seller()])
        except Exception as error:  # peewee's or the driver's
            assert "batches_pkey" in str(error)

    assert (sellers(bulk), bulk.loaded(1), bulk.loaded(2)) == (1, {0}, set())


def test_indexes_that_are_set_aside_come_back_in_a_later_load(bulk: BulkLoad) -> None:
    before, unique = keys(bulk), keys(bulk, unique=True)

    assert bulk.set_aside(TABLES)
    assert keys(bulk) == unique
    with bulk.batch(1, 0):
        bulk.copy(SELLERS, [a_seller()])
    # Another load, after one that was killed here.
    later = BulkLoad(bulk.database)
    assert later.set_aside(TABLES)
    for item in sorted(later.missing(), key=lambda item: not item.is_index):
        later.restore(item)

    assert keys(bulk) == before
    assert later.missing() == []


def test_nothing_is_set_aside_where_there_are_rows(bulk: BulkLoad) -> None:
    before = keys(bulk)
    bulk.copy(SELLERS, [a_seller()])

    assert not bulk.set_aside(TABLES)
    assert keys(bulk) == before


def test_indexes_to_keep_are_kept(bulk: BulkLoad) -> None:
    bulk.set_aside(TABLES, ["search_rows_packages"])

    assert any("INDEX search_rows_packages " in definition for definition in keys(bulk))


def test_a_foreign_key_that_a_row_breaks_is_not_made_again(bulk: BulkLoad) -> None:
    bulk.set_aside(TABLES)
    bulk.database.execute(
        "INSERT INTO seller_reviews VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now(), 5)"
    )
    key = next(item for item in bulk.missing() if item.name == "seller_reviews_seller_id_fkey")

    with pytest.raises(Exception, match="seller_reviews_seller_id_fkey"):
        bulk.restore(key)

    assert key in bulk.missing()


def test_one_load_at_a_time(bulk: BulkLoad, gig_database: Database) -> None:
    other = Database(url_of(gig_database))

    assert bulk.lock()
    assert not BulkLoad(other).lock()

    other.close()


def test_reserved_ids_follow_each_other_and_nobody_else_gets_them(bulk: BulkLoad) -> None:
    bulk.database.execute("CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY)")
    other = Database(url_of(bulk.database))
    insert = Statement("INSERT INTO numbered DEFAULT VALUES RETURNING id")

    before = other.fetch_all(insert)[0]["id"]
    first = bulk.reserve("numbered", 50)
    after = other.fetch_all(insert)[0]["id"]
    other.close()

    assert before < first
    assert after == first + 50
    assert bulk.reserve("numbered", 0) == 0
    assert bulk.reserve("numbered", 1) == after + 1


def test_ids_that_somebody_takes_in_between_are_not_reserved(bulk: BulkLoad, monkeypatch: pytest.MonkeyPatch) -> None:
    bulk.database.execute("CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY)")
    taken = [{"first": 1, "last": 11}, {"first": 20, "last": 29}]
    fetch_one = bulk.database.fetch_one
    monkeypatch.setattr(
        bulk.database, "fetch_one", lambda statement, *values: taken.pop(0) if taken else fetch_one(statement, *values)
    )

    assert bulk.reserve("numbered", 10) == 20
