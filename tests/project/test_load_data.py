"""`make load-data`: a marketplace that everything holds in, whatever happens to the run in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from deploy.local.environment import database_urls
from deploy.local.load_data import __main__ as command
from deploy.local.load_data import plan
from deploy.local.load_data.loading import TABLES, Missing, Target, Worker
from deploy.local.load_data.market import user_id
from deploy.local.settings import StackSettings
from edge import tokens
from gig_service.domain.analysis import document
from gig_service.store.search_index import SearchIndex
from servicekit.database import Database, Statement
from tests.support.eventually import eventually
from tests.support.stack import ROOT, Stack
from tests.support.story import ok

# Several loads share the fixture's time.
pytestmark = pytest.mark.timeout(300)
SECONDS = 120
GIGS = 500
ORDERS = GIGS * 112 // 100
# In batches of this size, so that a load can be stopped between two of them.
BATCH = 50
BATCHES = Statement("SELECT count(*) AS number FROM load_data.batches")


def environment(stack: Stack) -> dict[str, str]:
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}
    return {**os.environ, **paths, "PORT": str(stack.ports.edge), "DATA_DIR": str(stack.data_dir)}


def start(stack: Stack, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment(stack), stdout=subprocess.PIPE, text=True
    )


def run(stack: Stack, *words: str) -> str:
    """Run a module to its end, and return its output."""
    process = start(stack, *words)
    printed, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, printed
    return printed


def load(stack: Stack, *words: str) -> str:
    return run(stack, "deploy.local.load_data", *words, f"--batch={BATCH}")


def target(stack: Stack) -> Target:
    settings = StackSettings(data_dir=stack.data_dir, port=stack.ports.edge)
    urls = database_urls(settings, stack.layout)
    return Target({name: urls[name] for name in TABLES}, "USD", Decimal(10))


def counts(stack: Stack) -> Counter[str]:
    """Return the numbers of rows, of indexes and of what is set aside."""
    found: Counter[str] = Counter()
    for name, url in target(stack).urls.items():
        database = Database(url)
        for table in (*TABLES[name], "pg_index", "load_data.set_aside"):
            row = database.fetch_one(Statement(f"SELECT count(*) AS number FROM {table}"))
            found[f"{name}.{table}"] = row["number"] if row else 0
        database.close()
    return found


@pytest.fixture(scope="module")
def loaded() -> Iterator[Stack]:
    """Start a stack, kill a load in the middle, store a part of another batch, and let a load come to its end."""
    stack = Stack(workers=1)
    try:
        stack.start()
        gigs = Database(target(stack).urls["gig"])
        with start(stack, "deploy.local.load_data", f"--gigs={GIGS}", f"--batch={BATCH}") as broken_off:

            def is_in_the_middle() -> bool:
                try:
                    row = gigs.fetch_one(BATCHES)
                except Exception as error:  # the schema is not there yet
                    assert "load_data" in str(error)
                    return False
                return row is not None and row["number"] >= 3

            eventually(is_in_the_middle, SECONDS, every=0.01)
            broken_off.send_signal(signal.SIGKILL)
        _store_in_one_database(stack)
        gigs.close()
        load(stack, f"--gigs={GIGS}")
        yield stack
    finally:
        stack.stop()


def _store_in_one_database(stack: Stack) -> None:
    """Store one missing batch in GigService's database alone, as a load does that is killed at that moment."""
    chosen = target(stack)
    bulk = chosen.open("gig")
    stored = bulk.loaded(1)
    batch = next((each for each in plan.extend(bulk, 1, GIGS) if each.number not in stored), None)
    if batch is not None:
        Worker(chosen).store(Missing(batch, frozenset({"gig"})))
    bulk.database.close()


def test_a_load_that_was_killed_goes_on_and_nothing_is_doubled(loaded: Stack) -> None:
    found = counts(loaded)

    assert found["gig.gigs"] == found["review.reviews"] == GIGS
    assert found["gig.packages"] == found["gig.search_rows"] == 3 * GIGS
    assert found["order.orders"] == found["sandbox.payments"] == ORDERS
    assert found["order.payouts"] == found["sandbox.payouts"] > 0
    assert not any(number for name, number in found.items() if name.endswith("set_aside"))


def test_another_run_changes_nothing(loaded: Stack) -> None:
    before = counts(loaded)

    printed = load(loaded, f"--gigs={GIGS}")

    assert "Everything was there already" in printed
    assert counts(loaded) == before


def test_the_books_and_the_ratings_are_right(loaded: Stack) -> None:
    books = run(loaded, "deploy.local", "check-books", "--since=beginning")
    ratings = run(loaded, "deploy.local", "repair-ratings", "--dry-run")

    assert "no differences" in books
    assert f"{ORDERS} orders" in books
    assert "no differences" in ratings
    assert f"{GIGS} reviews" in ratings


def test_pages_and_searches_show_the_gigs(loaded: Stack) -> None:
    with loaded.client() as anyone:
        best = ok(anyone.get("/api/gigs", params={"sort": "rating", "pageSize": 100}))
        first = best["results"][0]
        page = ok(anyone.get(f"/api/gigs/{first['id']}"))
        reviews = ok(anyone.get(f"/api/gigs/{first['id']}/reviews", params={"pageSize": 100}))
        found = ok(anyone.get("/api/gigs", params={"q": page["title"], "pageSize": 100}))
        cheap = ok(anyone.get("/api/gigs", params={"maxPrice": 20, "sort": "price"}))

    assert best["total"] > 0.9 * GIGS
    assert page["reviewCount"] == len(reviews["results"])
    stars = [each["rating"] for each in reviews["results"]]
    assert abs(page["rating"] - sum(stars) / len(stars)) <= 0.05
    assert len(page["packages"]) == 3
    assert first["id"] in [each["id"] for each in found["results"]]
    assert 0 < cheap["total"] < best["total"]


def test_searches_read_what_a_write_of_the_gigs_would_have_left(loaded: Stack) -> None:
    database = Database(target(loaded).urls["gig"])
    gigs = database.fetch_all(Statement("SELECT id, title, tags, description, document::text AS document FROM gigs"))
    search_rows = Statement("SELECT * FROM search_rows ORDER BY package_id")
    before = database.fetch_all(search_rows)
    documents = {gig["id"]: document(gig["title"], gig["tags"], gig["description"]) for gig in gigs}

    database.execute("UPDATE search_rows SET word_bits = NULL")
    for gig_id in documents:
        SearchIndex(database).refresh(gig_id)

    assert database.fetch_all(search_rows) == before
    as_written = Statement("SELECT $1::tsvector::text AS document")
    for gig in gigs:
        [row] = database.fetch_all(as_written, documents[gig["id"]].lexemes)
        assert gig["document"] == row["document"], gig["title"]
    counted = database.fetch_all(Statement("SELECT word, gigs FROM words"))
    assert {row["word"]: row["gigs"] for row in counted} == Counter(
        word for each in documents.values() for word in each.words
    )
    database.close()


def test_users_of_the_load_see_their_orders(loaded: Stack) -> None:
    with loaded.client("auditor", "admin") as admin:
        order = ok(admin.get("/api/orders", params={"role": "admin", "pageSize": 1}))["results"][0]
        gig = ok(admin.get(f"/api/gigs/{order['gigId']}"))
        review = ok(admin.get(f"/api/gigs/{gig['id']}/reviews"))["results"]
    with loaded.client(gig["seller"]["username"], "seller") as seller:
        sold = ok(seller.get("/api/orders", params={"role": "seller", "pageSize": 100}))["results"]
        events = ok(seller.get(f"/api/orders/{order['orderId']}/events"))["events"]

    assert order["orderId"] in [each["orderId"] for each in sold]
    assert events[0]["action"] == "place"
    assert events[-1]["to"] == order["status"]
    for each in review:
        name: str = each["buyer"]["username"]
        assert each["buyer"]["id"] == str(tokens.user_id(name))
        with loaded.client(name, "buyer") as buyer:
            bought = ok(buyer.get("/api/orders", params={"role": "buyer", "pageSize": 100}))["results"]
        assert gig["id"] in [order["gigId"] for order in bought]


def test_another_seed_adds_other_gigs_beside_what_is_there(loaded: Stack) -> None:
    before = counts(loaded)

    load(loaded, f"--gigs={BATCH}", "--seed=2")

    after = counts(loaded)
    assert after["gig.gigs"] - before["gig.gigs"] == BATCH
    assert after["order.orders"] - before["order.orders"] == BATCH * 112 // 100
    assert {name: after[name] for name in after if name.endswith("pg_index")} == {
        name: before[name] for name in before if name.endswith("pg_index")
    }
    assert "no differences" in run(loaded, "deploy.local", "check-books", "--since=beginning")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"user_jwks": "http://127.0.0.1:1/k", "user_jwt_issuer": "i", "user_jwt_audience": "a"}, "USER_JWKS"),
        ({"payments": "stripe", "stripe_api_key": "sk_test_1", "stripe_webhook_secret": "whsec_1"}, "PAYMENTS"),
        ({"data_dir": "/nonexistent"}, "no stack is running"),
    ],
)
def test_only_a_stack_for_trials_is_filled(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(command.LoadError, match=reason):
        command.target(StackSettings(**settings))


def test_a_user_of_the_load_has_the_id_of_their_name() -> None:
    assert user_id("zoë_silva_6045") == str(tokens.user_id("zoë_silva_6045"))
