"""Ratings of gigs when GigService is away, and `make repair-ratings` beside a running stack."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from deploy.local.control import process_states, start_process, stop_process
from deploy.local.postgres import DATABASES, database_url
from edge import signing_keys
from servicekit.clock import Clock
from servicekit.database import Database, Statement
from tests.support.eventually import eventually
from tests.support.stack import ROOT, Stack
from tests.support.story import SEED_REVIEW, Market, ok

WAITING = Statement("""
    SELECT count(*) AS count, coalesce(max(next_attempt_at - app_now()), '0') AS longest FROM outbox
    WHERE parked_at IS NULL
""")
STARS = (5, 4, 4, 4, 1, 5, 3, 5, 2, 4, 4, 4)


def database(stack: Stack, service: str) -> Database:
    return Database(database_url(stack.layout, DATABASES[service]))


def make_repair(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", "--silent", "repair-ratings", *arguments],
        cwd=ROOT,
        env={**os.environ, "PORT": str(stack.ports.edge), "DATA_DIR": str(stack.data_dir)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """Start a stack whose workers the test stops, and whose clock it moves."""
    running = Stack()
    try:
        yield running.start()
    finally:
        running.stop()


def shown(market: Market, gig: dict[str, Any]) -> tuple[float, int]:
    """Return the rating and the number of reviews on a gig's page."""
    page = ok(market.anyone.get(f"/api/gigs/{gig['id']}"))
    return page["rating"], page["reviewCount"]


def test_reviews_while_gig_service_is_away_for_an_hour_are_all_in_the_rating_once(own_stack: Stack) -> None:
    market = Market.of(own_stack)
    gigs = [market.gig(), market.gig()]
    reviews: list[tuple[str, int]] = []
    for gig in gigs:
        orders = [market.delivered(gig) for _ in STARS]
        reviews += zip(orders, STARS, strict=True)
    socket = own_stack.layout.supervisor_socket
    # Without the spare ones, which do not run.
    processes = [each for each in process_states(socket) or [] if each.name[:4] == "gig-" and each.pid]
    for process in processes:
        stop_process(socket, process)
    eventually(lambda: not any(each.pid for each in process_states(socket) or [] if each.name[:4] == "gig-"))
    # Otherwise the edge may find out that they are away when they are back, after it was seen as healthy.
    away = {target.host_and_port[1] for name, target in own_stack.targets().items() if name[:4] == "gig-"}
    eventually(lambda: not away & own_stack.healthy_ports())

    def submit(review: tuple[str, int]) -> None:
        order, stars = review
        body = {**SEED_REVIEW, "rating": stars}
        # Sent twice, as a client does that has not got the response.
        for _ in range(2):
            answer = market.buyer.post(
                f"/api/orders/{order}/review", json=body, headers={"idempotency-key": f"review {order}"}
            )
            ok(answer, 201)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(submit, reviews))
    records = database(own_stack, "review")
    Clock(records).travel(timedelta(hours=1))
    # However long it has been away, the next attempt is soon.
    row = records.fetch_one(WAITING)
    assert row is not None
    assert row["count"] >= len(gigs)
    assert row["longest"] < timedelta(seconds=1)
    for process in processes:
        start_process(socket, process)
    own_stack.wait_until_healthy()
    back = time.monotonic()

    # 45 stars: 3.75, rounded half up.
    expected = (3.8, len(STARS))
    eventually(lambda: [shown(market, gig) for gig in gigs] == [expected] * 2)
    print(f"right {time.monotonic() - back:.2f} s after GigService was healthy again")
    eventually(lambda: records.fetch_one(WAITING) == {"count": 0, "longest": timedelta(0)})
    for gig in gigs:
        assert shown(market, gig) == expected
        listed = ok(market.anyone.get(f"/api/gigs/{gig['id']}/reviews"))
        assert (listed["averageRating"], listed["total"]) == expected
    repaired = make_repair(own_stack)
    assert (repaired.returncode, repaired.stdout.splitlines()[-1]) == (0, "no differences"), repaired.stderr


def test_ratings_are_repaired_beside_a_running_stack(stack: Stack, market: Market) -> None:
    gig, other = market.gig(), market.gig()
    for stars in (5, 4):
        market.review(market.delivered(gig), stars)
    market.review(market.delivered(other), 3)
    eventually(lambda: shown(market, gig)[1] == 2 and shown(market, other)[1] == 1)
    before = make_repair(stack)
    assert (before.returncode, before.stdout.splitlines()[-1]) == (0, "no differences"), before.stderr
    database(stack, "gig").execute("UPDATE gigs SET review_count = 9, rating_sum = 9 WHERE id = %s", (gig["id"],))
    database(stack, "review").execute("UPDATE gig_ratings SET stars_1 = 7 WHERE gig_id = %s", (UUID(other["id"]),))

    reported = make_repair(stack, "ARGS=--dry-run")

    assert reported.returncode == 2, reported.stderr
    for each in (gig, other):
        assert f"DIFFERENCE gig {each['id']}: " in reported.stdout
    assert shown(market, gig)[1] == 9

    repaired = make_repair(stack)

    assert (repaired.returncode, "2 repaired" in repaired.stdout) == (2, True), repaired.stdout + repaired.stderr
    eventually(lambda: (shown(market, gig), shown(market, other)) == ((4.5, 2), (3, 1)))
    after = make_repair(stack)
    assert (after.returncode, after.stdout.splitlines()[-1]) == (0, "no differences"), after.stdout


def test_without_gig_service_the_comparison_says_so(stack: Stack) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
        "REVIEW_DATABASE_URL": database_url(stack.layout, DATABASES["review"]),
        "GIG_SERVICE_ADDRESSES": "127.0.0.1:1",
        "INTERNAL_TLS_FOLDER": str(stack.layout.tls),
        "SERVICE_SIGNING_KEY": str(signing_keys.service_key(stack.data_dir).private),
    }

    ended = subprocess.run(
        [sys.executable, "-m", "review_service.repair_ratings"],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert ended.stderr.startswith("The ratings cannot be compared: ")
    assert "Traceback" not in ended.stderr
