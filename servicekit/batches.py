"""Peewee's database with fewer round trips: statements whose result nobody needs are sent with the next one.

BEGIN, savepoints and the writes of `later` wait on the connection. The next statement with a result, or COMMIT, takes
them along: all are one message, which PostgreSQL runs in order and stops at the first error. So a change that locks a
row, decides and writes five rows takes two messages, not eight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import peewee
import psycopg2
import psycopg2.extensions

from servicekit.call import note_write
from servicekit.failover import Place, Primary
from servicekit.spans import spans

# What a server says when it stops to wait for its standbys: the transaction may be lost with this host.
NOT_REPLICATED = "canceling wait for synchronous replication"
# The most statements that one connection keeps prepared. Beyond it all are dropped, and prepared again when used.
MAX_PREPARED = 500


class NotReplicated(psycopg2.OperationalError):
    """The transaction is committed, but maybe on this host alone: nobody knows whether it stays."""


class Prepared(Protocol):
    """A statement that connections prepare; `call` is its EXECUTE, with psycopg2's placeholders."""

    @property
    def sql(self) -> str:
        """The statement with parameters $1, $2 and so on."""

    @property
    def name(self) -> str:
        """Its name on a connection."""

    @property
    def call(self) -> str:
        """Its EXECUTE."""

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""


class Sent(NamedTuple):
    """A statement to send: a prepared one with its parameters, or the text of one that ends or begins something."""

    text: str
    params: tuple[object, ...] = ()
    prepared: Prepared | None = None

    @classmethod
    def of(cls, statement: Prepared, params: tuple[object, ...]) -> Sent:
        """Return a prepared statement with its parameters."""
        return cls(statement.call, params, statement)


BEGIN, COMMIT, ROLLBACK = Sent("BEGIN"), Sent("COMMIT"), Sent("ROLLBACK")


class Connection(psycopg2.extensions.connection):
    """A connection with the names of the statements that are prepared on it, and the statements that wait.

    `locks` are the names of the session's advisory locks, `unlocking` has the statements that release some of them with
    the next COMMIT.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepared: set[str] = set()
        self.waiting: list[Sent] = []
        self.locks: set[str] = set()
        self.unlocking: dict[str, Sent] = {}
        self.generation = 0


# Any: peewee has no types.
_Postgresql: Any = peewee.PostgresqlDatabase
_PeeweeSavepoint: Any = peewee._savepoint
_peewee_errors: Any = vars(peewee)["__exception_wrapper__"]


class BatchingDatabase(_Postgresql):  # type: ignore[misc]
    """A PostgreSQL database whose transactions keep statements back.

    `primary` is there when another host may become the primary: connections come from it, and end with it.
    """

    primary: Primary | None = None

    def _connect(self, place: Place | None = None) -> Any:
        if self.primary is None:
            return super()._connect()
        with _peewee_errors:
            connection = self.primary.connection()
        connection.generation = self.primary.generation
        return connection

    def connect_to(self, place: Place | None) -> Any:
        """Return a connection to the primary, at this place or, with None, at any of the hosts."""
        where = {} if place is None else {"host": place[0], "port": place[1]}
        params = {**self.connect_params, **where, "target_session_attrs": "read-write"}
        connection = self._adapter.connect(self, **params)
        connection.autocommit = True
        return connection

    def begin(self, *_args: Any, **_kwargs: Any) -> None:
        """Start a transaction, with its first statement."""
        self.connection().waiting.append(BEGIN)

    def commit(self) -> None:
        """Commit the transaction. One that has sent nothing is forgotten.

        A message with COMMIT is never sent twice, for nobody knows whether it was done. So BEGIN goes before.
        """
        waiting = self.connection().waiting
        if waiting == [BEGIN]:
            waiting.clear()
            self.connection().unlocking.clear()
            return
        if waiting[:1] == [BEGIN]:
            self.send().close()
        connection = self.connection()
        unlocking, connection.unlocking = connection.unlocking, {}
        connection.waiting += [COMMIT, *unlocking.values()]
        note_write()
        self.send().close()
        connection.locks.difference_update(unlocking)

    def rollback(self) -> None:
        """Take everything back that was sent, and forget the rest."""
        self.connection().unlocking.clear()
        waiting = self.connection().waiting
        is_begun = waiting[:1] != [BEGIN]
        waiting.clear()
        if is_begun:
            self.send(ROLLBACK).close()

    def savepoint(self) -> _Savepoint:
        """Return a transaction inside of one."""
        return _Savepoint(self)

    def later(self, sent: Sent) -> None:
        """Send a write with the next statement, in a transaction. Its errors come from that one."""
        self.connection().waiting.append(sent)

    def unlock_with_commit(self, name: str, unlock: Sent) -> None:
        """Release an advisory lock with the COMMIT of the transaction, if this session has it."""
        connection = self.connection()
        if name in connection.locks:
            connection.unlocking[name] = unlock

    def send(self, sent: Sent | None = None) -> Any:
        """Send the statements that wait, and this one. Return the cursor, with the result of the last one.

        A connection that was lost while it was idle is replaced when the transaction has only begun.
        """
        if self.primary is not None:
            with self.primary.use():
                return self._send_to(self._current_connection(), sent)
        return self._send_to(self.connection(), sent)

    def _current_connection(self) -> Connection:
        """Return the thread's connection: another one when the primary has changed and no transaction has begun."""
        connection: Connection = self.connection()
        assert self.primary is not None
        if connection.generation == self.primary.generation:
            return connection
        waiting = connection.waiting
        if self.in_transaction() and waiting[:1] != [BEGIN]:
            return connection
        connection.close()
        connection = self._reconnect()
        connection.waiting = waiting
        return connection

    def _send_to(self, connection: Connection, sent: Sent | None) -> Any:
        if sent and sent.prepared and not sent.prepared.is_read and not self.in_transaction():
            note_write()
        if connection.notices:
            connection.notices.clear()
        cursor = self._send_waiting(connection, sent)
        if any(NOT_REPLICATED in notice for notice in connection.notices):
            raise NotReplicated("committed on one host alone")
        return cursor

    def _send_waiting(self, connection: Connection, sent: Sent | None) -> Any:
        waiting = connection.waiting
        if not waiting and sent is not None:
            return _send_one(connection, sent)
        connection.waiting = []
        statements = waiting if sent is None else [*waiting, sent]
        try:
            return _send(connection, statements)
        except psycopg2.Error:
            if connection.closed and waiting[:1] == [BEGIN]:
                connection = self._reconnect()
                return _send(connection, statements)
            raise

    def _reconnect(self) -> Connection:
        # `close` and `connect` refuse this in a transaction.
        connection: Connection = self._connect()
        self._state.conn = connection
        return connection

    def _execute_cursor(self, sql: str, params: Any, **options: Any) -> Any:
        """Run a statement of peewee, or one that is not prepared."""
        if not self.in_transaction():
            note_write()
        if self.connection().waiting:
            with _peewee_errors:
                self.send().close()
        return super()._execute_cursor(sql, params, **options)


class _Savepoint(_PeeweeSavepoint):  # type: ignore[misc]
    """A transaction inside of one. It costs nothing when all its statements wait until it is over."""

    def _begin(self) -> None:
        self.mark = Sent(f"SAVEPOINT {self.quoted_sid}")
        self.db.later(self.mark)

    def commit(self, begin: bool = True) -> None:
        waiting = self.db.connection().waiting
        if self.mark in waiting:
            waiting.remove(self.mark)
        else:
            self.db.later(Sent(f"RELEASE SAVEPOINT {self.quoted_sid}"))
        if begin:
            self._begin()

    def rollback(self, begin: bool = True) -> None:
        waiting = self.db.connection().waiting
        if self.mark in waiting:
            del waiting[waiting.index(self.mark) :]
        else:
            waiting.clear()
            self.db.send(Sent(f"ROLLBACK TO SAVEPOINT {self.quoted_sid}")).close()
        if begin:
            self._begin()


def _send_one(connection: Connection, sent: Sent) -> Any:
    """Send a statement that goes alone, as most reads do."""
    cursor = connection.cursor()
    if sent.prepared and sent.prepared.name not in connection.prepared:
        _prepare(connection, cursor, [sent.prepared])
    cursor.execute(sent.text, sent.params or None)
    return cursor


def _send(connection: Connection, statements: Sequence[Sent]) -> Any:
    cursor = connection.cursor()
    prepared = [sent.prepared for sent in statements if sent.prepared]
    if not all(statement.name in connection.prepared for statement in prepared):
        _prepare(connection, cursor, prepared)
    params = [param for sent in statements for param in sent.params]
    cursor.execute("; ".join([sent.text for sent in statements]), params or None)
    for sent in statements[:-1]:
        # The number of their rows is not known; whoever sends a write with others means it.
        if sent.prepared:
            spans().changed(sent.prepared.sql, 1)
    return cursor


def _prepare(connection: Connection, cursor: Any, statements: list[Prepared]) -> None:
    if len(connection.prepared) + len(statements) > MAX_PREPARED:
        cursor.execute("DEALLOCATE ALL")
        connection.prepared.clear()
    for statement in statements:
        if statement.name not in connection.prepared:
            cursor.execute(f"PREPARE {statement.name} AS {statement.sql}")
            connection.prepared.add(statement.name)
            spans().prepared(statement.name, statement.sql)
