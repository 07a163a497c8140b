"""Access to a real PostgreSQL."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import peewee
import psycopg2
import pytest

from servicekit.clock import Clock
from servicekit.database import Database, DatabaseAway, Statement
from servicekit.errors import DeadlineExceeded, OutcomeUnknown
from servicekit.migrations import build_index, migrate, migrate_when_reachable, replace_index
from servicekit.signal_event import SignalEvent
from tests.support.postgres import PostgresServer

BACKEND = Statement("SELECT pg_backend_pid() AS pid")
SLEEP = Statement("SELECT pg_sleep($1)")


@pytest.fixture
def database(postgres: PostgresServer, request: pytest.FixtureRequest) -> Database:
    return Database(postgres.empty("gig", f"kit_{abs(hash(request.node.name))}"))


def kill_connection(postgres: PostgresServer, database: Database) -> None:
    """End the thread's connection from the server's side, as a crash does."""
    from deploy.local.postgres import SUPERUSER, database_url

    row = database.fetch_one(BACKEND)
    assert row is not None
    connection = psycopg2.connect(database_url(postgres.layout, "postgres", SUPERUSER))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (row["pid"],))
    finally:
        connection.close()


def test_a_statement_is_prepared_once_a_connection(database: Database) -> None:
    twice = Statement("SELECT $1::int * 2 AS number")

    assert [database.fetch_one(twice, number) for number in (1, 2, 3)] == [{"number": 2}, {"number": 4}, {"number": 6}]
    prepared = database.fetch_all(Statement("SELECT name FROM pg_prepared_statements WHERE name = $1"), twice.name)
    assert len(prepared) == 1


def test_a_read_survives_a_connection_that_died_while_it_lay_idle(postgres: PostgresServer, database: Database) -> None:
    kill_connection(postgres, database)

    assert database.fetch_one(BACKEND) is not None


def test_a_transaction_survives_a_connection_that_died_while_it_lay_idle(
    postgres: PostgresServer, database: Database
) -> None:
    database.execute("CREATE TABLE things (name text)")
    kill_connection(postgres, database)

    with database.transaction():
        database.execute("INSERT INTO things VALUES ('one')")

    assert database.fetch_all(Statement("SELECT name FROM things")) == [{"name": "one"}]


def test_a_connection_that_dies_in_a_transaction_is_unavailable_and_nothing_is_written(
    postgres: PostgresServer, database: Database
) -> None:
    database.execute("CREATE TABLE things (name text)")

    with pytest.raises(DatabaseAway), database.transaction():
        database.execute("INSERT INTO things VALUES ('one')")
        kill_connection(postgres, database)
        database.execute("INSERT INTO things VALUES ('two')")

    assert database.fetch_all(Statement("SELECT name FROM things")) == []


def test_a_statement_that_commits_survives_a_connection_that_died_while_it_lay_idle(
    postgres: PostgresServer, database: Database
) -> None:
    database.execute("CREATE TABLE things (name text)")
    kill_connection(postgres, database)

    row = database.commit_one("thing", Statement("INSERT INTO things VALUES ($1) RETURNING name"), "one")

    assert row == {"name": "one"}
    assert database.fetch_all(Statement("SELECT name FROM things")) == [{"name": "one"}]


def test_a_statement_that_commits_is_not_sent_again_when_its_connection_dies_under_it(database: Database) -> None:
    # A sequence counts also what is rolled back.
    database.execute("CREATE SEQUENCE tries")
    dies = Statement("SELECT nextval('tries') AS number, pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(OutcomeUnknown):
        database.commit_one("try", dies)

    assert database.fetch_one(Statement("SELECT last_value FROM tries")) == {"last_value": 1}


def test_a_database_that_is_away_is_unavailable() -> None:
    with pytest.raises(DatabaseAway):
        Database("postgresql://nobody@127.0.0.1:1/nothing").fetch_one(BACKEND)


def test_a_statement_that_takes_too_long_is_given_up(postgres: PostgresServer, database: Database) -> None:
    impatient = Database(postgres.empty("gig", "kit_impatient"), statement_timeout_ms=100)

    with pytest.raises(DeadlineExceeded):
        impatient.fetch_one(SLEEP, 5)


def test_a_statement_runs_in_one_process_alone(database: Database) -> None:
    for cost in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
        database.execute(f"SET {cost} = 0")

    plan = database.peewee.execute_sql("EXPLAIN SELECT count(*) FROM pg_attribute").fetchall()

    assert not any("Parallel" in line for (line,) in plan), plan


def test_an_error_in_a_transaction_takes_everything_back(database: Database) -> None:
    database.execute("CREATE TABLE things (name text)")

    with pytest.raises(KeyError), database.transaction():
        database.execute("INSERT INTO things VALUES ('one')")
        raise KeyError

    assert database.fetch_all(Statement("SELECT name FROM things")) == []


def test_time_travels_for_python_and_sql_together(gig_database: Database) -> None:
    clock = Clock(gig_database)
    before = clock.now()

    clock.travel(timedelta(days=3))

    assert abs(before - datetime.now(UTC)) < timedelta(minutes=1)
    assert timedelta(days=3) <= clock.now() - before < timedelta(days=3, minutes=1)
    row = gig_database.fetch_one(Statement("SELECT app_now() AS now"))
    assert row is not None
    assert abs(row["now"] - clock.now()) < timedelta(minutes=1)


A_MIGRATION = """
def up(migrator, db):
    db.execute_sql("SELECT pg_sleep(0.2)")
    db.execute_sql("CREATE TABLE things (name text)")
    db.execute_sql("INSERT INTO things VALUES ('once')")
"""


def test_ten_workers_that_start_at_once_migrate_once(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.empty("gig", "kit_at_once")
    (tmp_path / "0001_things.py").write_text(A_MIGRATION)
    applied: list[list[str]] = []
    workers = [threading.Thread(target=lambda: applied.append(migrate(Database(url), tmp_path))) for _ in range(10)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)

    assert sorted(applied) == [[]] * 9 + [["0001_things"]]
    assert len(Database(url).fetch_all(Statement("SELECT name FROM things"))) == 1


AN_INDEX = """
atomic = False

def up(migrator, db):
    db.execute_sql("SELECT pg_sleep(0.5)")
    db.execute_sql("CREATE INDEX CONCURRENTLY IF NOT EXISTS things_name ON things (name)")
"""


def test_an_index_is_built_concurrently_while_other_workers_wait_for_the_migrations(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.empty("gig", "kit_concurrently")
    (tmp_path / "0001_things.py").write_text(A_MIGRATION)
    migrate(Database(url), tmp_path)
    (tmp_path / "0002_index.py").write_text(AN_INDEX)
    applied: list[list[str]] = []
    workers = [threading.Thread(target=lambda: applied.append(migrate(Database(url), tmp_path))) for _ in range(3)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)

    assert sorted(applied) == [[], [], ["0002_index"]]


INDEXES = Statement("""
    SELECT indexdef, indisvalid FROM pg_indexes JOIN pg_index ON indexrelid = to_regclass(indexname)
    WHERE tablename = 'things' AND NOT indisprimary
""")


def test_an_index_that_broke_off_is_built_anew_when_its_migration_runs_again(database: Database) -> None:
    database.execute("CREATE TABLE things (name text); INSERT INTO things VALUES ('a'), ('a')")
    with pytest.raises(peewee.IntegrityError):
        database.peewee.execute_sql("CREATE UNIQUE INDEX CONCURRENTLY things_name ON things (name)")
    assert [each["indisvalid"] for each in database.fetch_all(INDEXES)] == [False]

    for _ in range(2):
        build_index(database.peewee, "things_name", "things (name)")

    [index] = database.fetch_all(INDEXES)
    assert index["indisvalid"]
    assert index["indexdef"].endswith("USING btree (name)")


def test_an_index_that_is_replaced_keeps_its_name_also_when_its_migration_runs_again(database: Database) -> None:
    database.execute("CREATE TABLE things (name text, size int); CREATE INDEX things_name ON things (name)")

    for _ in range(2):
        replace_index(database.peewee, "things_name", "things (name) INCLUDE (size)")

    [index] = database.fetch_all(INDEXES)
    assert index["indexdef"].startswith("CREATE INDEX things_name ON")
    assert index["indexdef"].endswith("(name) INCLUDE (size)")


def test_a_migration_that_fails_leaves_nothing_behind(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.empty("gig", "kit_fails"))
    (tmp_path / "0001_things.py").write_text(A_MIGRATION + "    raise RuntimeError('half-way')\n")

    with pytest.raises(RuntimeError):
        migrate(database, tmp_path)

    assert database.fetch_one(Statement("SELECT to_regclass('things') AS name")) == {"name": None}


def test_a_worker_waits_for_a_database_until_it_is_told_to_stop(tmp_path: Path) -> None:
    stop = SignalEvent()
    away = Database("postgresql://nobody@127.0.0.1:1/nothing")
    threading.Timer(0.3, stop.set).start()

    assert migrate_when_reachable(away, tmp_path, stop) is False
