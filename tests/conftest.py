"""What tests share: a real PostgreSQL, fresh databases, and, where a test asks for it, the whole stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servicekit.database import Database
from tests.support.orderservice import OrderBackend
from tests.support.postgres import PostgresServer
from tests.support.stack import Stack
from tests.support.standins import GigStandIn, serving
from tests.support.story import Market


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


@pytest.fixture
def sandbox_database(postgres: PostgresServer) -> Iterator[Database]:
    """A fresh, migrated book of the sandbox."""
    yield from _fresh(postgres, "sandbox")


@pytest.fixture
def world(order_database: Database, sandbox_database: Database) -> Iterator[OrderBackend]:
    """Yield an OrderService worker on the sandbox."""
    gigs = GigStandIn()
    with serving(gigs) as address:
        yield OrderBackend(order_database, sandbox_database, gigs, address)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The whole stack for the run; tests make their own users and gigs in it and restart nothing."""
    running = Stack()
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def market(stack: Stack) -> Market:
    """A seller and a buyer of their own."""
    return Market.of(stack)
