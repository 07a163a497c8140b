"""The plan of the loads: which batches there are. It is kept in GigService's database, in the schema `load_data`."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass

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
    -- Its gigs were made in this slice of the years before, of so many slices.
    slice integer NOT NULL,
    slices integer NOT NULL,
    PRIMARY KEY (seed, number)
);
"""
PLANNED = Statement("""
    SELECT seed, number, first, gigs, anchor, slice, slices FROM load_data.plan WHERE seed = $1 ORDER BY number
""")
ADD = Statement("""
    INSERT INTO load_data.plan (seed, number, first, gigs, anchor, slice, slices) VALUES ($1, $2, $3, $4, $5, $6, $7)
""")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch: the gigs from the number `first` on, of all gigs with this seed.

    The gigs of a batch were made at about the same time, so that the rows of a batch are neighbours in most indexes.
    """

    seed: int
    number: int
    first: int
    gigs: int
    anchor: int
    slice: int = 0
    slices: int = 1


def extend(bulk: BulkLoad, seed: int, gigs: int, size: int = SIZE) -> list[Batch]:
    """Return the batches of a seed, at least so many gigs in all; new ones have `size` gigs, the last one fewer.

    Batches that are planned once stay as they are.
    """
    with bulk.database.transaction():
        bulk.database.execute(SCHEMA)
        planned = [Batch(**row) for row in bulk.database.fetch_all(PLANNED, seed)]
        first = planned[-1].first + planned[-1].gigs if planned else 0
        anchor = time.time_ns() // 1_000_000
        slices = -(-(gigs - first) // size)
        for place in range(slices):
            batch = Batch(seed, len(planned), first, min(size, gigs - first), anchor, place, slices)
            bulk.database.fetch_all(ADD, *astuple(batch))
            planned.append(batch)
            first += batch.gigs
    return planned
