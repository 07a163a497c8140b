"""The clock of a service: its database's, so that all workers agree on the time and tests can move it.

SQL reads it as `app_now()`, Python as `Clock.now()`. `Clock.travel()` moves both, for every process that uses the
database.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from servicekit.database import Database, Statement

NOW = Statement("SELECT app_now() AS now")
TRAVEL = Statement("UPDATE app_clock SET ahead = ahead + $1::interval")

# Runs before the migrations of every service.
SCHEMA = """
CREATE TABLE IF NOT EXISTS app_clock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    ahead interval NOT NULL DEFAULT '0'
);
INSERT INTO app_clock DEFAULT VALUES ON CONFLICT DO NOTHING;
CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT clock_timestamp() + ahead FROM app_clock $$;
"""


class Clock:
    """The clock of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        row = self._database.fetch_one(NOW)
        assert row is not None
        now: datetime = row["now"]
        return now

    def travel(self, by: timedelta) -> None:
        """Move the clock, for SQL and Python alike. For tests."""
        self._database.fetch_all(TRAVEL, by)
