"""Access to PostgreSQL: a connection for each thread, prepared statements, and errors for what is no fault of theirs.

A conflict is a transaction that PostgreSQL ends because of another one: a deadlock or a serialization failure. Nothing
of it was written, so it may be repeated; `retry_conflicts` does that.
"""

from __future__ import annotations

import functools
import hashlib
import random
import re
import select
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

import peewee
import psycopg2
import psycopg2.extras
import structlog
from prometheus_client import Counter

from servicekit.batches import BatchingDatabase, Connection, NotReplicated, Sent
from servicekit.call import current_call, require_time
from servicekit.crash import crash_point
from servicekit.errors import DeadlineExceeded, MarketplaceError, OutcomeUnknown, Unavailable
from servicekit.failover import NOT_PRIMARY, OPTIONS, Primary, PrimaryAway, fails_over, own_host_first
from servicekit.logs import describe
from servicekit.spans import spans

psycopg2.extras.register_uuid()

Row = dict[str, Any]
# The columns as psycopg2 describes them, and the rows.
_Result = tuple[Iterable[Any], list[tuple[Any, ...]]]
P = ParamSpec("P")
T = TypeVar("T")

DRIVER_ERRORS = (peewee.DatabaseError, peewee.InterfaceError, psycopg2.Error)
# The server or the connection to it is gone; the statement is not to blame.
LOST = (peewee.OperationalError, peewee.InterfaceError, psycopg2.OperationalError, psycopg2.InterfaceError)
# These classes mean the same, but their subclasses do not: libpq has no SQLSTATE for a server that fell silent.
LOST_WITHOUT_SQLSTATE = (peewee.DatabaseError, psycopg2.DatabaseError)
# SQLSTATEs of a statement that was cancelled by statement_timeout or lock_timeout.
TIMED_OUT = frozenset(("57014", "55P03"))
# SQLSTATEs of a transaction that another one made fail: serialization_failure and deadlock_detected.
CONFLICTS = frozenset(("40001", "40P01"))
# The parameters of a statement.
_PARAMETERS = re.compile(r"\$([1-9][0-9]*)")
# The words of SQL that changes rows.
_WRITES = re.compile(r"\b(?:insert|update|delete|merge)\b", re.IGNORECASE)
# How often `retry_conflicts` runs a function, and the pause before the second run; it doubles before each further one.
MAX_RUNS = 4
FIRST_PAUSE_SECONDS = 0.02

CONFLICTS_TOTAL = Counter(
    "marketplace_transaction_conflicts_total", "Transactions of this worker that lost a conflict", ["sqlstate"]
)


@dataclass(frozen=True)
class Statement:
    """SQL with `$1`, `$2`, … for parameters. Each connection prepares it once and keeps its plan."""

    sql: str

    @cached_property
    def name(self) -> str:
        """The prepared statement's name. It is derived from the SQL, so equal SQL has equal names."""
        return "s_" + hashlib.sha256(self.sql.encode()).hexdigest()[:20]

    @cached_property
    def is_read(self) -> bool:
        """Whether it changes no rows, so that it may be run again, and on a standby."""
        return not _WRITES.search(self.sql)

    @cached_property
    def call(self) -> str:
        """The EXECUTE that runs it, with psycopg2's placeholders."""
        number = parameter_count(self.sql)
        return f"EXECUTE {self.name}" + (f" ({', '.join(['%s'] * number)})" if number else "")


NOTHING = Statement("SELECT")


def _is_readable(connection: Connection) -> bool:
    """Return whether PostgreSQL has sent something to an idle connection, which it does when it closes it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def parameter_count(sql: str) -> int:
    """Return the number of parameters of a statement: its greatest `$n`."""
    return max(map(int, _PARAMETERS.findall(sql)), default=0)


def placeholders(number: int, first: int = 1) -> str:
    """Return the parameters of a statement, `$1, $2, …` or from a later one, so many of them."""
    return ", ".join(f"${each}" for each in range(first, first + number))


class DatabaseAway(Unavailable):
    """The database did not answer. The caller learns only that the service is unavailable."""


class TransactionConflict(Unavailable):
    """PostgreSQL ended the transaction because of another one. Nothing of it was written.

    `is_over` says whether the whole transaction is rolled back, so that it can be run again. It is False within an
    outer transaction, whose locks are still there.
    """

    is_over = False


def _to_marketplace_error(error: Exception) -> MarketplaceError | None:
    """Return the error to raise instead of a driver's; None when the statement itself is at fault."""
    sqlstate = _sqlstate(error)
    if sqlstate in NOT_PRIMARY:
        return DatabaseAway()
    if not isinstance(error, LOST) and type(error) not in LOST_WITHOUT_SQLSTATE:
        return None
    if sqlstate in CONFLICTS:
        return TransactionConflict()
    return DeadlineExceeded() if sqlstate in TIMED_OUT else DatabaseAway()


def _sqlstate(error: Exception) -> str | None:
    cause = getattr(error, "orig", None) or error.__cause__ or error
    return getattr(cause, "pgcode", None)


def retry_conflicts(work: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function so that it is run again when its transaction loses a conflict, four times in all.

    For a function that makes all its writes in one transaction, and no outgoing call. Within an outer transaction it
    is run once: only the function that began the outer one can be run again. Raises TransactionConflict after the last
    run, and DeadlineExceeded when the current call has no time left for another.
    """

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        for number in range(MAX_RUNS - 1):
            try:
                return work(*args, **kwargs)
            except TransactionConflict as conflict:
                if not conflict.is_over:
                    raise
                require_time()
                time.sleep(FIRST_PAUSE_SECONDS * 2**number * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
        return work(*args, **kwargs)

    return run


class Database:
    """One service's database.

    `fetch_one` and `fetch_all` run statements; several writes that belong together stand in a `transaction`. Outside of
    one, each statement is a transaction of its own. A lost connection raises DatabaseAway and is replaced when the
    thread next needs one. A statement that takes longer than `statement_timeout_ms` raises DeadlineExceeded. A deadlock
    or a serialization failure raises TransactionConflict.

    A URL may have several hosts, one of which is the primary (servicekit.failover). `waiting_threads` may then wait for
    it at once. With `own_host`, the anonymous reads of calls are run there, or on another host while it is away.
    """

    def __init__(
        self, url: str, *, statement_timeout_ms: int = 5000, waiting_threads: int = 2, own_host: str = ""
    ) -> None:
        url = url.replace("postgres://", "postgresql://", 1)
        self._may_move = fails_over(url)
        params: dict[str, Any] = {
            "connection_factory": Connection,
            "connect_timeout": 2,
            "options": f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={statement_timeout_ms}"
            " -c idle_in_transaction_session_timeout=30000 -c timezone=UTC"
            # Starting processes for one statement costs more CPU than it saves: a search by words among a million gigs
            # took 41 ms with them and 26 without.
            " -c max_parallel_workers_per_gather=0",
        }
        # Any: peewee has no types.
        self.peewee: Any = BatchingDatabase(url, **params, **(OPTIONS if self._may_move else {}))
        if self._may_move:
            self.peewee.primary = Primary(self.peewee.connect_to, waiting_threads)
        self._standby: Any = BatchingDatabase(url, **params, **own_host_first(url, own_host)) if own_host else None

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
        columns, rows = self._fetch(statement, params)
        names = [column.name for column in columns]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def fetch_one(self, statement: Statement, *params: object) -> Row | None:
        """Run a prepared statement and return its first row, if there is one."""
        rows = self.fetch_all(statement, *params)
        return rows[0] if rows else None

    def fetch_tuple(self, statement: Statement, *params: object) -> tuple[Any, ...] | None:
        """Do as `fetch_one`, with the columns in the order of the statement, for the reads that must be cheap."""
        rows = self.fetch_tuples(statement, *params)
        return rows[0] if rows else None

    def fetch_tuples(self, statement: Statement, *params: object) -> list[tuple[Any, ...]]:
        """Do as `fetch_all`, with the columns in the order of the statement, for the reads that must be cheap."""
        return self._fetch(statement, params)[1]

    def commit_one(self, name: str, statement: Statement, *params: object) -> Row | None:
        """Run a prepared statement that is a transaction by itself. Return its first row, if there is one.

        It has the crash points of a transaction of this name, and is never repeated: nobody would know whether it was
        committed twice. Raises OutcomeUnknown when its connection is lost, and DatabaseAway when nothing was sent.
        """
        assert not self.peewee.in_transaction()
        with self._translated_errors():
            is_doubtful = _is_readable(self.peewee.connection())
        if is_doubtful:
            # Lost while it was idle, most likely. This is repeated, on another connection.
            self.fetch_all(NOTHING)
        crash_point(f"{name}:commit")
        try:
            with self._translated_errors():
                columns, rows = self._execute(statement, params)
        except DatabaseAway as error:
            if isinstance(error.__cause__, PrimaryAway):
                raise
            raise OutcomeUnknown.because_of(error) from error
        crash_point(f"{name}:committed")
        return dict(zip([column.name for column in columns], rows[0], strict=True)) if rows else None

    def write(self, statement: Statement, *params: object) -> None:
        """Run a prepared statement whose result nobody needs.

        In a transaction it is sent with the next statement of `fetch_one` and `fetch_all`, or with COMMIT, which then
        raise its errors.
        """
        if self.peewee.in_transaction():
            self.peewee.later(Sent.of(statement, params))
        else:
            self.fetch_all(statement, *params)

    def execute(self, sql: str, params: tuple[object, ...] | dict[str, object] | None = None) -> None:
        """Run SQL without preparing it, with psycopg2's `%s` or `%(name)s`: for migrations and maintenance."""
        with self._translated_errors():
            self.peewee.execute_sql(sql, params)

    def close(self) -> None:
        """Close this thread's connection."""
        self.peewee.close()
        if self._standby is not None:
            self._standby.close()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raise MarketplaceErrors instead of the driver's, count a conflict, and close a lost connection.

        Inside a transaction the connection stays open: the outermost block closes it.
        """
        try:
            yield
        except TransactionConflict as conflict:
            # A statement of the block has raised it, inside the transaction.
            conflict.is_over = not self.peewee.in_transaction()
            raise
        except DRIVER_ERRORS as error:
            translated = _to_marketplace_error(error)
            if translated is None:
                raise
            if isinstance(translated, DatabaseAway) and self._may_move:
                translated.primary_away = True
                self._lost(error)
            if isinstance(translated, TransactionConflict):
                translated.is_over = not self.peewee.in_transaction()
                self._report_conflict(error)
            elif not self.peewee.in_transaction():
                self.close()
            raise translated from error

    def _lost(self, error: Exception) -> None:
        """Tell the prober that the primary is away, when the error says more than that it is known to be."""
        cause = getattr(error, "orig", None) or error
        if not isinstance(cause, PrimaryAway | NotReplicated):
            self.peewee.primary.lost()

    def _report_conflict(self, error: Exception) -> None:
        CONFLICTS_TOTAL.labels(_sqlstate(error)).inc()
        structlog.get_logger().warning("transaction conflict", sqlstate=_sqlstate(error), reason=describe(error))

    def _fetch(self, statement: Statement, params: tuple[object, ...]) -> _Result:
        """Run a prepared statement, once more when its connection was lost while it was idle.

        Where the primary may move, only a read is run again: the answer to a write may have been lost with it.
        """
        try:
            return self._execute(statement, params)
        except DRIVER_ERRORS as error:
            with self._translated_errors():
                if self.peewee.in_transaction() or not isinstance(_to_marketplace_error(error), DatabaseAway):
                    raise
                if self._may_move and not statement.is_read:
                    raise
                self.close()
                return self._execute(statement, params)

    def _execute(self, statement: Statement, params: tuple[object, ...]) -> _Result:
        with self._server_for(statement).send(Sent.of(statement, params)) as cursor:
            spans().changed(statement.sql, cursor.rowcount)
            columns = cursor.description
            return (columns, cursor.fetchall()) if columns else ((), [])

    def _server_for(self, statement: Statement) -> Any:
        """Return where to run a statement: a standby for the anonymous reads of calls, if there is one."""
        if self._standby is None or not statement.is_read or self.peewee.in_transaction():
            return self.peewee
        call = current_call.get()
        return self._standby if call is not None and call.reads_standby else self.peewee
