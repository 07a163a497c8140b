"""Misspelled words are looked up by an index that also has the words which were added last."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from gig_service.store import vocabulary
from servicekit.database import Database
from tests.support.postgres import PostgresServer

# Their entries would wait on more than 200 pages of the list that a GIN index has by default.
ADDED = 10_000
# Of 8 KiB. A look-up reads 22 in the index alone, and 28 with the entries that may wait.
MOST_PAGES = 100
ADD = "INSERT INTO words (word) SELECT DISTINCT left(md5(n::text), 8) FROM generate_series(1, %s) AS n"


def test_a_misspelled_word_costs_no_more_after_many_new_words(postgres: PostgresServer) -> None:
    with closing(Database(postgres.fresh("gig"), statement_timeout_ms=0)) as database:
        database.execute(ADD, (ADDED,))
        plan = plan_of_look_up(database)

    (scan,) = [node for node in nodes(plan) if node.get("Index Name") == "words_deletions"]
    assert scan["Shared Hit Blocks"] + scan["Shared Read Blocks"] <= MOST_PAGES


def plan_of_look_up(database: Database) -> dict[str, Any]:
    """Look a word up, and return the plan with what its parts have read."""
    looked_up = vocabulary.NEIGHBOURS.sql.replace("$1::text[]", "word_deletions('wbsite')")
    explained = database.peewee.execute_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {looked_up}")
    plan: dict[str, Any] = explained.fetchone()[0][0]["Plan"]
    return plan


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a node of a plan and all below it."""
    return [plan, *(node for below in plan.get("Plans", ()) for node in nodes(below))]
