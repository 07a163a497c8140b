"""Repeated calls with the same idempotency key, to GigService's RPCs on a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit import crash
from servicekit.call import IdempotencyClaim, note_write
from servicekit.clock import Clock
from servicekit.database import Database, DatabaseAway, Statement
from servicekit.errors import OutcomeUnknown
from servicekit.idempotency import IdempotencyKeys, IdempotencyKeyTaken, StoredResponse
from servicekit.ids import new_id
from servicekit.status import REPEATABLE_KEY
from tests.support.at_once import closing
from tests.support.gigs import Gigs, a_gig, a_package
from tests.support.identity import user_id
from tests.support.postgres import url_of
from tests.support.rpc import Answer

CLAIM = IdempotencyClaim(user_id("webdev_pro"), "scope", "k", b"digest")
COUNT = Statement("SELECT (SELECT count(*) FROM gigs) AS gigs, (SELECT count(*) FROM idempotency_keys) AS keys")
FILL = """
    INSERT INTO idempotency_keys (caller, scope, key, digest, answer, created_at)
    SELECT gen_random_uuid(), 'old', number::text, '', '', app_now() - interval '49 hours'
    FROM generate_series(1, 20000) AS number
"""
DIE = """
import sys
sys.path[:0] = sys.path[1:]
from servicekit.database import Database
from tests.support.gigs import Gigs, a_gig
Gigs(Database(sys.argv[1])).call(a_gig(), idempotency_key="k")
"""


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


def counted(database: Database) -> tuple[int, int]:
    """Return the numbers of gigs and of idempotency keys."""
    (row,) = database.fetch_all(COUNT)
    return row["gigs"], row["keys"]


def create(gigs: Gigs, key: str = "k", name: str = "webdev_pro", **changed: Any) -> Answer:
    return gigs.call(a_gig(**changed), name, idempotency_key=key)


@pytest.mark.parametrize(("key", "wrote", "repeatable"), [(None, False, True), (None, True, False), ("k", True, True)])
def test_a_call_that_lost_the_primary_is_repeatable_when_it_wrote_nothing_or_has_a_key(
    gigs: Gigs, monkeypatch: pytest.MonkeyPatch, key: str | None, wrote: bool, repeatable: bool
) -> None:
    def lose_the_primary(*_: Any) -> None:
        if wrote:
            note_write()
        error = DatabaseAway()
        error.primary_away = True
        raise OutcomeUnknown.because_of(error)

    monkeypatch.setattr(gigs.store.gigs, "create", lose_the_primary)

    answer = gigs.call(a_gig(), **({"idempotency_key": key} if key else {}))

    assert answer.error == "OUTCOME_UNKNOWN"
    assert (REPEATABLE_KEY in answer.headers) == repeatable


def test_line_ends_spellings_and_unknown_fields_make_no_other_request(gigs: Gigs, gig_database: Database) -> None:
    first = create(gigs, description="One\nTwo", tags=["web"])
    same = a_gig(description=" One\r\nTwo\r\n", tags=["Web", "WEB "])
    same.MergeFromString(b"\xfa\x3e\x05hello")

    second = gigs.call(same, idempotency_key="k")

    assert second.response.id == first.response.id
    assert create(gigs, description="One Two", tags=["web"]).error == "IDEMPOTENCY_KEY_REUSED"


def test_a_repeat_gets_the_first_answer_with_its_headers(gigs: Gigs, gig_database: Database) -> None:
    first, second = create(gigs), create(gigs)

    assert second.response == first.response
    assert {name: second.headers[name] for name in ("etag", "location")} == first.headers
    assert counted(gig_database) == (1, 1)


def test_a_repeat_gets_the_first_answer_whatever_became_of_the_gig(gigs: Gigs, gig_database: Database) -> None:
    first = create(gigs)
    gigs.call(gig_pb2.DeleteGigRequest(gig_id=first.response.id))

    assert create(gigs).response == first.response
    assert gigs.call(gig_pb2.GetGigRequest(gig_id=first.response.id)).error == "NOT_FOUND"


def test_without_a_key_every_call_makes_its_own(gigs: Gigs, gig_database: Database) -> None:
    assert gigs.create() != gigs.create()
    assert counted(gig_database) == (2, 0)


def test_a_call_with_too_little_time_left_binds_nothing_and_a_repeat_still_gets_its_response(
    gigs: Gigs, gig_database: Database
) -> None:
    assert gigs.call(a_gig(), idempotency_key="k", seconds=0.05).error == "DEADLINE_EXCEEDED"
    assert counted(gig_database) == (0, 0)

    first = create(gigs)

    assert gigs.call(a_gig(), idempotency_key="k", seconds=0.05).response == first.response
    assert counted(gig_database) == (1, 1)


def test_another_body_is_refused_and_changes_nothing(gigs: Gigs, gig_database: Database) -> None:
    first = create(gigs)

    answer = create(gigs, title="Another gig")

    assert (answer.http_status, answer.error) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert counted(gig_database) == (1, 1)
    assert create(gigs).response == first.response


def test_a_body_that_means_the_same_is_the_same(gigs: Gigs, gig_database: Database) -> None:
    first = create(gigs, title="Fast websites", tags=["web", "frontend"])

    again = create(gigs, title="  Fast websites ", tags=["Web", "frontend", "WEB"])

    assert again.response == first.response
    assert counted(gig_database) == (1, 1)


def test_anothers_key_and_another_paths_key_are_other_keys(gigs: Gigs, gig_database: Database) -> None:
    mine, theirs = create(gigs), create(gigs, name="someone_else")
    other = create(gigs, key="other")
    assert len({mine.response.id, theirs.response.id, other.response.id}) == 3

    def add(gig_id: str) -> Answer:
        request = gig_pb2.AddPackageRequest(gig_id=gig_id, **_fields())
        return gigs.call(request, idempotency_key="k")

    first, second = add(mine.response.id), add(other.response.id)
    assert (first.response.gig_id, second.response.gig_id) == (mine.response.id, other.response.id)
    assert add(mine.response.id.upper()).response == first.response
    assert counted(gig_database) == (3, 5)


def _fields() -> dict[str, Any]:
    package = a_package()
    return {field.name: getattr(package, field.name) for field, _ in package.ListFields()}


def test_a_refusal_binds_nothing(gigs: Gigs, gig_database: Database) -> None:
    assert create(gigs, category_id=str(new_id())).error == "INVALID_ARGUMENT"
    assert create(gigs, title="x").error == "INVALID_ARGUMENT"
    assert counted(gig_database) == (0, 0)

    assert create(gigs).error == ""


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "k\x7f", "\t"])
def test_a_key_that_is_none_is_named(gigs: Gigs, gig_database: Database, key: str) -> None:
    answer = create(gigs, key=key)

    assert (answer.http_status, answer.body["details"][0]["field"]) == (400, "Idempotency-Key")
    assert counted(gig_database) == (0, 0)


def test_the_longest_key_is_one(gigs: Gigs) -> None:
    assert create(gigs, key="x" * 255).response == create(gigs, key="x" * 255).response


def test_what_is_wrong_with_the_body_comes_before_the_key_and_the_key_before_what_is_not_there(gigs: Gigs) -> None:
    first = create(gigs)
    assert create(gigs, title="x").error == "INVALID_ARGUMENT"
    package = gig_pb2.AddPackageRequest(gig_id=first.response.id, **_fields())
    added = gigs.call(package, idempotency_key="p")

    gigs.call(gig_pb2.DeleteGigRequest(gig_id=first.response.id))

    assert gigs.call(package, idempotency_key="p").response == added.response
    package.title = "Another package"
    assert gigs.call(package, idempotency_key="p").error == "IDEMPOTENCY_KEY_REUSED"
    assert gigs.call(package, idempotency_key="q").error == "NOT_FOUND"


def test_where_no_key_is_taken_it_says_nothing(gigs: Gigs, gig_database: Database) -> None:
    gig = gigs.create()

    for _ in range(2):
        assert gigs.call(gig_pb2.GetGigRequest(gig_id=gig), idempotency_key="x" * 300).error == ""

    assert counted(gig_database) == (1, 0)


def test_the_same_key_from_fifty_clients_at_once_makes_one_gig_and_all_get_the_first_answer(
    gig_database: Database,
) -> None:
    workers = [Gigs(gig_database) for _ in range(50)]

    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(closing(gig_database, partial(create, worker))) for worker in workers]
        answers = [call.result(30) for call in calls]

    assert {answer.response.id for answer in answers} == {answers[0].response.id}
    assert counted(gig_database) == (1, 1)


@pytest.mark.parametrize(("point", "gigs_there"), [("idempotency:commit", 0), ("idempotency:committed", 1)])
def test_after_a_crash_around_the_commit_a_repeat_makes_it_once(
    gigs: Gigs, gig_database: Database, point: str, gigs_there: int
) -> None:
    environment = {**os.environ, "CRASH_AT": point, "PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run([sys.executable, "-c", DIE, url_of(gig_database)], env=environment, check=False, timeout=60)

    assert died.returncode == crash.STATUS
    assert counted(gig_database) == (gigs_there, gigs_there)
    assert create(gigs).response == create(gigs).response
    assert counted(gig_database) == (1, 1)


def test_a_key_counts_for_two_days(gigs: Gigs, gig_database: Database) -> None:
    clock = Clock(gig_database)
    first = create(gigs)
    clock.travel(timedelta(hours=47, minutes=59))
    assert create(gigs).response == first.response

    clock.travel(timedelta(minutes=1))

    second = create(gigs, title="Another gig")
    assert second.response.id != first.response.id
    assert create(gigs, title="Another gig").response == second.response


def test_work_that_nobody_has_finished_never_expires(gig_database: Database) -> None:
    idempotency_keys = IdempotencyKeys(gig_database, timedelta(hours=48))
    work = new_id()
    idempotency_keys.begin(CLAIM, work)
    Clock(gig_database).travel(timedelta(days=400))

    idempotency_keys.sweep()

    assert idempotency_keys.find(CLAIM, gig_pb2.CreateGigResponse) == CLAIM._replace(attempt_id=work)
    idempotency_keys.finish(work, gig_pb2.CreateGigResponse(id="x"))
    idempotency_keys.sweep()
    assert idempotency_keys.find(CLAIM, gig_pb2.CreateGigResponse) == CLAIM


def test_a_key_that_is_bound_cannot_be_bound_again_until_it_is_freed(gig_database: Database) -> None:
    idempotency_keys = IdempotencyKeys(gig_database, timedelta(hours=48))
    work = new_id()
    idempotency_keys.begin(CLAIM, work)

    with pytest.raises(IdempotencyKeyTaken):
        idempotency_keys.begin(CLAIM, new_id())

    idempotency_keys.free(work)
    idempotency_keys.begin(CLAIM, new_id())


def test_a_stored_response_outlives_a_worker_that_comes_late_to_another_outcome(gig_database: Database) -> None:
    idempotency_keys = IdempotencyKeys(gig_database, timedelta(hours=48))
    work = new_id()
    response = gig_pb2.CreateGigResponse(id="x")
    idempotency_keys.begin(CLAIM, work)
    idempotency_keys.finish(work, response)

    idempotency_keys.free(work)
    idempotency_keys.finish(work, gig_pb2.CreateGigResponse(id="y"))

    assert idempotency_keys.find(CLAIM, gig_pb2.CreateGigResponse) == StoredResponse(response, "")


def test_work_of_a_call_without_a_key_binds_none(gig_database: Database) -> None:
    idempotency_keys = IdempotencyKeys(gig_database, timedelta(hours=48))

    idempotency_keys.begin(None, new_id())

    assert counted(gig_database) == (0, 0)


def test_what_expired_is_swept_while_callers_go_on(gigs: Gigs, gig_database: Database) -> None:
    gig_database.execute(FILL)
    idempotency_keys = IdempotencyKeys(gig_database, timedelta(hours=48))
    young = create(gigs, key="young")

    with ThreadPoolExecutor(1) as pool:
        sweeping = pool.submit(closing(gig_database, idempotency_keys.sweep))
        number = 0
        while not sweeping.done() or number < 20:
            number += 1
            assert create(gigs, key=f"k{number}").error == ""
        sweeping.result()

    assert counted(gig_database)[1] == number + 1
    assert create(gigs, key="young").response == young.response


def test_a_sweep_skips_locked_keys_and_deletes_them_the_next_time(gigs: Gigs, gig_database: Database) -> None:
    create(gigs, key="locked")
    create(gigs, key="free")
    Clock(gig_database).travel(timedelta(hours=48))
    idempotency_keys = IdempotencyKeys(gig_database, timedelta(hours=48))

    with ThreadPoolExecutor(1) as pool, gig_database.transaction():
        gig_database.fetch_all(Statement("SELECT key FROM idempotency_keys WHERE key = 'locked' FOR UPDATE"))
        # A sweep that waited for the lock would time out and raise, since this transaction outlasts it.
        pool.submit(closing(gig_database, idempotency_keys.sweep)).result(30)
        assert counted(gig_database) == (2, 1)

    idempotency_keys.sweep()
    assert counted(gig_database) == (2, 0)
