"""What a service knows of one user: its archive and its erasure, both from one list of `Records`.

Rows stay where the books or other people need them: their texts are replaced, their amounts, times and ids are not. All
of it can be stopped at any moment and begun again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from servicekit.database import Database, Statement, parameter_count, retry_conflicts
from servicekit.progress import Progress

# Stands in the place of a name or a title, which must not be empty.
ERASED = "[erased]"
CAN_CLEAR = Statement("SELECT 1 AS row FROM pg_proc WHERE proname = 'pg_clear_attribute_stats'")
CLEAR = """
    SELECT pg_clear_attribute_stats(nspname::text, relname::text, attname::text, false)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""
# The rows that are changed in one transaction, and so locked at once.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Records:
    """Rows of `table` that belong to a user, by the name that they have in the archive.

    `whose` is their condition: `$1` is the user's id, further parameters are the service's own. `key` is the table's
    primary key. `shown` are the columns, or expressions, of the archive; none for rows that only repeat others.
    `erased` are the columns that erasure replaces, with SQL for their new values; `is_deleted` removes the rows.
    """

    name: str
    table: str
    whose: str
    key: str = "id"
    shown: str = ""
    order: str = ""
    erased: Mapping[str, str] = field(default_factory=dict)
    is_deleted: bool = False

    @property
    def archive(self) -> Statement:
        """Return the statement that reads the rows as JSON."""
        return Statement(f"""
            SELECT to_jsonb(shown)::text AS row FROM (
                SELECT {self.shown} FROM {self.table} WHERE {self.whose} ORDER BY {self.order or self.key}
            ) AS shown
        """)

    @property
    def rest(self) -> Statement:
        """Return the statement that counts the rows that are not erased yet."""
        return Statement(f"SELECT count(*) AS number FROM {self.table} WHERE {self._unerased}")

    @property
    def erase(self) -> Statement:
        """Return the statement that erases some of the rows. Its last parameter is their number."""
        some = f"""
            SELECT {self.key} FROM {self.table} WHERE {self._unerased}
            ORDER BY {self.key} LIMIT ${parameter_count(self.whose) + 1} FOR UPDATE
        """
        change = f"DELETE FROM {self.table}"
        if not self.is_deleted:
            columns = ", ".join(f"{column} = {value}" for column, value in self.erased.items())
            change = f"UPDATE {self.table} SET {columns}"
        return Statement(f"{change} WHERE ({self.key}) IN ({some}) RETURNING 1")

    @property
    def _unerased(self) -> str:
        if self.is_deleted:
            return f"({self.whose})"
        differs = " OR ".join(f"{column} IS DISTINCT FROM {value}" for column, value in self.erased.items())
        return f"({self.whose}) AND ({differs})"


# Of every service with idempotency keys. The stored responses repeat other records.
IDEMPOTENCY_KEYS = Records(
    "idempotency_keys",
    "idempotency_keys",
    "caller = $1",
    key="caller, scope, key",
    shown="scope, key, created_at",
    is_deleted=True,
)


class Erased(NamedTuple):
    """The number of rows of some records that were erased."""

    name: str
    rows: int


class PersonalData:
    """A service's records of users. `params` are the user's id and the further parameters of the records.

    `derived` are further tables that have, or had, parts of them.
    """

    def __init__(self, database: Database, records: Sequence[Records], derived: Sequence[str] = ()) -> None:
        self._database = database
        self._records = records
        self._derived = derived

    def archive(self, *params: object) -> Iterator[tuple[str, list[str]]]:
        """Yield the name of each of the records with its rows, which are JSON. Those without rows are left out."""
        for records in self._records:
            if records.shown:
                rows = self._database.fetch_all(records.archive, *_some(params, records.whose))
                if rows:
                    yield records.name, [row["row"] for row in rows]

    def erase(self, *params: object, progress: Progress) -> Iterator[Erased]:
        """Erase all records, some hundred rows a transaction; yield what was done. Raises Unavailable."""
        for records in self._records:
            if records.erased or records.is_deleted:
                used = _some(params, records.whose)
                progress.begin(self._rest(records, used), records.name.replace("_", " "))
                rows = 0
                while self._rest(records, used):
                    done = self._erase_some(records, used)
                    rows += done
                    progress.advance(done)
                yield Erased(records.name, rows)

    def forget_samples(self, *, compacts: bool) -> None:
        """Make the planner's statistics anew: they have samples of values. With `compacts`, also the tables' files.

        PostgreSQL leaves old rows in the files of tables until it needs the room. Compacting writes the tables anew,
        without them, and keeps readers and writers of a table waiting meanwhile.
        """
        changed = {records.table for records in self._records if records.erased or records.is_deleted}
        forget_samples(self._database, sorted({*self._derived, *changed}), compacts=compacts)

    def _rest(self, records: Records, params: Sequence[object]) -> int:
        row = self._database.fetch_one(records.rest, *params)
        assert row is not None
        number: int = row["number"]
        return number

    @retry_conflicts
    def _erase_some(self, records: Records, params: Sequence[object]) -> int:
        with self._database.transaction("erase"):
            return len(self._database.fetch_all(records.erase, *params, BATCH))


def forget_samples(database: Database, tables: Sequence[str], *, compacts: bool) -> None:
    """Do for these tables what PersonalData does for its own."""
    database.execute("SET statement_timeout = 0")
    for table in tables:
        database.execute(f"VACUUM (FULL, ANALYZE) {table}" if compacts else f"ANALYZE {table}")
        # Of a table without rows ANALYZE keeps the old samples. Before PostgreSQL 18 they stay until there are rows.
        is_empty = not database.fetch_all(Statement(f"SELECT 1 AS row FROM {table} LIMIT 1"))
        if is_empty and database.fetch_all(CAN_CLEAR):
            database.execute(CLEAR, (table,))


def _some(params: Sequence[object], sql: str) -> tuple[object, ...]:
    """Return the parameters that the SQL has; PostgreSQL does not take more."""
    return tuple(params[: parameter_count(sql)])
