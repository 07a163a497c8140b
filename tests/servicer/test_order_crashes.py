"""OrderService's process dies at each of its crash points in turn, is started again, and the books are read."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from order_service.books import check
from order_service.payments.gateway import Gateway
from servicekit import crash
from servicekit.database import Database
from tests.payments.test_instrumented import WITHOUT_CRASH_POINTS
from tests.support.money_cases import ENDS, run_all
from tests.support.orderservice import BUYER, World
from tests.support.postgres import url_of

ROOT = Path(__file__).resolve().parents[2]
# What moves money, or binds a key: every commit there has a name. The sandbox is the provider's side.
FOLDERS = (ROOT / "order_service", ROOT / "servicekit" / "outbox", ROOT / "servicekit" / "idempotency.py")
# Where nothing is committed, or the name is the caller's.
UNNAMED = {
    ("audit.py", "snapshot"),
    ("orders.py", "place"),
    ("relay.py", "_attempt"),
    ("admin.py", "contents"),
    ("admin.py", "resend"),
}


def transactions() -> Iterator[tuple[str, str, str]]:
    """Every transaction in the code: its file, its function, and its name or nothing."""
    for folder in FOLDERS:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*.py")):
            if "sandbox" in path.parts:
                continue
            for function in ast.walk(ast.parse(path.read_text())):
                if isinstance(function, ast.FunctionDef) and function.name != "transaction":
                    yield from ((path.name, function.name, name) for name in _named(function))


def _named(function: ast.FunctionDef) -> Iterator[str]:
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "transaction":
            name = call.args[0] if call.args else None
            yield str(name.value) if isinstance(name, ast.Constant) else ""


NAMES = sorted({name for _, _, name in transactions() if name})
CALLS = sorted({name for name in vars(Gateway) if not name.startswith("_")} - WITHOUT_CRASH_POINTS)
POINTS = [f"{name}:{when}" for name in NAMES for when in ("commit", "committed")]
POINTS += [f"payments.{call}:{when}" for call in CALLS for when in ("before", "after")]


def test_every_commit_has_a_crash_point() -> None:
    unnamed = {(file, function) for file, function, name in transactions() if not name}

    assert unnamed <= UNNAMED
    assert {"placing", "placed", "accepting", "accepted", "provider event", "payout", "outbox", "idempotency"} <= set(
        NAMES
    )


@pytest.mark.parametrize("point", POINTS)
def test_whoever_dies_there_leaves_nothing_undone_and_nothing_twice(
    world: World, order_database: Database, sandbox_database: Database, point: str
) -> None:
    command = [sys.executable, "-m", "tests.support.money_cases", url_of(order_database), url_of(sandbox_database)]
    environment = {**os.environ, "CRASH_AT": point, "PYTHONPATH": os.pathsep.join(sys.path)}

    died = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False, timeout=120)
    assert died.returncode == crash.STATUS, died.stderr.decode()
    orders = run_all(world)
    world.settle_in_time()

    assert {key: (world.status(order), world.payment(order)) for key, order in orders.items()} == ENDS
    assert sorted(world.listed(BUYER)) == sorted(orders.values())
    assert world.balance() == (450, 350, 100)
    found = check(order_database, world.sandbox)
    assert (found.differences, found.orders, found.payouts, found.under_way) == ([], 6, 1, 0)
    assert len(list(world.sandbox.payments())) == len(orders)
    assert run_all(world) == orders
