"""What tests share: a real PostgreSQL, fresh databases, and, where a test asks for it, the whole stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servicekit.database import Database
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the run."""
    server = PostgresServer()
    server.start()
    yield server
    server.stop()


def _fresh(postgres: PostgresServer, service: str) -> Iterator[Database]:
    database = Database(postgres.fresh(service))
    yield database
    database.close()


@pytest.fixture
def gig_database(postgres: PostgresServer) -> Iterator[Database]:
    """A fresh, migrated gigs database."""
    yield from _fresh(postgres, "gig")


@pytest.fixture
def order_database(postgres: PostgresServer) -> Iterator[Database]:
    """A fresh, migrated orders database."""
    yield from _fresh(postgres, "order")


@pytest.fixture
def review_database(postgres: PostgresServer) -> Iterator[Database]:
    """A fresh, migrated reviews database."""
    yield from _fresh(postgres, "review")
