"""The marketplace that is measured: how it is filled, and a sample of what is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

import httpx
import psycopg2
from sqlalchemy import create_engine, delete, insert

from benchmarks import search_mix
from benchmarks.bench.load import Request
from benchmarks.bench.sides import gig_url
from benchmarks.peers.order_models import Base, Package
from deploy.local.postgres import create_databases, database_url
from tests.support.stack import ROOT, Stack

SAMPLE = 10_000
BUYERS = 50
WORDS = ("modern", "logo", "design", "website", "development", "video", "editing", "translation", "podcast", "photo")
LOAD_SECONDS = 1200
DATABASES = ("gigs", "orders", "reviews")
GIGS = """
    SELECT gigs.id::text, title, c.slug FROM gigs JOIN categories AS c ON c.id = category_id
    WHERE status = 'ACTIVE' AND deleted_at IS NULL ORDER BY md5(gigs.id::text) LIMIT %s
"""
PACKAGES = """
    SELECT p.id, p.gig_id, g.title, g.seller_id, p.title, p.price, p.delivery_days, p.revisions
    FROM packages AS p JOIN gigs AS g ON g.id = p.gig_id
    WHERE g.status = 'ACTIVE' AND g.deleted_at IS NULL AND p.position = (
        SELECT min(position) FROM packages AS first WHERE first.gig_id = g.id
    ) LIMIT 1000
"""


@dataclass(frozen=True)
class Market:
    """A sample of the gigs, the packages that are ordered, and the buyers' tokens."""

    size: int
    gigs: Sequence[str]
    titles: Sequence[str]
    # Slugs, each as often as its gigs are in the sample.
    categories: Sequence[str]
    packages: Sequence[str]
    tokens: Sequence[str]

    def pages(self, count: int) -> list[Request]:
        """Return requests of so many gigs' pages, each gig once."""
        return [Request(f"/api/gigs/{gig}") for gig in self.gigs[:count]]

    def searches(self, count: int) -> list[Request]:
        """Return first pages of searches by category in each order."""
        frequent = sorted(set(self.categories), key=lambda slug: (-self.categories.count(slug), slug))
        sorts = ("", "&sort=newest", "&sort=price", "&sort=-price")
        return [Request(f"/api/gigs?category={slug}{sort}") for slug in frequent for sort in sorts][:count]

    def orders(self, count: int) -> list[Request]:
        """Return placings, by all buyers in turn."""
        body = '{{"packageId":"{}","requirements":"Need dark theme","paymentMethod":"stripe"}}'
        return [
            Request("/api/orders", self.tokens[number % len(self.tokens)], body.format(package))
            for number, package in zip(range(count), self.packages, strict=False)
        ]

    def mix(self, random: Random, count: int, client: httpx.Client) -> list[tuple[str, Request]]:
        """Return searches of the realistic mix with their shapes. Tokens of later pages are fetched by `client`."""
        return _asked(islice(search_mix.searches(random, self.titles, self.categories), count), client)

    def of_each_shape(self, random: Random, count: int, client: httpx.Client) -> list[tuple[str, Request]]:
        """Return so many searches of each shape of the mix, as `mix` does."""
        return _asked(search_mix.of_each_shape(random, self.titles, self.categories, count), client)


def _asked(searches: Iterable[search_mix.Search], client: httpx.Client) -> list[tuple[str, Request]]:
    return [(search.shape, Request(at_page(search, client))) for search in searches]


def at_page(search: search_mix.Search, client: httpx.Client) -> str:
    """Return the path of a search's page, or of its last page where it has fewer."""
    path = search.path
    for _ in range(search.page - 1):
        token = client.get(path, headers={"cache-control": "no-cache"}).json().get("nextPageToken")
        if not token:
            break
        path = f"{search.path}{'&' if search.parameters else '?'}pageToken={token}"
    return path


def fill(stack: Stack, gigs: int) -> None:
    """Bring the marketplace to so many gigs. Raises RuntimeError with the loader's output when it fails."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", "PORT": str(stack.ports.edge)}
    environment["DATA_DIR"] = str(stack.data_dir)
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local.load_data", f"--gigs={gigs}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LOAD_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"loading {gigs} gigs failed: {(done.stderr or done.stdout)[-2000:]}")
    settle(stack)


def settle(stack: Stack) -> None:
    """Do at once what PostgreSQL would do after a load in the background, so that no measurement counts it."""
    for name in DATABASES:
        connection = psycopg2.connect(database_url(stack.layout, name))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")
        connection.close()


def fill_by_api(stack: Stack, gigs: int) -> None:
    """Create so many gigs through the API."""
    random = Random(2)
    seller = stack.client("bench-seller", "seller")
    categories = [each["id"] for each in seller.get("/api/categories").json()["categories"]]
    for _ in range(gigs):
        price = random.randint(5, 900)
        packages = [
            {"title": title, "price": price * factor, "deliveryDays": random.randint(1, 30), "features": ["One", "Two"]}
            for factor, title in enumerate(("Basic", "Standard", "Premium"), 1)
        ]
        details = {
            "title": " ".join(random.sample(WORDS, 4)),
            "description": " ".join(random.choices(WORDS, k=30)),
            "categoryId": random.choice(categories[:8]),
            "tags": random.sample(WORDS, 2),
        }
        seller.post("/api/gigs", json={**details, "packages": packages}).raise_for_status()


def sample(stack: Stack) -> Market:
    """Return a sample of the marketplace, and copy the packages that are ordered to the database of the peer."""
    with psycopg2.connect(gig_url(stack)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM gigs")
        [(size,)] = cursor.fetchall()
        cursor.execute(GIGS, (SAMPLE,))
        rows = cursor.fetchall()
        cursor.execute(PACKAGES)
        packages = cursor.fetchall()
    connection.close()
    _fill_peer(stack, packages)
    gigs, titles, categories = zip(*rows, strict=True)
    Random(1).shuffle(packages)
    tokens = [stack.token(f"bench-buyer-{number}", "buyer") for number in range(BUYERS)]
    return Market(size, gigs, titles, categories, [str(package[0]) for package in packages], tokens)


def _fill_peer(stack: Stack, packages: Sequence[tuple[Any, ...]]) -> None:
    """Make the database of the peer that places orders, where there is none, and replace its packages."""
    create_databases(stack.layout, ["peer_orders"])
    engine = create_engine(database_url(stack.layout, "peer_orders").replace("postgresql", "postgresql+psycopg2", 1))
    Base.metadata.create_all(engine)
    columns = [column.name for column in Package.__table__.columns]
    with engine.begin() as connection:
        connection.execute(delete(Package))
        connection.execute(insert(Package), [dict(zip(columns, package, strict=True)) for package in packages])
    engine.dispose()
