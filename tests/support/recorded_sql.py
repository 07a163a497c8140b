"""The SQL of calls, as text to compare: each message to PostgreSQL with its statements, without ids and parameters.

Connections get cursors that take notes, in the way that traces do it.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
from google.protobuf.descriptor import ServiceDescriptor

from tests.support.rpc import Answer

FOLDER = Path(__file__).resolve().parents[1] / "recorded_sql"

_PREPARE = re.compile(r"PREPARE (s_[0-9a-f]{20}) AS (.*)", re.DOTALL)
_EXECUTE = re.compile(r"EXECUTE (s_[0-9a-f]{20})(?: \((?:%s(?:, )?)*\))?")
# The threads of background work, whose messages belong to no call.
_BACKGROUND = {"feed", "orphan sweeper", "unsent files", "file scans", "outbox"}
_SAVEPOINT = re.compile(r'"s[0-9a-f]{32}";?')


class Recorder:
    """Notes of the SQL of one service's calls, by RPC and, where a call has several shapes, the shape."""

    def __init__(self) -> None:
        self._notes: dict[str, list[list[str]]] = {}
        self._current: list[list[str]] | None = None
        self._texts: dict[str, str] = {}

    @property
    def rpcs(self) -> set[str]:
        """The RPCs that were called."""
        return {name.partition(":")[0] for name in self._notes}

    def call(self, name: str, call: Callable[[], Answer]) -> Answer:
        """Make a successful call and keep its SQL under a name, `<Rpc>` or `<Rpc>: <shape>`.

        A later call of that name must send the same; a search chooses its plan by the data, and may send two
        messages more for that.
        """
        with self.noting() as messages:
            answer = call()
        assert not answer.error, (name, answer.message)
        known = self._notes.setdefault(name, messages)
        is_same = len(messages) <= len(known) + 2 if name.startswith("SearchGigs") else messages == known
        assert is_same, f"{name}: the same call sends other statements:\n{_page(name, messages)}"
        return answer

    @contextmanager
    def noting(self) -> Iterator[list[list[str]]]:
        """Yield a list that gets the messages of the block, each with its statements."""
        messages = self._current = []
        try:
            yield messages
        finally:
            self._current = None

    def note(self, sql: str, database: str) -> None:
        """Note a message that is sent to a database."""
        if prepare := _PREPARE.match(sql):
            self._texts[prepare[1]] = prepare[2]
        elif self._is_noting() and not sql.startswith("DEALLOCATE"):
            where = "" if not database.startswith("sandbox") else "-- in the sandbox's database\n"
            assert self._current is not None
            self._current.append([where + self._statement(text) for text in sql.split("; ")])

    def _is_noting(self) -> bool:
        return self._current is not None and threading.current_thread().name not in _BACKGROUND

    def _statement(self, text: str) -> str:
        text = _EXECUTE.sub(lambda execute: self._texts[execute[1]], text)
        return _SAVEPOINT.sub("s", " ".join(text.split())).removesuffix(";")

    def text(self) -> str:
        """Return all notes, in the order of their names."""
        return "\n".join(_page(name, self._notes[name]) for name in sorted(self._notes))


def _page(name: str, messages: list[list[str]]) -> str:
    statements = sum(map(len, messages))
    lines = [f"-- {name} (messages: {len(messages)}, statements: {statements})"]
    for number, message in enumerate(messages, 1):
        lines += [f"-- {number}", *(f"{statement};" for statement in message)]
    return "\n".join(lines) + "\n"


@contextmanager
def recording(monkeypatch: Any) -> Iterator[Recorder]:
    """Yield a recorder of the connections that are made from now on."""
    recorder = Recorder()

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002  # psycopg2's own name
            recorder.note(query, self.connection.info.dbname)
            super().execute(query, vars)

    connect: Any = psycopg2.connect

    def recorded(*args: Any, **kwargs: Any) -> Any:
        return connect(*args, cursor_factory=Cursor, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg2, "connect", recorded)
        yield recorder


def compare(name: str, sql: Recorder, service: ServiceDescriptor, *, elsewhere: frozenset[str] = frozenset()) -> None:
    """Compare the notes with those of the repository, or write them there when RECORD_SQL is set.

    `elsewhere` are the RPCs of the service that another file has.
    """
    assert sql.rpcs >= {method.name for method in service.methods} - elsewhere
    file = FOLDER / f"{name}.sql"
    if os.environ.get("RECORD_SQL"):
        file.write_text(sql.text())
    assert file.read_text().splitlines() == sql.text().splitlines(), "see `make record-sql`"
