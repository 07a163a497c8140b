"""An event notifies its follower only while that sleeps.

PostgreSQL lets one transaction after the other commit that has called NOTIFY, each with its wait for the disk. A
follower that is awake needs no notification: it looks again in 50 ms. Followers of an older version take no lock, so
while one runs beside this schema it finds events by its look once a second.
"""

from typing import Any

UP = """
-- A follower that sleeps shares this lock, which keeps it from being taken here. Two writers that try it at the same
-- moment may see each other, and notify for nothing.
CREATE OR REPLACE FUNCTION events_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_try_advisory_lock(hashtextextended('sleeping followers of the feed', 0)) THEN
        PERFORM pg_advisory_unlock(hashtextextended('sleeping followers of the feed', 0));
    ELSE
        PERFORM pg_notify('events', '');
    END IF;
    RETURN NULL;
END
$$;
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
