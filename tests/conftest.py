"""Shared by all tests: a real PostgreSQL, fresh databases, the whole stack, and how tests are spread over processes."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from order_service.webhooks.resolver import Resolver
from order_service.webhooks.sender import Sender
from servicekit.database import Database
from tests.support.alone import turn
from tests.support.orderservice import OrderBackend
from tests.support.postgres import PostgresServer
from tests.support.stack import Stack
from tests.support.standins import GigStandIn, serving
from tests.support.story import Market

# The folders whose tests take longest come first, so that no process is left with a long file at the end.
_FIRST = ("e2e", "backup", "hostile", "edge", "images", "browser", "stack", "payments", "servicer")
# Folders whose files share a stack or an edge.
_SHARING = ("tests/backup", "tests/browser", "tests/e2e", "tests/hostile", "tests/edge")
# Files whose tests start what they need; the others of a folder share its stack or its edge.
_ON_THEIR_OWN = re.compile(
    r"tests/e2e/test_(chaos|lifecycle|look_alikes|market_machine|stripe|torture|traces|webhook_crashes)"
    r"|tests/edge/test_(bootstrap|faults|generate|uploads|upstreams)"
)
# Files of such a folder whose tests run alone, when all others have ended, on another stack.
_ALONE = re.compile(r"tests/hostile/test_(0[1-7]|15|bystanders)")
# Files whose tests each start processes of their own for seconds and share nothing.
_SPLIT = ("tests/e2e/test_lifecycle.py", "tests/servicer/test_order_crashes.py")

# How long an example takes is the machine's to decide.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

_servers: list[PostgresServer] = []
# The stack that files of tests share, and those files.
_stacks: list[Stack] = []
_files_with_stack: set[Path] = set()
# One for all tests: reading the authorities' certificates takes longer than many a test.
_ssl_context = ssl.create_default_context()


class _GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a process of pytest-xdist whole files, all files at once that share something costly, or single tests."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        folder = "/".join(file.split("/")[:2])
        shares = folder in _SHARING and not _ON_THEIR_OWN.match(file)
        if file in _SPLIT:
            return nodeid
        if shares and _ALONE.match(file):
            return f"{folder}, alone"
        return folder if shares else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of processes for `-n auto`: two more than cores, since many tests wait most of the time."""
    return min(8, len(os.sched_getaffinity(0)) + 2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Distribute the tests by our own groups, in the order in which they are collected."""
    config.option.loadscopereorder = False
    return _GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put folders whose tests take longest first, files that share a stack together, and tests that run alone last."""
    _files_with_stack.update(item.path for item in items if "stack" in getattr(item, "fixturenames", ()))
    items.sort(key=lambda item: (_is_alone(item), _rank(item.path.parent.name), item.path not in _files_with_stack))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test with its fixtures when it is its turn; the wait is not part of its timeout."""
    assert item.config.cache is not None
    with turn(item.config.cache.mkdir("turns"), alone=_is_alone(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """Stop the shared stack when the next file does not use it: an idle one takes a tenth of a core."""
    yield
    if nextitem is None or nextitem.path not in _files_with_stack:
        _stop_stacks()


def _stop_stacks() -> None:
    while _stacks:
        _stacks.pop().stop()


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def _rank(folder: str) -> int:
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Start a PostgreSQL server for all tests of this process."""
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
    """Return a fresh, migrated gigs database."""
    yield from _fresh(postgres, "gig")


@pytest.fixture
def order_database(postgres: PostgresServer) -> Iterator[Database]:
    """Return a fresh, migrated orders database."""
    yield from _fresh(postgres, "order")


@pytest.fixture
def review_database(postgres: PostgresServer) -> Iterator[Database]:
    """Return a fresh, migrated reviews database."""
    yield from _fresh(postgres, "review")


@pytest.fixture
def sandbox_database(postgres: PostgresServer) -> Iterator[Database]:
    """Return a fresh, migrated book of the sandbox."""
    yield from _fresh(postgres, "sandbox")


@pytest.fixture
def world(order_database: Database, sandbox_database: Database) -> Iterator[OrderBackend]:
    """Yield an OrderService worker on the sandbox. Its webhooks may go to receivers on this machine."""
    gigs, sender = GigStandIn(), Sender(Resolver(), allow_private=True, ssl_context=_ssl_context)
    with serving(gigs) as address:
        yield OrderBackend(order_database, sandbox_database, gigs, address, sender=sender)


@pytest.fixture(scope="session")
def stacks() -> Iterator[list[Stack]]:
    """Return the stack that files of tests share, none or one; at the end it is stopped in any case."""
    yield _stacks
    _stop_stacks()


@pytest.fixture(scope="module")
def stack(stacks: list[Stack]) -> Stack:
    """Start a stack for the tests of several files; they make their own users and gigs in it and restart nothing.

    Its webhooks may go to receivers on this machine.
    """
    if not stacks:
        running = Stack(WEBHOOK_ALLOW_PRIVATE="true")
        stacks.append(running)
        running.start()
    return stacks[0]


@pytest.fixture
def market(stack: Stack) -> Market:
    """Return a seller and a buyer of the test's own."""
    return Market.of(stack)
