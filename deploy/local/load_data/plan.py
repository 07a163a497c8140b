"""The plan of the loads: which batches there are. It is kept in GigService's database, in the schema `load_data`."""

from __future__ import annotations

import time
from dataclasses import dataclass

from servicekit.bulk_load import BulkLoad
from servicekit.database import Statement

# The gigs of a batch.
SIZE = 10_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS load_data.plan (
    seed bigint NOT NULL,
    number integer NOT NULL,
    first integer NOT NULL,
    gigs integer NOT NULL,
    -- The time of the load, in milliseconds since 1970: all its times lie before.
    anchor bigint NOT NULL,
    PRIMARY KEY (seed, number)
);
"""
PLANNED = Statement("SELECT seed, number, first, gigs, anchor FROM load_data.plan WHERE seed = $1 ORDER BY number")
ADD = Statement("INSERT INTO load_data.plan (seed, number, first, gigs, anchor) VALUES ($1, $2, $3, $4, $5)")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch: the gigs from the number `first` on, of all gigs with this seed."""

    seed: int
    number: int
    first: int
    gigs: int
    anchor: int


def extend(bulk: BulkLoad, seed: int, gigs: int) -> list[Batch]:
    """Return the batches of a seed, at least so many gigs in all. Batches that are planned once stay as they are."""
    with bulk.database.transaction():
        bulk.database.execute(SCHEMA)
        planned = [Batch(**row) for row in bulk.database.fetch_all(PLANNED, seed)]
        first = planned[-1].first + planned[-1].gigs if planned else 0
        anchor = time.time_ns() // 1_000_000
        while first < gigs:
            batch = Batch(seed, len(planned), first, min(SIZE, gigs - first), anchor)
            bulk.database.fetch_all(ADD, batch.seed, batch.number, batch.first, batch.gigs, batch.anchor)
            planned.append(batch)
            first += batch.gigs
    return planned
