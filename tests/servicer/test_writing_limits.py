"""How much a user may write: exactly, over several workers, and in which place among the other errors."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from order_service.domain.file import FileStatus
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from tests.support import talks
from tests.support.at_once import closing
from tests.support.identity import token, user_id
from tests.support.orderservice import BUYER, SELLER, OrderBackend

# Nothing comes back before the time of the bucket.
EMPTY = Statement("""
    INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, 'message', 0, app_now() + interval '1 hour')
    ON CONFLICT (user_id, kind) DO UPDATE SET tokens = 0, at = excluded.at
""")


def empty(world: OrderBackend) -> None:
    """Let the buyer have sent all messages that they can, however slow the test is."""
    world.database.fetch_all(EMPTY, user_id("happy_buyer"))


def test_the_31st_message_of_a_minute_is_refused_until_the_time_told(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    before, number = world.clock.now(), 1
    while not (refused := talks.send(world, conversation_id)).error:
        number += 1
    seconds = (world.clock.now() - before).total_seconds()

    # Half a token comes back in a second.
    assert 30 <= number <= 30 + seconds / 2
    assert (refused.http_status, refused.error) == (429, "RATE_LIMITED")
    assert refused.headers["retry-after"] in ("1", "2")
    world.clock.travel(timedelta(seconds=int(refused.headers["retry-after"])))
    assert not talks.send(world, conversation_id).error


def test_starts_count_toward_the_limit_of_messages_too(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    empty(world)

    for refused in (talks.start(world), talks.send(world, conversation_id)):
        assert (refused.error, refused.headers["retry-after"]) == ("RATE_LIMITED", "2")


def test_the_11th_new_conversation_of_an_hour_is_refused_and_known_ones_are_not(world: OrderBackend) -> None:
    gigs = [talks.offer_gig(world, str(new_id()), f"seller_{number}") for number in range(11)]
    for gig_id in gigs[:10]:
        assert talks.start(world, gig_id=gig_id).response.is_new

    refused = talks.start(world, gig_id=gigs[10])
    assert (refused.error, 0 < int(refused.headers["retry-after"]) <= 360) == ("RATE_LIMITED", True)
    assert not talks.start(world, gig_id=gigs[0]).response.is_new
    world.clock.travel(timedelta(seconds=int(refused.headers["retry-after"])))
    assert talks.start(world, gig_id=gigs[10]).response.is_new


def test_refusals_and_repeats_of_a_key_count_nothing(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    for _ in range(40):
        assert talks.send(world, conversation_id, "").error == "INVALID_ARGUMENT"
        assert talks.send(world, conversation_id, file_ids=[str(new_id())]).error == "NOT_FOUND"
    unchecked = talks.upload(world, status=FileStatus.CHECKING)
    for _ in range(40):
        assert talks.send(world, conversation_id, file_ids=[unchecked]).error == "FILE_NOT_READY"
        assert not talks.send(world, conversation_id, key="k").error
        assert not talks.start(world, key="k").error

    assert [talks.send(world, conversation_id).error for _ in range(20)] == [""] * 20


def test_a_limit_comes_after_403_and_before_409(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    unchecked = talks.upload(world, status=FileStatus.CHECKING)
    empty(world)

    assert talks.send(world, conversation_id, file_ids=[str(new_id())]).error == "NOT_FOUND"
    assert talks.send(world, conversation_id, file_ids=[unchecked]).error == "RATE_LIMITED"
    talks.block(world, "webdev_pro", BUYER)
    assert talks.send(world, conversation_id).error == "RATE_LIMITED"
    talks.block(world)
    assert talks.send(world, conversation_id).error == "FORBIDDEN"


def test_several_workers_together_take_no_more_than_the_limit(world: OrderBackend, order_database: Database) -> None:
    conversation_id = talks.started(world)
    workers = [world.another_worker() for _ in range(4)]
    before = world.clock.now()

    def write(worker: OrderBackend) -> Counter[str]:
        return Counter(talks.send(worker, conversation_id).error for _ in range(15))

    with ThreadPoolExecutor(4) as pool:
        errors = sum(pool.map(lambda worker: closing(order_database, lambda: write(worker))(), workers), Counter())
    seconds = (world.clock.now() - before).total_seconds()

    assert set(errors) <= {"", "RATE_LIMITED"}
    assert 29 <= errors[""] <= 29 + seconds / 2 + 1
    assert errors["RATE_LIMITED"] == 60 - errors[""]


def test_limits_are_each_users_own(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    empty(world)

    assert not talks.send(world, conversation_id, sent_token=SELLER).error
    assert talks.start(world, sent_token=token("another_buyer", "buyer")).response.is_new
