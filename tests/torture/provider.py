"""A payment provider that is away or slow by turns."""

from __future__ import annotations

import time

import psycopg2

from deploy.local.postgres import SUPERUSER, database_url
from tests.support.stack import Stack
from tests.torture.repeated import Repeated
from tests.torture.retries import Counts

LONGEST_SECONDS = 4.0
CLOSE = "ALTER DATABASE sandbox ALLOW_CONNECTIONS false"
OPEN = "ALTER DATABASE sandbox ALLOW_CONNECTIONS true"
END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'sandbox'"
LOCK = "LOCK TABLE payments, payouts IN ACCESS EXCLUSIVE MODE"


class TroubledProvider(Repeated):
    """A thread that shuts the sandbox's database, or locks its tables, for some seconds."""

    seconds = 12.0
    expected = (psycopg2.Error,)

    def __init__(self, stack: Stack, seed: int, counts: Counts) -> None:
        super().__init__(seed, counts)
        self._layout = stack.layout

    def act(self) -> None:
        trouble, name = self._random.choice([(self._be_away, "provider away"), (self._be_slow, "provider slow")])
        trouble(self._random.uniform(1, LONGEST_SECONDS))
        self._counts.add(name)

    def _be_away(self, seconds: float) -> None:
        try:
            self._execute(CLOSE)
            self._execute(END_ALL)
            self._stopping.wait(seconds)
        finally:
            self._open()

    def _open(self) -> None:
        """Let connections in again, however often the server is killed meanwhile."""
        while True:
            try:
                self._execute(OPEN)
            except psycopg2.Error:
                time.sleep(0.2)
            else:
                return

    def _be_slow(self, seconds: float) -> None:
        connection = psycopg2.connect(database_url(self._layout, "sandbox", SUPERUSER), connect_timeout=5)
        try:
            with connection.cursor() as cursor:
                cursor.execute(LOCK)
                self._stopping.wait(seconds)
            connection.rollback()
        finally:
            connection.close()

    def _execute(self, statement: str) -> None:
        connection = psycopg2.connect(database_url(self._layout, "postgres", SUPERUSER), connect_timeout=5)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()
