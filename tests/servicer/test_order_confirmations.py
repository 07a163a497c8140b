"""Cards that want the buyer's confirmation: the placing waits for it, with its idempotency key."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from google.rpc import error_details_pb2, status_pb2

from order_service.domain.attempt import MAX_WAITING, Kind, State
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.gateway import Sandbox
from order_service.reconciliation import check
from order_service.store.attempts import BEFORE_PLACING
from servicekit.database import Database, Statement
from servicekit.status import DETAILS_KEY
from tests.support.at_once import closing
from tests.support.order_rows import row_counts
from tests.support.orderservice import BUYER, PACKAGE, STRANGER, OrderBackend
from tests.support.rpc import Answer

NOTHING = {"orders": 0, "attempts": 0, "keys": 0, "outbox": 0}
WAITS = {"orders": 0, "attempts": 1, "keys": 1, "outbox": 0}
CONFIRMED = timedelta(seconds=3)
IN_TIME = timedelta(minutes=14)
TOO_LATE = timedelta(minutes=15, seconds=1)
ROWS = Statement("SELECT a::text AS row FROM attempts AS a UNION ALL SELECT k::text FROM idempotency_keys AS k")
ATTEMPT = Statement("SELECT order_id, created_at FROM attempts")
ORDER = Statement("SELECT created_at, capture_before, due_at FROM orders")


def order_id(world: OrderBackend) -> UUID:
    """Return the id of the one attempt."""
    (row,) = world.database.fetch_all(ATTEMPT)
    return UUID(str(row["order_id"]))


def confirmation(answer: Answer) -> dict[str, Any]:
    assert (answer.http_status, answer.error) == (402, "PAYMENT_ACTION_REQUIRED")
    fields: dict[str, Any] = answer.body["confirmation"]
    return fields


def authorized(world: OrderBackend) -> list[Decimal]:
    return [payment.authorized for payment in world.sandbox_payments()]


def test_the_error_has_the_secret_and_the_end_of_the_time_as_json_and_for_grpc(world: OrderBackend) -> None:
    before = world.store.now()

    answer = world.place(key="k", payment_token=scenarios.CONFIRM_NEVER)

    fields = confirmation(answer)
    assert set(fields) == {"clientSecret", "expiresAt"}
    expires_at = datetime.fromisoformat(fields["expiresAt"])
    assert timedelta(minutes=14, seconds=59) <= expires_at - before <= timedelta(minutes=15, seconds=5)
    info = error_details_pb2.ErrorInfo()
    status_pb2.Status.FromString(answer.headers[DETAILS_KEY]).details[0].Unpack(info)
    assert dict(info.metadata) == fields
    assert row_counts(world) == WAITS


def test_the_same_post_gets_the_same_error_until_the_buyer_confirms_and_then_the_order(world: OrderBackend) -> None:
    first = world.place(key="k", payment_token=scenarios.CONFIRM_NEVER)
    world.travel(IN_TIME)
    world.settle()
    second = world.place(key="k", payment_token=scenarios.CONFIRM_NEVER)
    other = world.place(key="k", payment_token=scenarios.CONFIRM_NEVER, requirements="Another theme")

    world.sandbox.confirm(order_id(world))
    third = world.place(key="k", payment_token=scenarios.CONFIRM_NEVER)
    fourth = world.place(key="k", payment_token=scenarios.CONFIRM_NEVER)

    assert confirmation(first) == confirmation(second)
    assert (other.http_status, other.error) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert third.error == ""
    assert third.response == fourth.response
    assert world.listed(BUYER) == [third.response.order_id]
    assert authorized(world) == [500]
    assert row_counts(world) == {"orders": 1, "attempts": 0, "keys": 1, "outbox": 0}


def test_a_confirmation_that_is_learnt_of_places_the_order_by_itself_and_the_repeat_reads_it(
    world: OrderBackend,
) -> None:
    world.place(key="k", payment_token=scenarios.CONFIRM)
    world.settle()
    assert world.listed(BUYER) == []

    world.travel(CONFIRMED)
    world.settle()

    (order,) = world.listed(BUYER)
    assert (world.status(order), world.payment(order)) == ("PENDING", ("AUTHORIZED", 0))
    assert world.place(key="k", payment_token=scenarios.CONFIRM).response.order_id == order
    assert check(world.database, world.worker.gateway).differences == []


def test_terms_and_price_are_those_of_the_first_post_whatever_becomes_of_the_gig(world: OrderBackend) -> None:
    world.place(key="k", payment_token=scenarios.CONFIRM, expected_price=500)
    world.offer_package(price=900, package_title="Dearer")
    world.gigs.offers.pop(PACKAGE)
    world.travel(CONFIRMED)

    placed = world.place(key="k", payment_token=scenarios.CONFIRM, expected_price=500).response

    assert (placed.price, placed.package) == (500, "Basic Website")


def test_the_hold_counts_from_the_first_post_and_everything_else_from_the_order(world: OrderBackend) -> None:
    world.place(key="k", payment_token=scenarios.CONFIRM_NEVER)
    (attempt,) = world.database.fetch_all(ATTEMPT)
    world.travel(timedelta(minutes=10))
    world.sandbox.confirm(order_id(world))

    placed_after = world.store.now()
    world.settle()

    (order,) = world.database.fetch_all(ORDER)
    assert order["capture_before"] == attempt["created_at"] + timedelta(days=7)
    assert order["created_at"] >= placed_after
    assert order["due_at"] == order["created_at"] + timedelta(days=14)


@pytest.mark.parametrize("is_learnt_first", [True, False], ids=["learnt by recovery", "learnt by the post"])
def test_the_first_post_after_a_refused_confirmation_is_declined_and_frees_the_key(
    world: OrderBackend, is_learnt_first: bool
) -> None:
    card = scenarios.CONFIRM_REFUSED
    world.place(key="k", payment_token=card)
    world.travel(CONFIRMED)
    if is_learnt_first:
        world.settle()
        assert row_counts(world) == WAITS
        assert world.place(key="k", requirements="Another theme").error == "IDEMPOTENCY_KEY_REUSED"

    answer = world.place(key="k", payment_token=card)

    assert (answer.http_status, answer.error) == (402, "PAYMENT_DECLINED")
    assert row_counts(world) == NOTHING
    assert authorized(world) == [0]
    assert world.place(key="k").error == ""


def test_a_refused_confirmation_that_nobody_asks_about_frees_the_key_when_the_time_is_over(world: OrderBackend) -> None:
    world.place(key="k", payment_token=scenarios.CONFIRM_REFUSED)
    world.travel(CONFIRMED)
    world.settle()
    assert row_counts(world) == WAITS

    world.travel(TOO_LATE)
    world.settle()

    assert row_counts(world) == NOTHING


@pytest.mark.parametrize("is_recovered", [True, False], ids=["recovered", "repeated"])
@pytest.mark.parametrize("is_confirmed", [True, False], ids=["confirmed too late", "not confirmed"])
def test_what_is_not_confirmed_in_time_is_voided_and_the_key_is_free_again(
    world: OrderBackend, is_recovered: bool, is_confirmed: bool
) -> None:
    world.place(key="k", payment_token=scenarios.CONFIRM_NEVER)
    first = order_id(world)
    world.travel(TOO_LATE)
    if is_confirmed:
        world.sandbox.confirm(first)
    if is_recovered:
        world.settle()
        assert row_counts(world) == NOTHING

    repeated = world.place(key="k", payment_token=scenarios.CONFIRM_NEVER)

    assert datetime.fromisoformat(confirmation(repeated)["expiresAt"]) > world.store.now()
    assert order_id(world) != first
    assert authorized(world) == [0, 0]
    assert world.listed(BUYER) == []


def test_a_payment_that_cannot_be_voided_in_time_is_given_up_when_the_provider_is_back(world: OrderBackend) -> None:
    world.place(key="k", payment_token=scenarios.CONFIRM_NEVER)
    first, provider = order_id(world), world.sandbox
    world.use_sandbox(Sandbox(Database("postgresql://nobody@127.0.0.1:1/nothing")))
    world.travel(TOO_LATE)

    world.worker.payment_recovery.recover_due()
    assert world.place(key="k", payment_token=scenarios.CONFIRM_NEVER).error == "OUTCOME_UNKNOWN"
    attempt = world.store.attempts.get(first)
    assert attempt is not None
    assert attempt.state is State.GIVING_UP
    # The buyer confirms all the same, as a browser can at any time.
    provider.confirm(first)
    world.use_sandbox(provider)
    world.settle_with_retries()

    assert row_counts(world) == NOTHING
    assert authorized(world) == [0]


def test_without_a_key_nothing_is_kept_and_the_error_says_that_one_is_needed(world: OrderBackend) -> None:
    answer = world.place(payment_token=scenarios.CONFIRM)

    assert (answer.http_status, answer.error) == (402, "PAYMENT_ACTION_REQUIRED")
    assert "Idempotency-Key" in answer.body["error"]
    assert "confirmation" not in answer.body
    assert row_counts(world) == NOTHING
    world.travel(CONFIRMED)
    world.settle()
    assert authorized(world) == [0]
    assert world.listed(BUYER) == []


def test_without_a_key_a_payment_that_cannot_be_voided_at_once_is_voided_by_recovery(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(world.sandbox, "abandon", Sandbox(Database("postgresql://nobody@127.0.0.1:1/nothing")).abandon)
        answer = world.place(payment_token=scenarios.CONFIRM)

    assert answer.error == "PAYMENT_ACTION_REQUIRED"
    assert row_counts(world)["attempts"] == 1
    world.travel(CONFIRMED)
    world.settle()
    assert row_counts(world) == NOTHING
    assert authorized(world) == [0]
    assert world.listed(BUYER) == []


def test_the_secret_is_neither_stored_nor_logged(world: OrderBackend, capsys: pytest.CaptureFixture[str]) -> None:
    answer = world.place(key="k", payment_token=scenarios.CONFIRM_REFUSED)
    secret = confirmation(answer)["clientSecret"]
    rows = "".join(row["row"] for row in world.database.fetch_all(ROWS))
    world.place(key="k", payment_token=scenarios.CONFIRM_REFUSED)
    world.settle()
    world.travel(TOO_LATE)
    world.settle()

    logged = capsys.readouterr()
    assert "PAYMENT_ACTION_REQUIRED" in logged.out
    assert secret not in logged.out + logged.err
    assert "confirming" in rows
    assert secret not in rows


def test_a_repeat_is_answered_while_recovery_asks_the_provider(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.place(key="k", payment_token=scenarios.CONFIRM_NEVER)

    with world.store.attempt_lock(order_id(world)):
        call = partial(world.another_worker().place, key="k", payment_token=scenarios.CONFIRM_NEVER)
        with ThreadPoolExecutor(1) as pool:
            repeated = pool.submit(closing(world.database, call)).result(30)

    assert confirmation(repeated) == confirmation(first)


def test_of_a_repeat_and_recovery_that_learn_of_the_confirmation_at_once_one_places_the_order(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.place(key="k", payment_token=scenarios.CONFIRM)
    world.travel(CONFIRMED)
    is_asked, both_asked = threading.Event(), threading.Barrier(2)
    authorize = world.sandbox.authorize

    def authorize_together(purchase: Any) -> Any:
        result = authorize(purchase)
        is_asked.set()
        both_asked.wait(30)
        return result

    monkeypatch.setattr(world.sandbox, "authorize", authorize_together)
    with ThreadPoolExecutor(1) as pool:
        recovering = pool.submit(closing(world.database, world.worker.payment_recovery.recover_due))
        repeated = world.another_worker()
        repeated.use_sandbox(world.sandbox)
        # Recovery is first: it leaves an attempt that somebody else is finishing to them.
        assert is_asked.wait(30)
        answer = repeated.place(key="k", payment_token=scenarios.CONFIRM)
        recovering.result(30)

    assert answer.error == ""
    assert world.listed(BUYER) == [answer.response.order_id]
    assert row_counts(world) == {"orders": 1, "attempts": 0, "keys": 1, "outbox": 0}


def test_recovery_asks_every_two_seconds_at_first_and_less_often_later(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.place(key="k", payment_token=scenarios.CONFIRM_NEVER)
    asked: list[datetime] = []
    authorize = world.sandbox.authorize

    def count(purchase: Any) -> Any:
        asked.append(world.store.now())
        return authorize(purchase)

    monkeypatch.setattr(world.sandbox, "authorize", count)
    start = world.store.now()
    for _ in range(900 * 2):
        world.travel(timedelta(seconds=0.5))
        world.worker.payment_recovery.recover_due()

    waits = [(later - earlier).total_seconds() for earlier, later in zip([start, *asked], asked, strict=False)]
    assert all(1.5 <= wait <= 3 for wait in waits[:2])
    assert max(waits) <= 32
    assert 30 <= len(asked) <= 60
    # The last question is right before the end, after which the payment is voided.
    assert asked[-1] - start >= timedelta(minutes=14, seconds=57)
    assert row_counts(world) == NOTHING


def test_an_authorization_in_doubt_that_turns_out_to_want_confirmation_waits_for_it(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(world.sandbox, "authorize", Sandbox(Database("postgresql://x@127.0.0.1:1/x")).authorize)
        assert world.place(key="k", payment_token=scenarios.CONFIRM_NEVER).error == "OUTCOME_UNKNOWN"
    world.settle()

    confirmation(world.place(key="k", payment_token=scenarios.CONFIRM_NEVER))
    assert world.store.attempts.counts() == {Kind.AUTHORIZE: 1}


def test_a_buyer_of_whom_twenty_placings_wait_for_a_confirmation_places_no_other_until_one_has_ended(
    world: OrderBackend,
) -> None:
    for number in range(MAX_WAITING):
        confirmation(world.place(key=f"k{number}", payment_token=scenarios.CONFIRM_NEVER))
    full = row_counts(world)

    refused = [world.place(key="one more", payment_token=scenarios.CONFIRM_NEVER), world.place()]

    assert {(answer.http_status, answer.error) for answer in refused} == {(409, "LIMIT_REACHED")}
    assert row_counts(world) == full == {"orders": 0, "attempts": MAX_WAITING, "keys": MAX_WAITING, "outbox": 0}
    # Those that wait go on, and so does everybody else.
    confirmation(world.place(key="k0", payment_token=scenarios.CONFIRM_NEVER))
    assert world.place(STRANGER).error == ""
    world.travel(TOO_LATE)
    world.settle_with_retries()
    assert world.place(key="one more").error == ""


def test_placings_that_wait_are_counted_by_an_index(world: OrderBackend) -> None:
    world.store.attempts.before_placing(UUID(PACKAGE), UUID(PACKAGE))
    world.database.execute("SET enable_seqscan = off")
    with world.database.peewee.connection().cursor() as cursor:
        cursor.execute(f"EXPLAIN EXECUTE {BEFORE_PLACING.name} (%s, %s)", (PACKAGE, PACKAGE))
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "attempts_waiting" in plan
    assert "Filter" not in plan.partition("attempts_waiting")[2]
