"""A row that nobody can deliver, in the running marketplace: it is parked and shown, and everybody else goes on."""

from __future__ import annotations

import os
import re
import subprocess
from uuid import uuid4

import httpx
import pytest

from deploy.local.postgres import DATABASES, database_url
from servicekit.database import Database
from servicekit.outbox import Outbox
from servicekit.outbox.relay import PARK_AFTER
from tests.support.eventually import eventually
from tests.support.postgres import ROOT
from tests.support.stack import Stack
from tests.support.story import Market, ok


def make_outbox(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", "--silent", "outbox", *arguments],
        cwd=ROOT,
        env={**os.environ, "PORT": str(stack.ports.edge), "DATA_DIR": str(stack.data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def parked_line(stack: Stack, key: str) -> str:
    """Return the line of `make outbox` about a parked key; empty while it is not parked."""
    output = make_outbox(stack)
    assert output.returncode == 0, output.stderr
    for service in ("gig", "order", "review"):
        assert re.search(rf"^{service}: ", output.stdout, re.MULTILINE), output.stdout
    return next((line for line in output.stdout.splitlines() if key in line and "parked since" in line), "")


def parked_gauges(stack: Stack) -> list[float]:
    """Return the number of parked ratings in the metrics of each worker of ReviewService."""
    pages = [httpx.get(f"http://127.0.0.1:{stack.ports.metrics('review', worker)}/metrics").text for worker in (0, 1)]
    pattern = r'^marketplace_outbox_parked\{.*topic="gig-rating".*\} (\S+)$'
    return [float(value) for page in pages for value in re.findall(pattern, page, re.MULTILINE)]


@pytest.fixture
def reviews(stack: Stack) -> Database:
    """ReviewService's database."""
    return Database(database_url(stack.layout, DATABASES["review"]))


def poison(reviews: Database, key: str, refusals: int) -> None:
    """Write a rating of an unknown gig that has been refused so often already."""
    with reviews.transaction():
        Outbox(reviews).add("gig-rating", key, 1, {"count": 1, "total": 5})
        reviews.execute("UPDATE outbox SET attempts = %s, refusals = %s WHERE key = %s", (refusals, refusals, key))


def test_a_poison_row_parks_is_shown_and_others_go_on(stack: Stack, reviews: Database, market: Market) -> None:
    key = str(uuid4())
    poison(reviews, key, PARK_AFTER - 1)
    eventually(lambda: parked_gauges(stack) == [1.0, 1.0])

    line = parked_line(stack, key)
    assert f"gig-rating  {key}  1 " in line
    assert f"  {PARK_AFTER}  " in line
    assert line.endswith("NOT_FOUND: Gig not found")

    gig = market.gig()
    market.review(market.delivered(gig), rating=4)
    eventually(lambda: ok(market.anyone.get(f"/api/gigs/{gig['id']}"))["rating"] == 4)

    row_id = line.split()[0]
    output = make_outbox(stack, f"RETRY={row_id}")
    assert output.returncode == 0, output.stderr
    assert f"review: sent again: {row_id}\n" in output.stdout
    eventually(lambda: parked_gauges(stack) == [0.0, 0.0])

    assert make_outbox(stack, f"RETRY=order:{row_id}").returncode != 0
    assert make_outbox(stack, "RETRY=nonsense").returncode != 0
    reviews.execute("DELETE FROM outbox WHERE key = %s", (key,))


def test_a_rating_comes_to_the_gigs_page(market: Market) -> None:
    gig = market.gig()
    order = market.delivered(gig)

    market.review(order)

    eventually(lambda: ok(market.anyone.get(f"/api/gigs/{gig['id']}"))["rating"] == 5)
