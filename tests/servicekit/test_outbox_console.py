"""The outbox's command line, as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from servicekit.clock import Clock
from servicekit.database import Database
from servicekit.outbox.console import Retry, administer, duration
from tests.support.outbox import rows, write
from tests.support.postgres import ROOT, PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.fresh("review")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def outbox(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "servicekit.outbox", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def park(database: Database, key: str, error: str = "NOT_FOUND: Gig not found") -> int:
    """Park the rows of a key, as a relay does, and return the id of the first."""
    database.execute(
        "UPDATE outbox SET attempts = 20, refusals = 20, error = %s, parked_at = '2026-01-02 03:04:05Z',"
        " next_attempt_at = 'infinity' WHERE key = %s",
        (error, key),
    )
    return next(int(row["id"]) for row in rows(database) if row["key"] == key)


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def test_an_empty_outbox_says_so(url: str) -> None:
    result = outbox(url)

    assert (result.returncode, result.stdout, result.stderr) == (0, "outbox: nothing waits, nothing is parked\n", "")


def test_it_shows_what_waits_and_what_is_parked(url: str, database: Database) -> None:
    write(database, ("fresh", 4), ("bad", 1))
    bad = park(database, "bad")
    write(database, ("bad", 2), ("resting", 7))
    database.execute(
        "UPDATE outbox SET attempts = 3, error = 'UNAVAILABLE: away', next_attempt_at = app_now() + '1 h'::interval"
        " WHERE key = 'resting'"
    )
    database.execute("UPDATE outbox SET created_at = created_at - '5 min'::interval WHERE key = 'bad' AND version = 1")

    result = outbox(url)

    assert result.returncode == 0, result.stderr
    title, head, first, second, third, fourth, hint = result.stdout.splitlines()
    assert title == "outbox: 3 waiting, 1 parked"
    assert cells(head) == ["id", "topic", "key", "version", "attempts", "age", "state", "error"]
    assert cells(first) == [
        *(str(bad), "news", "bad", "1", "20", "5 min"),
        *("parked since 2026-01-02 03:04:05 UTC", "NOT_FOUND: Gig not found"),
    ]
    assert cells(second)[1:5] + cells(second)[6:] == ["news", "fresh", "4", "0", "is due"]
    assert cells(third)[1:5] + cells(third)[6:] == ["news", "bad", "2", "0", f"waits for {bad}"]
    assert cells(fourth)[1:5] + cells(fourth)[6:] == [
        *("news", "resting", "7", "3"),
        *("next attempt in 60 min", "UNAVAILABLE: away"),
    ]
    assert "--retry all" in hint


def test_of_many_rows_the_first_are_shown_with_what_is_parked_among_them(url: str, database: Database) -> None:
    write(database, *((f"k{number}", 1) for number in range(150)), ("bad", 1))
    bad = park(database, "bad")

    lines = outbox(url).stdout.splitlines()

    assert lines[0] == "outbox: 150 waiting, 1 parked"
    assert cells(lines[2])[0] == str(bad)
    assert lines[-2] == "  and 51 more"
    assert len(lines) == 2 + 100 + 2


def test_one_parked_row_is_sent_again_and_the_others_stay(url: str, database: Database) -> None:
    write(database, ("bad", 1), ("worse", 1))
    bad = park(database, "bad")
    park(database, "worse")

    result = outbox(url, "--retry", str(bad))

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"outbox: sent again: {bad}\noutbox: 1 waiting, 1 parked\n")
    assert [(row["key"], row["attempts"], row["parked_at"] is None) for row in rows(database)] == [
        ("bad", 0, True),
        ("worse", 20, False),
    ]


def test_all_parked_rows_are_sent_again(url: str, database: Database) -> None:
    write(database, ("bad", 1), ("worse", 1), ("good", 1))
    ids = [park(database, "bad"), park(database, "worse")]

    result = outbox(url, "--retry", "all")

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"outbox: sent again: {ids[0]}, {ids[1]}\noutbox: 3 waiting, 0 parked\n")
    assert all(row["parked_at"] is None for row in rows(database))


def test_all_of_nothing_is_no_error(url: str) -> None:
    result = outbox(url, "--retry", "all")

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Nothing was parked.\n")


def test_a_row_that_is_not_parked_is_not_sent_again(url: str, database: Database) -> None:
    write(database, ("a", 1))
    row_id = rows(database)[0]["id"]

    result = outbox(url, "--retry", str(row_id))

    assert result.returncode == 1
    assert result.stderr == f"No parked row has the id {row_id}.\n"


@pytest.mark.parametrize("wrong", ["", "-1", "ALL", "1;2", "1 or 1=1", "9" * 30, "a:b", "x" * 1000])
def test_what_is_no_id_is_refused(url: str, wrong: str) -> None:
    result = outbox(url, f"--retry={wrong}")

    assert result.returncode == 2
    assert "neither a row's id nor 'all'" in result.stderr


def test_the_url_may_come_from_the_environment(url: str) -> None:
    assert outbox(OUTBOX_DATABASE_URL=url).stdout == outbox(url).stdout


def test_without_a_url_it_says_what_it_wants() -> None:
    result = outbox()

    assert result.returncode == 2
    assert "OUTBOX_DATABASE_URL" in result.stderr


def test_help_tells_all_there_is() -> None:
    result = outbox("--help")

    assert result.returncode == 0
    for word in ("URL", "--retry ID|all", "parked", "OUTBOX_DATABASE_URL"):
        assert word in result.stdout


def test_a_database_that_is_away_is_said_in_a_line() -> None:
    result = outbox("postgresql://127.0.0.1:1/nothing")

    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("An outbox cannot be read: ") and result.stderr.count("\n") == 1


def test_a_database_without_an_outbox_is_no_error(postgres: PostgresServer) -> None:
    url = postgres.empty("review", "reviews_without_outbox")

    assert outbox(url).stdout == "outbox: has no outbox\n"
    assert outbox(url, "--retry", "all").returncode == 0
    assert outbox(url, "--retry", "1").returncode == 1


def test_what_another_service_wrote_does_not_steer_the_terminal(url: str, database: Database) -> None:
    write(database, ("\x1b[2Jkey\n", 1))
    park(database, "\x1b[2Jkey\n", error="\x1b]0;title\x07 no")

    result = outbox(url)

    assert result.returncode == 0
    assert "\x1b" not in result.stdout and "\x07" not in result.stdout
    assert "?[2Jkey?" in result.stdout


def test_an_id_that_two_services_have_wants_the_name_of_one(
    database: Database, gig_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    outboxes = {"gig": gig_database, "review": database}
    for each in outboxes.values():
        write(each, ("bad", 1))
        park(each, "bad")
    row_id = rows(database)[0]["id"]
    assert row_id == rows(gig_database)[0]["id"]

    assert administer(outboxes, Retry.parse(str(row_id)), "hint") == 1
    assert f"say gig:{row_id} or review:{row_id}" in capsys.readouterr().err
    assert administer(outboxes, Retry.parse(f"review:{row_id}"), "hint") == 0

    assert rows(database)[0]["parked_at"] is None
    assert rows(gig_database)[0]["parked_at"] is not None


def test_ages_are_those_of_the_database_clock(url: str, database: Database) -> None:
    write(database, ("a", 1))
    Clock(database).travel(timedelta(hours=3))

    assert cells(outbox(url).stdout.splitlines()[2])[5] == "3 h"


def test_lengths_of_time_are_rough() -> None:
    lengths = (-1, 0.44, 9.96, 12, 119, 120, 7199, 7200, 172_799, 172_800, 864_000)

    assert [duration(seconds) for seconds in lengths] == [
        *("0.0 s", "0.4 s", "10.0 s", "12 s", "119 s", "2 min", "120 min", "2 h", "48 h", "2 d", "10 d"),
    ]
