"""Misspelled words are looked up by an index that also has the words which were added last."""

from __future__ import annotations

from typing import Any

from gig_service.store import vocabulary
from servicekit.database import Database

# As many as a few hundred gigs bring. Their entries would fill the list that a GIN index has by default.
ADDED = 20_000
# Of 8 KiB. A look-up in the index alone reads some thirty; the list of 4 MB alone has 500.
MOST_PAGES = 100
ADD = "INSERT INTO words (word) SELECT DISTINCT left(md5(n::text), 8) FROM generate_series(1, %s) AS n"


def test_a_misspelled_word_costs_no_more_after_many_new_words(gig_database: Database) -> None:
    gig_database.peewee.execute_sql(ADD, (ADDED,))

    looked_up = vocabulary.NEIGHBOURS.sql.replace("$1::text[]", "word_deletions('wbsite')")
    ((plan,),) = gig_database.peewee.execute_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {looked_up}").fetchall()

    (scan,) = [node for node in nodes(plan[0]["Plan"]) if node.get("Index Name") == "words_deletions"]
    assert scan["Shared Hit Blocks"] + scan["Shared Read Blocks"] <= MOST_PAGES


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a node of a plan and all below it."""
    return [plan, *(node for below in plan.get("Plans", ()) for node in nodes(below))]
