"""The marketplace when its parts die."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import SEED_REVIEW, Market, a_gig, a_name, ok, story_passes, whole_story

PARTS = [
    *(f"{service}-{worker}" for service in ("gig", "order", "review") for worker in (0, 1)),
    "gig-images",
    "order-events",
    "envoy",
    "postmaster",
    "backend of gigs",
    "backend of orders",
    "backend of reviews",
]


@pytest.fixture(scope="module")
def running_fragile() -> Iterator[Stack]:
    """Start a stack whose parts these tests kill."""
    running = Stack()
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def fragile(running_fragile: Stack) -> Stack:
    """Return the stack when it has recovered from the test before.

    A client may get a 503 as long as both workers of a service are away, and the test before may have killed one.
    """
    running_fragile.wait_until_healthy()
    eventually(lambda: story_passes(running_fragile))
    return running_fragile


def test_the_list_of_parts_is_what_runs(fragile: Stack) -> None:
    whole_story(fragile)

    assert set(fragile.processes()) == set(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_the_whole_story_passes_again_after_a_kill(fragile: Stack, part: str) -> None:
    killed = fragile.processes()[part]

    killed.kill()

    killed.wait(10)
    # The benchmark of recovery measures how long it takes.
    eventually(lambda: story_passes(fragile))


def retried(client: httpx.Client, method: str, path: str, status: int, **options: Any) -> Any:
    """Return the JSON of a response. A request that got a 503, or lost its connection, is sent again."""

    def attempt() -> httpx.Response | None:
        try:
            answer = client.request(method, path, **options)
        except httpx.TransportError:
            return None
        if answer.status_code == 503:
            assert "retry-after" in answer.headers
            return None
        return answer

    answer = eventually(attempt, every=0.1)
    assert answer is not None
    return ok(answer, status)


def act(client: httpx.Client, order: str, action: str, status: str) -> None:
    """Take an action on an order. After a 503 it may be under way, or done: then the order says so.

    429: one seller accepts in thirty rounds, and has half of the places at the provider.
    """

    def is_done() -> bool:
        try:
            answer = client.post(f"/api/orders/{order}/{action}")
        except httpx.TransportError:
            return False
        if answer.status_code == 200:
            return True
        assert answer.status_code in (409, 429, 503), answer.text
        return bool(retried(client, "GET", f"/api/orders/{order}", 200)["status"] == status)

    eventually(is_done, every=0.1)


@pytest.mark.parametrize("with_a_kill", [False, True], ids=["undisturbed", "gig service killed in the middle"])
def test_thirty_rounds_at_once_leave_every_order_and_rating_exactly_right(fragile: Stack, with_a_kill: bool) -> None:
    market = Market.of(fragile)
    shared = market.gig()
    ratings = [1 + round_number % 5 for round_number in range(30)]
    halfway = threading.Barrier(31)

    def one_round(rating: int) -> tuple[str, str]:
        mine = Market.of(fragile)
        own = retried(mine.seller, "POST", "/api/gigs", 201, json=a_gig(price=rating))["id"]
        package = retried(mine.anyone, "GET", f"/api/gigs/{own}", 200)["packages"][0]["id"]
        orders = []
        for seller, bought in ((market.seller, shared["packages"][0]["id"]), (mine.seller, package)):
            order_request = {"packageId": bought, "paymentMethod": "stripe"}
            order = retried(mine.buyer, "POST", "/api/orders", 201, json=order_request)["orderId"]
            act(seller, order, "accept", "IN_PROGRESS")
            act(seller, order, "deliver", "DELIVERED")
            orders.append(order)
        halfway.wait(60)
        for order in orders:
            body = {**SEED_REVIEW, "rating": rating}
            retried(mine.buyer, "POST", f"/api/orders/{order}/review", 201, json=body)
            done = retried(mine.buyer, "POST", f"/api/orders/{order}/complete", 200)
            assert (done["status"], done["actions"]) == ("COMPLETED", [])
        return own, orders[1]

    with ThreadPoolExecutor(30) as pool:
        rounds = [pool.submit(one_round, rating) for rating in ratings]
        halfway.wait(60)
        if with_a_kill:
            for part, process in fragile.processes().items():
                if part.startswith("gig-"):
                    process.kill()
        finished = [each.result(60) for each in rounds]

    eventually_rated(market.anyone, shared["id"], len(ratings), sum(ratings))
    for rating, (own, order) in zip(ratings, finished, strict=True):
        eventually_rated(market.anyone, own, 1, rating)
        reviews = ok(market.anyone.get(f"/api/gigs/{own}/reviews"))
        assert [review["orderId"] for review in reviews["results"]] == [order]
    listed = ok(market.anyone.get(f"/api/gigs/{shared['id']}/reviews", params={"pageSize": 100}))
    assert listed["histogram"] == {str(star): ratings.count(star) for star in range(1, 6)}
    assert Counter(review["rating"] for review in listed["results"]) == Counter(ratings)
    sold = ok(market.seller.get("/api/orders", params={"role": "seller", "pageSize": 100}))["results"]
    assert len({order["orderId"] for order in sold}) == len(ratings)
    assert {order["status"] for order in sold} == {"COMPLETED"}


def eventually_rated(client: httpx.Client, gig: str, count: int, total: int) -> None:
    """Wait until the gig's page shows so many reviews, and check that it never shows more."""

    def page_with_all() -> dict[str, Any] | None:
        page: dict[str, Any] = retried(client, "GET", f"/api/gigs/{gig}", 200)
        assert page["reviewCount"] <= count
        return page if page["reviewCount"] == count else None

    page = eventually(page_with_all, every=0.1)
    assert page is not None
    assert page["rating"] == (total * 20 + count) // (2 * count) / 10


def test_a_restart_under_load_gives_nothing_worse_than_503_with_retry_after(fragile: Stack) -> None:
    market = Market.of(fragile)
    gig = market.gig()
    stop = threading.Event()
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def load(number: int) -> None:
        with fragile.client(a_name("loader"), "seller", "buyer") as client:
            while not stop.is_set():
                if number % 2:
                    answer = client.get(f"/api/gigs/{gig['id']}")
                else:
                    order_request = {"packageId": gig["packages"][0]["id"], "paymentMethod": "stripe"}
                    answer = client.post("/api/orders", json=order_request)
                kind = str(answer.status_code)
                if kind == "503" and "retry-after" not in answer.headers:
                    kind = "503 without Retry-After"
                with lock:
                    seen[kind] += 1

    loaders = [threading.Thread(target=load, args=(number,)) for number in range(6)]
    for loader in loaders:
        loader.start()
    for part in ("gig-0", "gig-1", "order-0", "order-1"):
        before = fragile.processes()[part]
        os.kill(before.pid, signal.SIGTERM)
        before.wait(30)
        fragile.wait_until_healthy()
    # So that the hundredth part below is more than one unlucky request.
    eventually(lambda: seen["200"] > 300 and seen["201"] > 300, seconds=60)
    stop.set()
    for loader in loaders:
        loader.join(30)

    assert set(seen) <= {"200", "201", "503"}, seen
    assert seen["503"] <= sum(seen.values()) / 100, seen
