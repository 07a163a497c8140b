"""What tests share: a real PostgreSQL, fresh databases, and, where a test asks for it, the whole stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servicekit.database import Database
from tests.support.orderservice import World
from tests.support.postgres import PostgresServer
from tests.support.stack import Stack
from tests.support.standins import GigStandIn, serving
from tests.support.story import Market

# Fixtures of a whole session that take seconds to start: the tests of one run in the same process.
_COSTLY = ("stack", "running_edge", "localstripe")
# The folders with the longest groups of tests come first, so that no process is left with one at the end.
_FIRST = ("e2e", "edge", "images", "stack", "payments", "servicer")

_servers: list[PostgresServer] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that share a costly fixture, or one of their module, into one group of `--dist loadgroup`."""
    for item in items:
        assert isinstance(item, pytest.Function)
        if group := _group_of(item):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: _rank(item.path.parent.name))


def _group_of(item: pytest.Function) -> str:
    scopes = {name: definitions[-1].scope for name, definitions in item._fixtureinfo.name2fixturedefs.items()}
    costly = [name for name in _COSTLY if name in scopes]
    if costly:
        return costly[0]
    return item.path.stem if "module" in scopes.values() else ""


def _rank(folder: str) -> int:
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests of this process."""
    server = PostgresServer()
    server.start()
    _servers.append(server)
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _drop_databases() -> Iterator[None]:
    """Drop the databases that the test has made; those of its module's fixtures stay."""
    before = {server: server.made for server in _servers}
    yield
    for server in _servers:
        for name in server.made:
            if name not in before.get(server, ()):
                server.drop(name)


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
def world(order_database: Database, sandbox_database: Database) -> Iterator[World]:
    """OrderService and what stands around it, on the sandbox."""
    gigs = GigStandIn()
    with serving(gigs) as address:
        yield World(order_database, sandbox_database, gigs, address)


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
