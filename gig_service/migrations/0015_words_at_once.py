"""Few words wait outside of the index that misspellings are looked up by.

New entries of a GIN index wait in a list, which each look-up reads from its beginning to its end: with 4 MB of it, the
default, a word took 14 ms instead of 0.4. A writer that fills the list brings its entries into the index.
"""

from typing import Any

# Each of the two locks searches for a moment, and needs no transaction with the other.
atomic = False


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this without a transaction."""
    db.execute_sql("ALTER INDEX words_deletions SET (gin_pending_list_limit = 64)")  # kB; the least that there may be
    db.execute_sql("SELECT gin_clean_pending_list('words_deletions')")
