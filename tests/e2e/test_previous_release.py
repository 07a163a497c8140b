"""The services of the previous release on the schema of this one: beside its services, and alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg2
import pytest

from deploy.local.control import process_states, stop_process
from deploy.local.postgres import database_url
from tests.support.eventually import eventually
from tests.support.folders import temporary_folder
from tests.support.previous_release import SERVICES, previous_release, unpack, workers_of
from tests.support.stack import UNLIMITED_WRITES, Stack
from tests.support.steady_load import FailedError, Outcome, Requests

# The kinds of requests that the workers of the three services answer.
KINDS = ("read", "search", "read with a token", "gig", "order", "gRPC")

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def mixed() -> Iterator[Stack]:
    """Start a stack with the schema of this version, and for each service a worker of it and one of the release."""
    commit = previous_release()
    if not commit:
        pytest.skip("the history of the repository is not here: the clone has only its newest commits, or none")
    # In plain text inside, as a release from before the certificates speaks.
    running = Stack(workers=1, INTERNAL_TLS="off", **UNLIMITED_WRITES)
    with temporary_folder() as folder:
        try:
            running.start()
            with workers_of(unpack(commit, Path(folder)), running):
                yield running
        finally:
            running.stop()


def send_each(stack: Stack, times: int) -> Outcome:
    """Send some requests of each kind, each once. Return what became of them."""
    outcome = Outcome()
    requests = Requests(stack)
    for kind in KINDS:
        for _ in range(times):
            try:
                requests.sender(kind)()
            except (FailedError, httpx.HTTPError) as error:
                outcome.fail(kind, repr(error))
            else:
                outcome.add(kind, 0)
    requests.close()
    return outcome


def stop_own_workers(stack: Stack) -> None:
    """Stop the workers of this version, so that those of the previous release get all requests."""
    own = {stack.ports.rpc(service, 0) for service in SERVICES}
    for process in process_states(stack.layout.supervisor_socket) or []:
        if process.name in [f"{service}-0" for service in SERVICES]:
            stop_process(stack.layout.supervisor_socket, process)
    eventually(lambda: not own & stack.healthy_ports())


def test_the_previous_release_serves_beside_this_version_and_alone(mixed: Stack) -> None:
    together = send_each(mixed, 6)
    stop_own_workers(mixed)
    alone = send_each(mixed, 2)

    assert together.failures == []
    assert alone.failures == []
    assert set(alone.done) == set(KINDS)


def test_a_migration_that_breaks_the_previous_release_is_found(mixed: Stack) -> None:
    with psycopg2.connect(database_url(mixed.layout, "orders")) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders RENAME COLUMN requirements TO wishes")

    outcome = send_each(mixed, 1)

    assert [failure.partition(" ")[2].partition(":")[0] for failure in outcome.failures] == [
        "read with a token",
        "order",
    ]
