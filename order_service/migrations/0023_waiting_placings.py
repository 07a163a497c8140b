"""An index of the placings that wait for their buyer's confirmation, by buyer."""

from typing import Any

# Not concurrently: the table of attempts has a few rows, each for minutes at most.
UP = """
-- The draft's request is stored as its wish. An attempt that ends without a confirmation never gets into the index.
CREATE INDEX attempts_waiting ON attempts ((data #>> '{wish,buyer_id}')) WHERE state IN ('confirming', 'refused');
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
