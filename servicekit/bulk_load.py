"""Loading many rows into a service's database by COPY, in batches that are each stored once and whole.

For trials only: nothing of a running service uses it. The database's own schema `load_data` says which batches are
stored, and which indexes and foreign keys are set aside. Both are written in the transactions that they tell of, so a
load may be killed at any moment, and the next one goes on.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from servicekit.database import Database, Statement

# A NULL in COPY's text format.
NULL = "\\N"

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS load_data;
-- The batches whose rows are stored.
CREATE TABLE IF NOT EXISTS load_data.batches (
    seed bigint NOT NULL,
    number integer NOT NULL,
    PRIMARY KEY (seed, number)
);
-- Indexes and foreign keys that are dropped while an empty database is filled. A row is removed when its index or
-- foreign key is back.
CREATE TABLE IF NOT EXISTS load_data.set_aside (
    place integer PRIMARY KEY,
    name text NOT NULL,
    definition text NOT NULL
);
"""
SESSION = """
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET synchronous_commit = off;
SET work_mem = '64MB';
SET maintenance_work_mem = '256MB';
"""
# One load of a database at a time. The number is arbitrary.
LOCK = Statement("SELECT pg_try_advisory_lock(7203114861) AS is_mine")
LOADED = Statement("SELECT number FROM load_data.batches WHERE seed = $1")
RECORD_BATCH = Statement("INSERT INTO load_data.batches (seed, number) VALUES ($1, $2)")
SET_ASIDE = Statement("""
    SELECT place, name, definition,
        pg_table_size(substring(definition FROM '(?: ON | TABLE )([^ ]+) ')::regclass) AS size
    FROM load_data.set_aside ORDER BY place
""")
# Unique indexes and primary keys stay: they are rules, not only speed.
DEFINITIONS = Statement("""
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition,
        format('DROP INDEX %s', indexrelid::regclass) AS removal
    FROM pg_index
    WHERE indrelid::regclass::text = ANY ($1::text[]) AND NOT indisunique
    AND indexrelid::regclass::text <> ALL ($2::text[])
    UNION ALL
    SELECT conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
        pg_get_constraintdef(oid)), format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
    FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text = ANY ($1::text[])
    ORDER BY definition DESC
""")
RECORD_SET_ASIDE = Statement("INSERT INTO load_data.set_aside (place, name, definition) VALUES ($1, $2, $3)")
# Between loads, so that each gets ids that follow each other. The number is arbitrary.
LOCK_IDS = Statement("SELECT pg_advisory_xact_lock(7203114862)")
RESERVE = Statement("""
    SELECT min(id) AS first, max(id) AS last
    FROM (SELECT pg_get_serial_sequence($1, 'id')::regclass AS sequence OFFSET 0) AS of_table,
        LATERAL (SELECT nextval(sequence) AS id FROM generate_series(1, $2::int)) AS ids
""")
REMOVE_SET_ASIDE = Statement("DELETE FROM load_data.set_aside WHERE place = $1")


@dataclass(frozen=True, slots=True)
class CopyInto:
    """A table and its columns, in the order in which lines of COPY's text format have them."""

    table: str
    columns: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """An index or a foreign key that is not there at the moment, and the bytes of its table."""

    place: int
    name: str
    definition: str
    size: int

    @property
    def is_index(self) -> bool:
        """Whether it is an index. Indexes come back first: foreign keys are checked by them."""
        return self.definition.startswith("CREATE INDEX")

    @property
    def is_slow(self) -> bool:
        """Whether it is an index with many entries for a row, which takes longest for the size of its table."""
        return " USING gin " in self.definition or " USING gist " in self.definition


class BulkLoad:
    """A connection for loading. Its transactions are not bounded in time."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.execute(SESSION)

    def create_schema(self) -> None:
        """Create the tables of the load, where they are missing."""
        with self.database.transaction():
            self.database.execute(SCHEMA)

    def lock(self) -> bool:
        """Take the database for this connection alone. Return False when another load has it."""
        row = self.database.fetch_one(LOCK)
        return row is not None and bool(row["is_mine"])

    def loaded(self, seed: int) -> set[int]:
        """Return the numbers of the batches that are stored."""
        return {row["number"] for row in self.database.fetch_all(LOADED, seed)}

    @contextmanager
    def batch(self, seed: int, number: int) -> Iterator[None]:
        """Store all rows of the block and the record of the batch, or nothing. A batch is stored once."""
        with self.database.transaction():
            self.database.fetch_all(RECORD_BATCH, seed, number)
            yield

    def reserve(self, table: str, number: int) -> int:
        """Return the first of so many ids of a table that follow each other, and that nobody else gets."""
        with self.database.transaction():
            self.database.fetch_all(LOCK_IDS)
            while True:
                row = self.database.fetch_one(RESERVE, table, number)
                assert row is not None
                if number == 0 or row["last"] - row["first"] == number - 1:
                    return row["first"] or 0
                # A service took an id in between. Ids that nobody uses do no harm.

    def copy(self, into: CopyInto, lines: Iterable[str]) -> None:
        """Add rows, given as lines of COPY's text format without their line ends."""
        data = "\n".join(lines)
        if not data:
            return
        connection = self.database.peewee.connection()
        if connection.waiting:
            # BEGIN, and writes that were kept back.
            self.database.peewee.send().close()
        with connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {into.table} ({into.columns}) FROM STDIN", io.BytesIO(data.encode()))

    def without_triggers(self, tables: Sequence[str]) -> None:
        """Let the rest of the transaction write to these tables without their triggers, and everybody else wait.

        `with_triggers` ends it; so does a transaction that fails.
        """
        for table in tables:
            self.database.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")

    def with_triggers(self, tables: Sequence[str]) -> None:
        """Enable the triggers again, before the transaction ends."""
        for table in tables:
            self.database.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    def set_aside(self, tables: Sequence[str], keep: Sequence[str] = ()) -> bool:
        """Drop the tables' indexes, but for unique ones and those to keep, and their foreign keys.

        Only where all the tables are empty: loading is then faster, and nobody misses them. Return whether any is set
        aside, now or by an earlier load. One transaction drops them and stores how to make them again.
        """
        with self.database.transaction():
            if self.database.fetch_all(SET_ASIDE):
                return True
            for table in tables:
                if self.database.fetch_all(Statement(f"SELECT 1 FROM {table} LIMIT 1")):  # noqa: S608  # our names
                    return False
            rows = self.database.fetch_all(DEFINITIONS, list(tables), list(keep))
            for place, row in enumerate(rows):
                self.database.fetch_all(RECORD_SET_ASIDE, place, row["name"], row["definition"])
                self.database.execute(row["removal"].replace("%", "%%"))
        return bool(rows)

    def missing(self) -> list[SetAside]:
        """Return the indexes and foreign keys that are set aside."""
        return [SetAside(**row) for row in self.database.fetch_all(SET_ASIDE)]

    def restore(self, item: SetAside) -> None:
        """Make an index or a foreign key again. Raises the driver's error when a row breaks the key."""
        with self.database.transaction():
            self.database.execute(item.definition.replace("%", "%%"))
            self.database.fetch_all(REMOVE_SET_ASIDE, item.place)

    def vacuum(self, table: str) -> None:
        """Update the planner's statistics and the visibility map of a table."""
        self.database.execute(f"VACUUM (ANALYZE) {table}")
