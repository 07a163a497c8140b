"""What tests of the outbox need: a receiver, relays as in several workers, rows, and metrics."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg2
from prometheus_client import REGISTRY

from deploy.local.postgres import SUPERUSER, database_url
from servicekit.database import Database, Row, Statement
from servicekit.outbox import Message, Outbox, Relay, Topic
from tests.support.postgres import PostgresServer

ROWS = Statement("""
    SELECT id, key, version, attempts, refusals, error, parked_at FROM outbox ORDER BY id
""")


class Receiver:
    """A receiver that accepts every row unless `fails` returns an error.

    `overlaps` counts the rows that came while another one of the same key was being delivered.
    """

    def __init__(self) -> None:
        self.got: list[tuple[str, int]] = []
        self.fails: Callable[[Message], Exception | None] = lambda message: None
        self.takes_seconds = 0.0
        self.overlaps = 0
        self._under_way: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def __call__(self, message: Message) -> None:
        with self._lock:
            self._under_way[message.key] += 1
            self.overlaps += self._under_way[message.key] > 1
        try:
            if self.takes_seconds:
                time.sleep(self.takes_seconds)
            if failure := self.fails(message):
                raise failure
            with self._lock:
                self.got.append((message.key, message.version))
        finally:
            with self._lock:
                self._under_way[message.key] -= 1

    def versions(self, key: str) -> list[int]:
        return [version for got, version in self.got if got == key]


@contextmanager
def relays(database: Database, topic: Topic, count: int = 1) -> Iterator[list[Relay]]:
    """Run `count` relays, as many workers would."""
    running = [Relay(database, {"news": topic}) for _ in range(count)]
    with ExitStack() as stack:
        for relay in running:
            relay.start()
            stack.callback(relay.stop)
        yield running


def write(database: Database, *rows: tuple[str, int], topic: str = "news") -> None:
    """Commit rows with these keys and versions."""
    outbox = Outbox(database)
    with database.transaction():
        for key, version in rows:
            outbox.add(topic, key, version, {"says": f"{key}{version}"})


def rows(database: Database) -> list[Row]:
    """Return the outbox's rows, in the order in which they were written."""
    return database.fetch_all(ROWS)


def sample(name: str) -> float:
    """Return a metric of the outbox, for the topic `news`."""
    return REGISTRY.get_sample_value(f"marketplace_outbox_{name}", {"topic": "news"}) or 0.0


def end_all_connections(postgres: PostgresServer, database: Database) -> None:
    """End the database's connections from the server's side, as a crash does."""
    name = database.peewee.connection().info.dbname
    connection = psycopg2.connect(database_url(postgres.layout, "postgres", SUPERUSER))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
    finally:
        connection.close()
