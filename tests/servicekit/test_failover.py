"""A database of two hosts: who answers reads, and what callers are told while there is no primary."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from servicekit.call import Call, current_call
from servicekit.database import Database, DatabaseAway, Statement
from servicekit.errors import MarketplaceError
from servicekit.failover import SLOW_SECONDS, PrimaryAway, fails_over, own_host_first, until_primary
from tests.support.eventually import eventually
from tests.support.pair import Pair, a_pair

IS_STANDBY = Statement("SELECT pg_is_in_recovery() AS is_standby")
ADD = Statement("INSERT INTO things VALUES ($1)")
THINGS = Statement("SELECT name FROM things ORDER BY name")

CANCEL_WAITING = """
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = 'kit_alone'
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Two servers for all tests. The last one kills the primary."""
    with a_pair() as pair:
        yield pair


def test_an_anonymous_read_is_answered_by_the_own_host_and_everything_else_by_the_primary(pair: Pair) -> None:
    database = Database(pair.url("gig", "kit_reads"), own_host=pair.hosts[1])

    def is_standby() -> bool:
        row = database.fetch_one(IS_STANDBY)
        assert row is not None
        return bool(row["is_standby"])

    token = current_call.set(Call(reads_standby=True))
    try:
        assert is_standby()
        with database.transaction():
            assert not is_standby()
        pair.stop_standby()
        assert not is_standby()
    finally:
        current_call.reset(token)
    pair.start_standby()
    assert not is_standby()


def test_a_write_that_meets_a_standby_is_refused_and_finds_the_primary(pair: Pair) -> None:
    """The host was the primary once, and is a standby now; its connections are good."""
    database = Database(pair.url("gig", "kit_demoted"))
    database.execute("CREATE TABLE things (name text)")
    database.peewee.connection().cursor().execute("SET default_transaction_read_only = on")

    with pytest.raises(DatabaseAway):
        database.write(ADD, "refused")

    eventually(lambda: _succeeds(database))
    assert [row["name"] for row in database.fetch_all(THINGS)] == ["found"]


def _succeeds(database: Database) -> bool:
    try:
        database.write(ADD, "found")
    except DatabaseAway:
        return False
    return True


def test_a_write_whose_answer_was_lost_is_not_repeated_and_counts_as_maybe_done(pair: Pair) -> None:
    database = Database(pair.url("gig", "kit_lost_answer"))
    database.execute("CREATE TABLE things (name text)")
    cut = Statement("INSERT INTO things SELECT $1 WHERE pg_terminate_backend(pg_backend_pid()) IS NOT NULL")
    call = Call()
    token = current_call.set(call)

    with pytest.raises(DatabaseAway):
        database.write(cut, "once")

    current_call.reset(token)
    assert call.may_have_written


def test_a_commit_that_stops_to_wait_for_a_standby_is_not_a_success(pair: Pair) -> None:
    database = Database(pair.url("gig", "kit_alone"))
    database.execute("CREATE TABLE things (name text)")
    pair.primary.set("synchronous_standby_names", "nobody")
    over = threading.Event()

    def cancel() -> None:
        while not over.wait(0.05):
            pair.ask_primary(CANCEL_WAITING)

    def is_refused() -> bool:
        try:
            with database.transaction():
                database.execute("SET LOCAL synchronous_commit = on")
                database.write(ADD, "alone")
        except DatabaseAway:
            return True
        return False

    cancelling = threading.Thread(target=cancel)
    cancelling.start()
    try:
        # The server needs a moment to see its new setting.
        eventually(is_refused)
    finally:
        over.set()
        cancelling.join()
        pair.primary.set("synchronous_standby_names", "")


def test_at_most_the_given_number_of_threads_waits_for_a_primary_that_does_not_answer(pair: Pair) -> None:
    database = Database(pair.url("gig", "kit_waiting"), waiting_threads=1)
    database.fetch_all(IS_STANDBY)
    ended = threading.Event()

    def wait() -> None:
        database.fetch_all(Statement("SELECT pg_sleep($1)"), SLOW_SECONDS + 2)
        ended.set()

    def is_refused() -> bool:
        try:
            database.fetch_all(IS_STANDBY)
        except DatabaseAway:
            return True
        return False

    waiting = threading.Thread(target=wait)
    waiting.start()

    eventually(is_refused, every=0.1)
    assert not ended.is_set()
    waiting.join()
    assert not is_refused()


@pytest.fixture
def call() -> Iterator[Call]:
    """Handle a call in this thread."""
    call = Call()
    token = current_call.set(call)
    yield call
    current_call.reset(token)


class Work:
    """Work that fails so often before it succeeds."""

    def __init__(self, failures: int, error: MarketplaceError, *, primary_away: bool = True) -> None:
        self.tries, self._failures, self._error = 0, failures, error
        error.primary_away = primary_away

    async def run(self) -> str:
        """Try once."""
        self.tries += 1
        if self.tries <= self._failures:
            raise self._error
        return "done"


@pytest.mark.usefixtures("call")
def test_work_is_repeated_until_there_is_a_primary() -> None:
    work = Work(2, DatabaseAway())

    assert asyncio.run(until_primary(work.run)) == "done"
    assert work.tries == 3


@pytest.mark.parametrize(
    ("primary_away", "may_have_written"), [(False, False), (True, True)], ids=["another reason", "maybe written"]
)
def test_no_other_work_is_repeated(call: Call, *, primary_away: bool, may_have_written: bool) -> None:
    call.may_have_written = may_have_written
    work = Work(1, DatabaseAway(), primary_away=primary_away)

    with pytest.raises(DatabaseAway):
        asyncio.run(until_primary(work.run))
    assert work.tries == 1


@pytest.mark.usefixtures("call")
def test_a_call_does_not_wait_for_ever_for_a_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servicekit.failover.NEW_PRIMARY_SECONDS", 0.1)
    work = Work(1000, DatabaseAway())

    with pytest.raises(DatabaseAway):
        asyncio.run(until_primary(work.run))
    assert work.tries == 2


def test_a_url_says_whether_the_primary_may_move() -> None:
    assert not fails_over("postgresql://gigs@/gigs?host=%2Ftmp&port=5432")
    assert fails_over("postgresql://gigs@one,two/gigs")
    assert fails_over("postgresql://gigs@one:5432/gigs?target_session_attrs=read-write")


def test_the_own_host_is_asked_first() -> None:
    params = own_host_first("postgresql://gigs@one:1,two:2,three:3/gigs", "two")

    assert (params["host"], params["port"]) == ("two,one,three", "2,1,3")
    with pytest.raises(ValueError, match="no host four"):
        own_host_first("postgresql://gigs@one,two/gigs", "four")


def test_while_there_is_no_primary_calls_are_refused_at_once_and_go_on_with_the_new_one(pair: Pair) -> None:
    database = Database(pair.url("gig", "kit_promoted"))
    database.execute("CREATE TABLE things (name text)")
    database.write(ADD, "before")
    eventually(lambda: pair.ask_standby("SELECT to_regclass('things')::text", "kit_promoted") == [("things",)])
    eventually(lambda: pair.ask_standby("SELECT name FROM things", "kit_promoted") == [("before",)])
    pair.primary.kill()

    in_transaction = Call()
    token = current_call.set(in_transaction)
    with pytest.raises(DatabaseAway) as refused, database.transaction():
        database.write(ADD, "lost")
        database.fetch_all(THINGS)
    current_call.reset(token)

    # The prober knows: nothing is tried any more.
    alone = Call()
    token = current_call.set(alone)
    with pytest.raises(DatabaseAway) as at_once:
        database.write(ADD, "never sent")
    with pytest.raises(DatabaseAway):
        database.commit_one("adding", ADD, "never sent")
    current_call.reset(token)
    assert not alone.may_have_written
    assert refused.value.primary_away
    assert not in_transaction.may_have_written
    assert isinstance(at_once.value.__cause__, PrimaryAway)

    pair.promote()

    def goes_on() -> bool:
        try:
            database.write(ADD, "after")
        except DatabaseAway:
            return False
        return True

    eventually(goes_on)
    assert [row["name"] for row in database.fetch_all(THINGS)] == ["after", "before"]
