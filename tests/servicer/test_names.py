"""The names of callers: stored once by each worker that sees them, and only those of users."""

from __future__ import annotations

import pytest

from order_service import names
from order_service.names import Names
from servicekit.call import Caller
from servicekit.database import Database, Statement
from tests.support.identity import a_caller
from tests.support.orderservice import OrderBackend

ROWS = Statement("SELECT username FROM people ORDER BY username")


def stored(database: Database) -> list[str]:
    """Return the names in the database."""
    return [row["username"] for row in database.fetch_all(ROWS)]


def named(caller: Caller, username: str) -> Caller:
    return Caller(caller.id, username, caller.roles)


def test_a_name_is_stored_when_it_is_another_one(world: OrderBackend, order_database: Database) -> None:
    ann, workers = a_caller("ann", "buyer"), [world.worker.names, world.another_worker().worker.names]

    for worker in workers:
        worker.note(ann)
    workers[0].note(named(ann, "ann_smith"))
    assert stored(order_database) == ["ann_smith"]
    workers[1].note(named(ann, "ann_jones"))

    assert stored(order_database) == ["ann_jones"]


def test_neither_services_nor_the_nameless_have_a_name(world: OrderBackend, order_database: Database) -> None:
    for caller in (Caller(), named(a_caller("ann"), ""), a_caller("review", "service")):
        world.worker.names.note(caller)

    assert stored(order_database) == []


def test_a_worker_remembers_some_names_alone(
    world: OrderBackend, order_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "REMEMBERED_NAMES", 2)
    noted: list[str] = []
    monkeypatch.setattr(world.store.people, "remember", lambda _user_id, name: noted.append(name))
    worker = Names(world.store)

    for name in ("ann", "bob", "ann", "cid", "ann"):
        worker.note(a_caller(name))

    assert noted == ["ann", "bob", "cid", "ann"]
