"""The arithmetic of docs/scaling.md: from measured costs to a hundred million gigs and 100,000 requests a second.

`python -m benchmarks.scaling` writes the page's tables from docs/benchmarks.json and docs/scaling.json. `--measure`
first writes the second of them, the sizes of the data and of responses, from the stack of DATA_DIR and PORT, which
`make load-data` has filled.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psycopg2

from deploy.local.environment import database_urls
from deploy.local.layout import Layout
from deploy.local.settings import StackSettings
from deploy.local.supervise import _CONNECTIONS_PER_ORDER_WORKER, _CONNECTIONS_PER_WORKER

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, BENCHMARKS, SIZES = DOCS / "scaling.md", DOCS / "benchmarks.json", DOCS / "scaling.json"

GIGS = 100_000_000
REQUESTS = 100_000
# The shares of the requests. An assumption, as are all of the following.
SHARES = {"gig page": 0.62, "browsing": 0.20, "words": 0.08, "read with a token": 0.09, "write": 0.01}
# Of the writes, those that place an order. Their costs are taken for all: others cost less.
ORDERS = 0.1
# How busy a core may be at the peak.
USE = 0.6
# The largest host for one primary: vCPUs that its statements can have.
PRIMARY_CORES = 64
# Sessions of one PostgreSQL beyond which a pooler is needed.
SESSIONS = 5_000
# Of the anonymous reads without words: what a CDN answers, and of the rest what the edge's cache does.
CDN, EDGE_CACHE = 0.8, 0.3
# A picture and its thumbnail, and how many a gig has.
PICTURE_BYTES, PICTURES = 200_000, 3
COPIES = 3
SECONDS_A_YEAR = 365 * 86_400
HOURS_A_MONTH = 730
# US dollars; docs/scaling.md has the sources.
PRICES = {"vCPU hour": 0.0408, "GB of disk": 0.10, "GB of objects": 0.023, "GB sent": 0.04}

GROUPS = ("Envoy", "GigService", "OrderService", "GigService's database", "OrderService's database")
Costs = dict[str, dict[str, float]]


def costs(bench: Mapping[str, Any]) -> Costs:
    """Return µs of CPU of each group of processes, by the kind of request, past every cache."""
    cases = {name: case["product"]["cpu_us"] for name, case in bench["cases"].items() if "product" in case}
    gig, search, order = cases["gig"], cases["search"], cases["order"]
    at_a_million = bench["sizes"]["1000000"]["cost"]
    hops = search["Envoy"] + search["GigService"]

    def read(envoy: float, service: float, database: float) -> dict[str, float]:
        return dict(zip(GROUPS, (envoy, service, 0.0, database, 0.0), strict=True))

    page = read(gig["Envoy"], gig["GigService"], gig["PostgreSQL"])
    return {
        "gig page": page,
        # Of searches among a million gigs the sum is known. Envoy and GigService do what they do among ten thousand.
        "browsing": read(search["Envoy"], search["GigService"], at_a_million["browsing"]["cpu_us"] - hops),
        "words": read(search["Envoy"], search["GigService"], at_a_million["words"]["cpu_us"] - hops),
        "read with a token": page,
        # In GigService's database an order reads a package, which is taken to cost as much as a page.
        "write": {
            "Envoy": order["Envoy"],
            "GigService": order["GigService"],
            "OrderService": order["OrderService"],
            "GigService's database": gig["PostgreSQL"],
            "OrderService's database": order["PostgreSQL"] - gig["PostgreSQL"],
        },
    }


def cores(bench: Mapping[str, Any], cdn: float, edge_cache: float, *, words: bool = True) -> dict[str, float]:
    """Return how many cores each group needs, at `USE`, with these shares answered by a CDN and by the edge's cache."""
    needed = dict.fromkeys(GROUPS, 0.0)
    hits = {"gig page": "hot gig", "browsing": "hot search"}
    for kind, cost in costs(bench).items():
        if kind == "words" and not words:
            continue
        rate = REQUESTS * SHARES[kind]
        if kind in hits:
            rate *= 1 - cdn
            hit = bench["cases"][hits[kind]]["product"]["cpu_us"]["Envoy"]
            needed["Envoy"] += rate * edge_cache * hit / 1e6 / USE
            rate *= 1 - edge_cache
        for group, micros in cost.items():
            needed[group] += rate * micros / 1e6 / USE
    return needed


def words_costs(bench: Mapping[str, Any]) -> dict[str, float]:
    """Return µs of PostgreSQL's CPU of one search by words among all gigs, by the way in which they are kept."""
    sizes, million = bench["sizes"], costs(bench)["words"]["GigService's database"]
    growth = sizes["1000000"]["cost"]["words"]["cpu_us"] / sizes["100000"]["cost"]["words"]["cpu_us"]
    return {
        "one database: as from 100,000 to 1,000,000, twice more": million * growth**2,
        "100 partitions of a million, all asked": million * GIGS / 1e6,
        "100 partitions of a million, one asked": million,
    }


def sizes(measured: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return bytes of a row with all that belongs to it, how many there are, and the sum, by what it is."""
    rows, databases = measured["rows"], measured["database_bytes"]
    orders_a_year = REQUESTS * SHARES["write"] * ORDERS * SECONDS_A_YEAR
    found = {
        "gigs": (databases["gig"] / rows["gigs"], GIGS),
        "reviews": (databases["review"] / rows["reviews"], GIGS),
        "orders of a year": (databases["order"] / rows["orders"], orders_a_year),
        "pictures": (PICTURE_BYTES, GIGS * PICTURES),
    }
    return {what: {"bytes": each, "count": count, "sum": each * count} for what, (each, count) in found.items()}


def limits(bench: Mapping[str, Any]) -> list[tuple[float, str, str]]:
    """Return the total requests a second at which each part that cannot be doubled gives out, the first one first."""
    cost = costs(bench)
    primary = PRIMARY_CORES * USE * 1e6

    def all_kinds(group: str, kinds: Iterable[str]) -> float:
        return sum(SHARES[kind] * cost[kind][group] for kind in kinds)

    gig_processes = all_kinds("GigService", SHARES) / 1e6 / USE
    order_processes = all_kinds("OrderService", SHARES) / 1e6 / USE
    everything, reads = list(SHARES), ("gig page", "browsing", "read with a token")
    alone = words_costs(bench)["one database: as from 100,000 to 1,000,000, twice more"]
    found = [
        (primary / (SHARES["words"] * alone), "searches by words in one database of all gigs", "a search engine"),
        (
            primary / all_kinds("GigService's database", everything),
            "GigService's primary, searches by words as among a million gigs",
            "replicas for anonymous reads",
        ),
        (
            primary / all_kinds("GigService's database", reads),
            "GigService's primary without searches by words",
            "replicas, then partitions",
        ),
        (SESSIONS / (gig_processes * _CONNECTIONS_PER_WORKER), "sessions of GigService's database", "a pooler"),
        (
            SESSIONS / (order_processes * _CONNECTIONS_PER_ORDER_WORKER),
            "sessions of OrderService's database",
            "a pooler",
        ),
        (
            primary / all_kinds("OrderService's database", everything),
            "OrderService's primary",
            "partitions by seller",
        ),
    ]
    return sorted(found)


def monthly(bench: Mapping[str, Any], measured: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """Return what each part costs a month in US dollars, with the CDN, searches by words apart."""
    needed = cores(bench, CDN, EDGE_CACHE, words=False)
    size = sizes(measured)
    disk = COPIES * sum(size[what]["sum"] for what in ("gigs", "reviews", "orders of a year")) / 1e9
    sent = REQUESTS * HOURS_A_MONTH * 3600 * measured["response_bytes"]["gig page"] / 1e9
    hour = PRICES["vCPU hour"]
    programs = sum(needed[group] for group in GROUPS[:3])
    databases = sum(needed[group] for group in GROUPS[3:])
    pictures = size["pictures"]["sum"] / 1e9
    words = REQUESTS * SHARES["words"] / 1e6 / USE * words_costs(bench)["100 partitions of a million, one asked"]
    return [
        ("Envoy and the services", programs * hour * HOURS_A_MONTH, f"{_n(programs)} vCPUs"),
        ("databases, each three times", COPIES * databases * hour * HOURS_A_MONTH, f"{_n(COPIES * databases)} vCPUs"),
        ("searches by words, one partition asked", words * hour * HOURS_A_MONTH, f"{_n(words)} vCPUs"),
        ("disks, each row three times", disk * PRICES["GB of disk"], f"{_n(disk)} GB"),
        ("pictures", pictures * PRICES["GB of objects"], f"{_n(pictures)} GB"),
        ("what the CDN sends, without pictures", sent * PRICES["GB sent"], f"{_n(sent)} GB"),
    ]


def tables(bench: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, str]:
    """Return the tables of the page, by the names of their markers."""
    cost = costs(bench)
    ways = {
        "past every cache": (0.0, 0.0),
        "with the edge's cache": (0.0, EDGE_CACHE),
        "with a CDN as well": (CDN, EDGE_CACHE),
    }
    by_way = {name: cores(bench, *shares, words=False) for name, shares in ways.items()}
    searches = REQUESTS * SHARES["words"]
    bill = monthly(bench, measured)
    return {
        "costs": _table(
            ("kind", "share", "a second", *(f"{group}, µs" for group in GROUPS)),
            (
                (kind, f"{SHARES[kind]:.0%}", _n(REQUESTS * SHARES[kind]), *(_n(cost[kind][group]) for group in GROUPS))
                for kind in SHARES
            ),
        ),
        "cores": _table(
            ("cores, without searches by words", *GROUPS, "all"),
            (
                (name, *(_n(needed[group]) for group in GROUPS), _n(sum(needed.values())))
                for name, needed in by_way.items()
            ),
        ),
        "words": _table(
            ("how gigs are kept", "PostgreSQL, ms a search", f"cores for {_n(searches)} a second"),
            ((way, _n(micros / 1e3), _n(searches * micros / 1e6 / USE)) for way, micros in words_costs(bench).items()),
        ),
        "limits": _table(
            ("requests a second in all", "what gives out", "what comes then"),
            ((_n(rate), part, remedy) for rate, part, remedy in limits(bench)),
        ),
        "sizes": _table(
            ("what", "bytes each", "how many", "TB"),
            (
                (what, _n(size["bytes"]), _n(size["count"]), f"{size['sum'] / 1e12:,.1f}")
                for what, size in sizes(measured).items()
            ),
        ),
        "bill": _table(
            ("part", "how much", "US$ a month"),
            [
                *((part, much, _n(dollars)) for part, dollars, much in bill),
                ("all", "", _n(sum(dollars for _, dollars, _ in bill))),
            ],
        ),
    }


def write(docs: Path = DOCS) -> None:
    """Write the tables of a folder's page from its two files of figures. Raises ValueError, KeyError."""
    page = docs / PAGE.name
    page.write_text(with_tables(page.read_text(), docs))


def with_tables(page: str, docs: Path = DOCS) -> str:
    """Return the page with the current tables between its markers.

    Raises ValueError when a marker is missing, KeyError when a run has not measured something.
    """
    bench, measured = (json.loads((docs / file.name).read_text()) for file in (BENCHMARKS, SIZES))
    for name, table in tables(bench, measured).items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if begin not in page or end not in page:
            raise ValueError(f"the page has no markers for {name}")
        pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
        page = re.sub(pattern, f"{begin}\n\n{table}\n{end}".replace("\\", r"\\"), page, flags=re.DOTALL)
    return page


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _n(value: float) -> str:
    """Return a number with two or three digits that count: the figures know no more."""
    if value == 0:
        return "0"
    digits = max(0, 2 - len(str(int(abs(value)))))
    rounded = round(value, digits) if abs(value) < 1000 else round(value, 3 - len(str(int(value))))
    return f"{rounded:,.{digits}f}"


def measure() -> dict[str, Any]:
    """Return the sizes of a loaded stack's data and responses."""
    settings = StackSettings()
    urls = database_urls(settings, Layout.of(settings.data_dir))
    counted = {"gig": ("gigs", "gigs"), "order": ("orders", "orders"), "review": ("reviews", "reviews")}
    rows, sizes_found = {}, {}
    for service, (name, table) in counted.items():
        with psycopg2.connect(urls[service]) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*), pg_database_size(current_database()) FROM {table}")
            rows[name], sizes_found[service] = cursor.fetchone()  # type: ignore[misc]
        connection.close()
    with httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", headers={"Accept-Encoding": "gzip"}) as client:
        page = client.get("/api/gigs")
        gig = page.json()["results"][0]["id"]
        responses = {
            name: int(client.get(path).num_bytes_downloaded)
            for name, path in (("gig page", f"/api/gigs/{gig}"), ("search page", "/api/gigs"))
        }
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "rows": rows,
        "database_bytes": sizes_found,
        "response_bytes": responses,
    }


def main() -> None:
    """Write the tables, after measuring where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description="Computes docs/scaling.md.")
    parser.add_argument("--measure", action="store_true", help="write docs/scaling.json from a loaded, running stack")
    if parser.parse_args().measure:
        SIZES.write_text(json.dumps(measure(), indent=1) + "\n")
    write()


if __name__ == "__main__":
    main()
