"""Migrations run while requests come: none of them may keep writes waiting while it builds an index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The last migration of each folder from before the rule. They are applied already, and are not changed any more.
LAST_BEFORE = {
    "gig_service/migrations": 11,
    "order_service/migrations": 16,
    "order_service/payments/sandbox/migrations": 4,
    "review_service/migrations": 8,
}

NEW_TABLE = re.compile(r"CREATE\s+(?:UNLOGGED\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)", re.IGNORECASE)
INDEX = re.compile(
    r"CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?P<how>CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?[\w{}]+\s+ON\s+(?:ONLY\s+)?(?P<table>\w+)",
    re.IGNORECASE,
)
REASON = re.compile(r"# Not concurrently: \w+")
HAS_NO_TRANSACTION = re.compile(r"^atomic = False$", re.MULTILINE)


def problems(migration: str) -> list[str]:
    """Return what is wrong with the indexes of a migration."""
    new = {table.lower() for table in NEW_TABLE.findall(migration)}
    indexes = [(match["table"].lower(), bool(match["how"])) for match in INDEX.finditer(migration)]
    blocking = [table for table, concurrent in indexes if not concurrent and table not in new]
    found = [f"an index on {table} keeps its writes waiting" for table in blocking if not REASON.search(migration)]
    if any(concurrent for _, concurrent in indexes) and not HAS_NO_TRANSACTION.search(migration):
        found.append("CONCURRENTLY needs `atomic = False`")
    return found


@pytest.mark.parametrize("folder", LAST_BEFORE)
def test_indexes_on_tables_that_are_there_are_built_concurrently_or_the_migration_says_why_not(folder: str) -> None:
    migrations = sorted((ROOT / folder).glob("0*.py"))
    new = [each for each in migrations if int(each.name[:4]) > LAST_BEFORE[folder]]

    assert len(migrations) >= LAST_BEFORE[folder]
    assert {each.name: found for each in new if (found := problems(each.read_text()))} == {}


@pytest.mark.parametrize(
    ("migration", "found"),
    [
        ('"CREATE INDEX orders_due ON orders (due_at)"', ["an index on orders keeps its writes waiting"]),
        ('f"CREATE UNIQUE INDEX {name} ON orders (id)"', ["an index on orders keeps its writes waiting"]),
        ('# Not concurrently: the table is empty.\n"CREATE INDEX a ON orders (b)"', []),
        ('"CREATE TABLE new (b int); CREATE INDEX a ON new (b)"', []),
        ('"CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON orders (b)"', ["CONCURRENTLY needs `atomic = False`"]),
        ('atomic = False\n"CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON orders (b)"', []),
    ],
)
def test_the_rule_finds_what_it_is_for(migration: str, found: list[str]) -> None:
    assert problems(migration) == found


def test_the_rule_would_have_found_the_indexes_of_searches() -> None:
    assert problems((ROOT / "gig_service/migrations/0009_search_plans.py").read_text())
