"""Users take turns at the decoders, and have a few uploads at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gig_service.images.turns import Turns
from servicekit.errors import DeadlineExceeded, MarketplaceError, Unavailable
from servicekit.uploads.uploads import steady
from servicekit.user_places import UserPlaces


async def begin(turns: Turns, user: str, order: list[str]) -> asyncio.Task[None]:
    """Begin to wait for a turn, which writes the user down."""

    async def one() -> None:
        async with turns.turn(user):
            order.append(user)
            await asyncio.sleep(0)

    task = asyncio.create_task(one())
    await asyncio.sleep(0)
    return task


def test_users_take_turns_and_each_waits_behind_their_own() -> None:
    async def story() -> list[str]:
        turns, order = Turns(1, 60), list[str]()
        async with turns.turn("many"):
            tasks = [await begin(turns, user, order) for user in ("many", "many", "many", "one", "two", "one")]
            assert turns.waiting == 6
        await asyncio.gather(*tasks)
        assert turns.waiting == 0
        return order

    assert asyncio.run(story()) == ["many", "one", "two", "many", "one", "many"]


def test_as_many_turns_at_once_as_there_are_places() -> None:
    async def story() -> None:
        turns = Turns(2, 60)
        async with turns.turn("a") as first, turns.turn("a") as second:
            assert {first, second} == {0, 1}
            waiting = await begin(turns, "b", [])
            assert not waiting.done()
        await waiting

    asyncio.run(story())


def test_who_waits_too_long_is_told_and_the_place_goes_on() -> None:
    async def story() -> None:
        turns, order = Turns(1, 0.05), list[str]()
        async with turns.turn("a"):
            with pytest.raises(Unavailable):
                async with turns.turn("b"):
                    raise AssertionError
        await (await begin(turns, "c", order))
        assert order == ["c"]
        assert turns.waiting == 0

    asyncio.run(story())


def test_who_would_wait_too_long_is_told_at_once() -> None:
    async def story() -> None:
        turns = Turns(1, 1)
        async with turns.turn("slow"):
            await asyncio.sleep(0.5)  # a mean of 0.1 s
        async with turns.turn("slow"):
            tasks = [await begin(turns, f"user {number}", []) for number in range(9)]
            with pytest.raises(Unavailable):
                async with asyncio.timeout(0.5), turns.turn("another"):
                    raise AssertionError
        await asyncio.gather(*tasks)

    asyncio.run(story())


def test_who_goes_away_while_waiting_or_just_now_leaves_the_place_to_the_next() -> None:
    async def story() -> None:
        turns, order = Turns(1, 60), list[str]()
        async with turns.turn("a"):
            gone = await begin(turns, "b", order)
            just_now = await begin(turns, "c", order)
            last = await begin(turns, "d", order)
            gone.cancel()
            await asyncio.sleep(0)
        # The place has been given to c, who has not run yet.
        just_now.cancel()
        await last
        assert order == ["d"]
        assert turns.waiting == 0

    asyncio.run(story())


def test_a_user_has_a_few_places_and_others_have_theirs() -> None:
    places = UserPlaces(total=3, per_user=2, things="uploads")

    with places.place("a"), places.place("a"):
        with pytest.raises(MarketplaceError) as refused, places.place("a"):
            pass
        assert refused.value.code == "RATE_LIMITED"
        with places.place("b"), pytest.raises(Unavailable), places.place("c"):
            pass
        with places.place("c"):
            pass
    with places.place("a"):
        pass


def test_a_client_that_sends_too_little_is_cut_off_and_a_slow_one_is_not() -> None:
    async def body(pause: float) -> AsyncIterator[bytes]:
        for _ in range(20):
            await asyncio.sleep(pause)
            yield b"x" * 100

    async def received(pause: float) -> int:
        return sum([len(piece) async for piece in steady(body(pause), min_rate=5_000, grace_seconds=0.05)])

    assert asyncio.run(received(0.001)) == 2_000
    with pytest.raises(DeadlineExceeded):
        asyncio.run(received(0.04))


def test_only_waiting_for_the_client_counts() -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 100

    async def slow_reader() -> None:
        async for _ in steady(body(), min_rate=5_000, grace_seconds=0.01):
            await asyncio.sleep(0.05)

    asyncio.run(slow_reader())
