"""What happens to the marketplace when its parts die."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.stack import Stack
from tests.support.story import SEED_REVIEW, Market, a_gig, a_name, ok

PARTS = [
    *(f"{service}-{worker}" for service in ("gig", "order", "review") for worker in (0, 1)),
    "gig-images",
    "envoy",
    "postmaster",
    "backend of gigs",
    "backend of orders",
    "backend of reviews",
]
RECOVERY_SECONDS = 5
# How long a client comes back after a 503 or a lost connection before it gives up.
PATIENCE_SECONDS = 20


@pytest.fixture(scope="module")
def fragile() -> Iterator[Stack]:
    """A stack of its own, whose parts these tests kill."""
    running = Stack()
    try:
        yield running.start()
    finally:
        running.stop()


def the_whole_story(stack: Stack) -> None:
    """All of it, once, without a second try of anything."""
    market = Market.of(stack)
    gig = market.gig()
    found = ok(market.anyone.get("/api/gigs", params={"sellerId": gig["seller"]["id"]}))
    assert [result["id"] for result in found["results"]] == [gig["id"]]
    order = market.delivered(gig)
    assert market.review(order)["newAverageRating"] == 5
    ok(market.buyer.post(f"/api/orders/{order}/complete"))


def test_the_list_of_parts_is_what_runs(fragile: Stack) -> None:
    the_whole_story(fragile)

    assert set(fragile.processes()) == set(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_the_whole_story_passes_within_five_seconds_of_a_kill(fragile: Stack, part: str) -> None:
    the_whole_story(fragile)
    killed = fragile.processes()[part]

    killed.kill()

    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        try:
            the_whole_story(fragile)
            break
        except (AssertionError, httpx.HTTPError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    assert time.monotonic() <= deadline


def patiently(client: httpx.Client, method: str, path: str, status: int, **options: Any) -> Any:
    """The JSON of an answer; what was told to come back, or lost its connection, is asked again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = client.request(method, path, **options)
            if answer.status_code != 503:
                return ok(answer, status)
            assert "retry-after" in answer.headers
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "the marketplace did not come back"
        time.sleep(0.1)


@pytest.mark.parametrize("with_a_kill", [False, True], ids=["undisturbed", "gig service killed in the middle"])
def test_thirty_rounds_at_once_leave_every_order_and_rating_exactly_right(fragile: Stack, with_a_kill: bool) -> None:
    market = Market.of(fragile)
    shared = market.gig()
    ratings = [1 + round_number % 5 for round_number in range(30)]
    halfway = threading.Barrier(31)

    def one_round(rating: int) -> tuple[str, str]:
        mine = Market.of(fragile)
        own = patiently(mine.seller, "POST", "/api/gigs", 201, json=a_gig(price=rating))["id"]
        package = patiently(mine.anyone, "GET", f"/api/gigs/{own}", 200)["packages"][0]["id"]
        orders = []
        for seller, bought in ((market.seller, shared["packages"][0]["id"]), (mine.seller, package)):
            order_request = {"packageId": bought, "paymentMethod": "stripe"}
            order = patiently(mine.buyer, "POST", "/api/orders", 201, json=order_request)["orderId"]
            for action in ("accept", "deliver"):
                patiently(seller, "POST", f"/api/orders/{order}/{action}", 200)
            orders.append(order)
        halfway.wait(60)
        for order in orders:
            body = {**SEED_REVIEW, "rating": rating}
            patiently(mine.buyer, "POST", f"/api/orders/{order}/review", 201, json=body)
            done = patiently(mine.buyer, "POST", f"/api/orders/{order}/complete", 200)
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
    """The gig's own page comes to say so, once GigService is back, and never says too much before."""
    deadline = time.monotonic() + 10
    while True:
        page = patiently(client, "GET", f"/api/gigs/{gig}", 200)
        if page["reviewCount"] == count:
            break
        assert page["reviewCount"] < count
        assert time.monotonic() < deadline, f"{gig} has {page['reviewCount']} reviews instead of {count}"
        time.sleep(0.1)
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
        wait_for_another(fragile, part, before.pid)
    stop.set()
    for loader in loaders:
        loader.join(30)

    assert set(seen) <= {"200", "201", "503"}, seen
    assert seen["200"] > 100
    assert seen["201"] > 100
    assert seen["503"] <= sum(seen.values()) / 100, seen


def wait_for_another(stack: Stack, part: str, pid: int) -> None:
    """Waits until the part runs anew and is healthy."""
    deadline = time.monotonic() + 20
    while True:
        process = stack.processes().get(part)
        if process and process.pid != pid and time.time() - process.create_time() > 2.5:
            return
        assert time.monotonic() < deadline, f"{part} did not come back"
        time.sleep(0.1)
