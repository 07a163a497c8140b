"""The programs that bring databases up to date before workers are replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from servicekit.database import Database, Statement
from tests.support.eventually import eventually
from tests.support.postgres import PostgresServer, migrations_of

APPLIED = Statement("SELECT name FROM schema_migration ORDER BY name")
ROOT = Path(__file__).resolve().parents[2]


def program(service: str, **urls: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", **urls}
    command = [sys.executable, "-m", f"{service}_service.migrate"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def applied(url: str) -> list[str]:
    database = Database(url)
    try:
        return [str(name) for (name,) in database.fetch_tuples(APPLIED)]
    finally:
        database.close()


def names(service: str) -> list[str]:
    return sorted(file.stem for file in migrations_of(service).glob("0*.py"))


@pytest.mark.parametrize("service", ["gig", "order", "review"])
def test_an_empty_database_is_brought_up_to_date_and_a_second_run_changes_nothing(
    postgres: PostgresServer, service: str
) -> None:
    url = postgres.empty(service, f"{service}_to_migrate")

    for _ in range(2):
        run = program(service, **{f"{service.upper()}_DATABASE_URL": url})
        output, _ = run.communicate(timeout=60)

        assert run.returncode == 0, output
        assert applied(url) == names(service)


def test_the_sandboxs_database_comes_with_the_orders(postgres: PostgresServer) -> None:
    orders, sandbox = postgres.empty("order", "orders_to_migrate"), postgres.empty("sandbox", "sandbox_to_migrate")

    run = program("order", ORDER_DATABASE_URL=orders, SANDBOX_DATABASE_URL=sandbox)

    assert run.wait(60) == 0
    assert applied(sandbox) == names("sandbox")


def test_a_program_that_is_stopped_while_it_waits_for_its_database_fails(tmp_path: Path) -> None:
    run = program("gig", GIG_DATABASE_URL=f"postgresql:///gigs?host={tmp_path}")
    assert run.stdout is not None
    eventually(lambda: "waiting for the database" in run.stdout.readline())  # type: ignore[union-attr]

    run.send_signal(signal.SIGTERM)

    assert run.wait(30) == 1
