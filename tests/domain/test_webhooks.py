"""Whose an endpoint is, which types it can have, and when a delivery is tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from order_service.domain.feed import INTERNAL, PUBLIC_TYPES
from order_service.domain.webhook import (
    DELAYS,
    GIVE_UP_AFTER,
    Delivery,
    DeliveryStatus,
    Endpoint,
    EndpointStatus,
    check_limit,
    is_accepted,
    may_send,
    retry_delay,
    unique_types,
    violations_of_types,
)
from servicekit.errors import Conflict, NotFound
from servicekit.ids import new_id
from tests.support.identity import a_caller, user_id
from tests.support.orders import NOON

ENDPOINT = Endpoint(
    new_id(), user_id("ann"), False, "https://example.com/", (), EndpointStatus.ENABLED, "encrypted", NOON
)
DISABLED = replace(ENDPOINT, status=EndpointStatus.DISABLED)
FRESH = Delivery(
    new_id(), ENDPOINT.id, new_id(), DeliveryStatus.PENDING, 1, False, 0, 0, None, None, NOON, next_at=NOON
)


def tried(attempts: int) -> Delivery:
    return replace(FRESH, attempts=attempts, round_attempts=attempts, tried_since=NOON)


def test_an_endpoint_is_there_for_its_owner_and_admins_alone() -> None:
    ENDPOINT.check_access(a_caller("ann"))
    ENDPOINT.check_access(a_caller("root", "admin"))
    with pytest.raises(NotFound):
        ENDPOINT.check_access(a_caller("bob", "seller", "buyer"))


def test_the_owner_of_an_admins_endpoint_reads_as_an_admin() -> None:
    assert (ENDPOINT.viewer.id, ENDPOINT.viewer.is_admin) == (user_id("ann"), False)
    assert replace(ENDPOINT, is_admin=True).viewer.is_admin


def test_the_eleventh_endpoint_is_refused() -> None:
    check_limit(9)
    with pytest.raises(Conflict) as refusal:
        check_limit(10)
    assert refusal.value.code == "LIMIT_REACHED"


def test_every_type_of_the_contract_is_known_and_no_other() -> None:
    assert violations_of_types(sorted(PUBLIC_TYPES)) == []
    assert {"order.extension_answered", "payout.paid", "message.sent", "offer.made", "offer.closed"} <= PUBLIC_TYPES
    assert len(violations_of_types(sorted(INTERNAL))) == len(INTERNAL) == 2
    assert [each.field for each in violations_of_types(["order.placed", "order.lost", "*", "ORDER.PLACED"])] == [
        "types[1]",
        "types[2]",
        "types[3]",
    ]


def test_types_that_come_twice_count_once() -> None:
    assert unique_types(["payout.paid", "order.placed", "payout.paid"]) == ("payout.paid", "order.placed")


@pytest.mark.parametrize(
    ("status", "accepted"),
    [(200, True), (204, True), (299, True), (199, False), (301, False), (410, False), (500, False), (None, False)],
)
def test_any_2xx_is_acceptance(status: int | None, accepted: bool) -> None:
    assert is_accepted(status) == accepted


def test_the_attempts_of_a_day_come_ever_later_and_the_last_one_after_the_whole_day() -> None:
    now, attempts, times = NOON, 0, []
    delay: timedelta | None = timedelta(0)
    while delay is not None:
        now += delay
        attempts += 1
        times.append(now - NOON)
        delay = retry_delay(tried(attempts), ENDPOINT, 500, now, jitter=0)

    assert times == [
        timedelta(0),
        timedelta(seconds=5),
        timedelta(minutes=1, seconds=5),
        timedelta(minutes=6, seconds=5),
        timedelta(minutes=36, seconds=5),
        timedelta(hours=2, minutes=36, seconds=5),
        timedelta(hours=7, minutes=36, seconds=5),
        timedelta(hours=17, minutes=36, seconds=5),
        timedelta(hours=24),
    ]


def test_a_delay_is_longer_by_a_fifth_at_most() -> None:
    delays = [retry_delay(tried(1), ENDPOINT, None, NOON, jitter) for jitter in (0, 0.5, 1)]

    assert delays == [timedelta(seconds=5), timedelta(seconds=5.5), timedelta(seconds=6)]


@pytest.mark.parametrize("attempts", range(1, 20))
def test_no_delay_goes_beyond_the_day(attempts: int) -> None:
    now = NOON + GIVE_UP_AFTER - timedelta(seconds=1)

    assert retry_delay(tried(attempts), ENDPOINT, 500, now, 1) == timedelta(seconds=1)
    assert retry_delay(tried(attempts), ENDPOINT, 500, NOON + GIVE_UP_AFTER, 1) is None
    assert sorted(DELAYS) == list(DELAYS)


def test_a_receiver_that_is_gone_and_one_of_a_disabled_endpoint_are_not_asked_again() -> None:
    assert retry_delay(tried(1), ENDPOINT, 410, NOON, 0) is None
    assert retry_delay(tried(1), DISABLED, 500, NOON, 0) is None


def test_a_disabled_endpoint_gets_only_what_a_user_sends_again() -> None:
    assert may_send(FRESH, ENDPOINT)
    assert not may_send(FRESH, DISABLED)
    assert may_send(replace(FRESH, round=2, is_retry=True), DISABLED)
    assert not may_send(replace(FRESH, round=2, is_retry=False), DISABLED)
