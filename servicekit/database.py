"""Access to PostgreSQL: a connection for each thread, prepared statements, and one error for a lost database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import peewee
import psycopg2
import psycopg2.extensions
import psycopg2.extras

from servicekit.crash import crash_point
from servicekit.errors import DeadlineExceeded, MarketplaceError, Unavailable

psycopg2.extras.register_uuid()

Row = dict[str, Any]

DRIVER_ERRORS = (peewee.DatabaseError, peewee.InterfaceError, psycopg2.Error)
# The server or the connection to it is gone; the statement is not to blame.
LOST = (peewee.OperationalError, peewee.InterfaceError, psycopg2.OperationalError, psycopg2.InterfaceError)
# These classes mean the same, but their subclasses do not: libpq has no SQLSTATE for a server that fell silent.
LOST_WITHOUT_SQLSTATE = (peewee.DatabaseError, psycopg2.DatabaseError)
# SQLSTATEs of a statement that was cancelled by statement_timeout or lock_timeout.
TIMED_OUT = frozenset(("57014", "55P03"))
# The most statements that one connection keeps prepared. Beyond it all are dropped, and prepared again when used.
MAX_PREPARED = 500


@dataclass(frozen=True)
class Statement:
    """SQL with `$1`, `$2`, … for parameters. Each connection prepares it once and keeps its plan."""

    sql: str

    @cached_property
    def name(self) -> str:
        """The prepared statement's name. It is derived from the SQL, so equal SQL has equal names."""
        return "s_" + hashlib.sha256(self.sql.encode()).hexdigest()[:20]


class DatabaseAway(Unavailable):
    """The database did not answer. The caller learns only that the service is unavailable."""


def _to_marketplace_error(error: Exception) -> MarketplaceError | None:
    """Return the error to raise instead of a driver's; None when the statement itself is at fault."""
    if not isinstance(error, LOST) and type(error) not in LOST_WITHOUT_SQLSTATE:
        return None
    cause = getattr(error, "orig", None) or error.__cause__ or error
    return DeadlineExceeded() if getattr(cause, "pgcode", None) in TIMED_OUT else DatabaseAway()


class _Connection(psycopg2.extensions.connection):
    """A connection with the names of the statements that are prepared on it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepared: set[str] = set()


class _Peewee(peewee.PostgresqlDatabase):
    def begin(self, *args: Any, **kwargs: Any) -> None:
        """Start a transaction. A connection that was lost while idle is replaced: nothing was done on it yet."""
        try:
            super().begin(*args, **kwargs)
        except DRIVER_ERRORS as error:
            if not isinstance(_to_marketplace_error(error), DatabaseAway):
                raise
            self.close()
            super().begin(*args, **kwargs)


class Database:
    """One service's database.

    `fetch_one` and `fetch_all` run statements; several writes that belong together stand in a `transaction`. Outside of
    one, each statement is a transaction of its own. A lost connection raises DatabaseAway and is replaced when the
    thread next needs one. A statement that takes longer than `statement_timeout_ms` raises DeadlineExceeded.
    """

    def __init__(self, url: str, *, statement_timeout_ms: int = 5000) -> None:
        # Any: peewee has no types.
        self.peewee: Any = _Peewee(
            url.replace("postgres://", "postgresql://", 1),
            connection_factory=_Connection,
            connect_timeout=2,
            options=f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={statement_timeout_ms}"
            " -c idle_in_transaction_session_timeout=30000 -c timezone=UTC",
        )

    @contextmanager
    def transaction(self, name: str = "") -> Iterator[None]:
        """Commit everything that the block writes, or nothing when it raises.

        A transaction with a name has two crash points: `name:commit` right before the commit, `name:committed` right
        after it.
        """
        with self._translated_errors(), self.peewee.atomic():
            yield
            if name:
                crash_point(f"{name}:commit")
        if name:
            crash_point(f"{name}:committed")

    def fetch_all(self, statement: Statement, *params: object) -> list[Row]:
        """Run a prepared statement and return its rows."""
        with self._translated_errors():
            try:
                return self._execute(statement, params)
            except DRIVER_ERRORS as error:
                if self.peewee.in_transaction() or not isinstance(_to_marketplace_error(error), DatabaseAway):
                    raise
                # Most likely the connection was lost while it was idle.
                self.close()
                return self._execute(statement, params)

    def fetch_one(self, statement: Statement, *params: object) -> Row | None:
        """Run a prepared statement and return its first row, if there is one."""
        rows = self.fetch_all(statement, *params)
        return rows[0] if rows else None

    def execute(self, sql: str, params: tuple[object, ...] | dict[str, object] | None = None) -> None:
        """Run SQL without preparing it, with psycopg2's `%s` or `%(name)s`: for migrations and maintenance."""
        with self._translated_errors():
            self.peewee.execute_sql(sql, params)

    def close(self) -> None:
        """Close this thread's connection."""
        self.peewee.close()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raise MarketplaceErrors instead of the driver's, and close a lost connection.

        Inside a transaction the connection stays open: the outermost block closes it.
        """
        try:
            yield
        except DRIVER_ERRORS as error:
            translated = _to_marketplace_error(error)
            if translated is None:
                raise
            if not self.peewee.in_transaction():
                self.close()
            raise translated from error

    def _execute(self, statement: Statement, params: tuple[object, ...]) -> list[Row]:
        connection = self.peewee.connection()
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            if statement.name not in connection.prepared:
                if len(connection.prepared) >= MAX_PREPARED:
                    cursor.execute("DEALLOCATE ALL")
                    connection.prepared.clear()
                cursor.execute(f"PREPARE {statement.name} AS {statement.sql}")
                connection.prepared.add(statement.name)
            placeholders = ", ".join(["%s"] * len(params))
            cursor.execute(f"EXECUTE {statement.name}" + (f" ({placeholders})" if params else ""), params or None)
            return cursor.fetchall() if cursor.description else []
