"""The way to PostgreSQL: one connection a thread, prepared statements, and one answer to a database that is away."""

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

FAULTS = (peewee.DatabaseError, peewee.InterfaceError, psycopg2.Error)
# What says that the server, or the way to it, is gone: nothing that the statement itself could be blamed for.
AWAY = (peewee.OperationalError, peewee.InterfaceError, psycopg2.OperationalError, psycopg2.InterfaceError)
# These say it only as they stand, not as their subclasses: libpq has no SQLSTATE for a server that fell silent.
AWAY_UNNAMED = (peewee.DatabaseError, psycopg2.DatabaseError)
# SQLSTATEs of a statement that was given up: statement_timeout and lock_timeout.
GIVEN_UP = frozenset(("57014", "55P03"))
# Statements prepared on one connection at most; beyond, all are dropped and prepared again as they are used.
MAX_PREPARED = 500


@dataclass(frozen=True)
class Statement:
    """SQL with `$1`, `$2`, … for parameters. It is prepared once a connection, and its plan is kept there."""

    sql: str

    @cached_property
    def name(self) -> str:
        """Its name on a connection: the same SQL has the same one."""
        return "s_" + hashlib.sha256(self.sql.encode()).hexdigest()[:20]


class DatabaseAway(Unavailable):
    """The database did not answer; the caller is told no more than that the service is unavailable."""


def _told(error: Exception) -> MarketplaceError | None:
    """What is raised instead of one of FAULTS; None for a fault of the statement's own."""
    if not isinstance(error, AWAY) and type(error) not in AWAY_UNNAMED:
        return None
    cause = getattr(error, "orig", None) or error.__cause__ or error
    return DeadlineExceeded() if getattr(cause, "pgcode", None) in GIVEN_UP else DatabaseAway()


class _Connection(psycopg2.extensions.connection):
    """A connection that knows what is prepared on it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepared: set[str] = set()


class _Peewee(peewee.PostgresqlDatabase):
    def begin(self, *args: Any, **kwargs: Any) -> None:
        """Starts a transaction. A connection that died while it lay idle is replaced: nothing was done on it yet."""
        try:
            super().begin(*args, **kwargs)
        except FAULTS as error:
            if not isinstance(_told(error), DatabaseAway):
                raise
            self.close()
            super().begin(*args, **kwargs)


class Database:
    """One service's database.

    Reads go through `fetch_one` and `fetch_all`; writes stand in a `transaction`. Outside of one, each statement is its
    own transaction. A lost connection raises DatabaseAway and is replaced when the thread next needs one; a statement
    that takes longer than `statement_timeout_ms` raises DeadlineExceeded.
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
        """All that is written inside becomes visible together, or not at all when anything is raised.

        The commit of one that has a name is a crash point: `name:commit` right before it, `name:committed` right after.
        """
        with self._translating(), self.peewee.atomic():
            yield
            if name:
                crash_point(f"{name}:commit")
        if name:
            crash_point(f"{name}:committed")

    def fetch_all(self, statement: Statement, *params: object) -> list[Row]:
        """The rows of a prepared statement."""
        with self._translating():
            try:
                return self._execute(statement, params)
            except FAULTS as error:
                if self.peewee.in_transaction() or not isinstance(_told(error), DatabaseAway):
                    raise
                # The connection died while it lay idle, most likely.
                self.close()
                return self._execute(statement, params)

    def fetch_one(self, statement: Statement, *params: object) -> Row | None:
        """The first row of a prepared statement, if there is one."""
        rows = self.fetch_all(statement, *params)
        return rows[0] if rows else None

    def execute(self, sql: str, params: tuple[object, ...] | dict[str, object] | None = None) -> None:
        """Runs SQL as it is, with psycopg2's `%s` or `%(name)s`: for migrations and maintenance."""
        with self._translating():
            self.peewee.execute_sql(sql, params)

    def close(self) -> None:
        """Closes this thread's connection."""
        self.peewee.close()

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Raises what a caller can be told. Inside a transaction the connection is closed by who opened it."""
        try:
            yield
        except FAULTS as error:
            told = _told(error)
            if told is None:
                raise
            if not self.peewee.in_transaction():
                self.close()
            raise told from error

    def _execute(self, statement: Statement, params: tuple[object, ...]) -> list[Row]:
        connection = self.peewee.connection()
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            if statement.name not in connection.prepared:
                if len(connection.prepared) >= MAX_PREPARED:
                    cursor.execute("DEALLOCATE ALL")
                    connection.prepared.clear()
                cursor.execute(f"PREPARE {statement.name} AS {statement.sql}")
                connection.prepared.add(statement.name)
            places = ", ".join(["%s"] * len(params))
            cursor.execute(f"EXECUTE {statement.name}" + (f" ({places})" if params else ""), params or None)
            return cursor.fetchall() if cursor.description else []
