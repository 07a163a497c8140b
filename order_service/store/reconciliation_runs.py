"""The runs of reconciliation: their windows, their progress, and the orders and payouts still to compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

from servicekit.advisory_lock import advisory_lock
from servicekit.clock import Clock
from servicekit.database import Database, Statement

# A change can be committed this much later than the time that it carries, so windows overlap.
OVERLAP = timedelta(hours=1)
LEAST_ID = UUID(int=0)

Kind = Literal["order", "payout"]

CLEAN_UNTIL = Statement("SELECT max(clean_until) AS until FROM reconciliation_runs WHERE clean_until IS NOT NULL")
ADD = Statement("""
    INSERT INTO reconciliation_runs (since, until, is_explicit, started_at) VALUES ($1, $2, $3, app_now()) RETURNING id
""")
FIRST_ORDER = Statement("SELECT created_at FROM orders ORDER BY id LIMIT 1")
DROP_UNFINISHED = Statement("DELETE FROM reconciliation_runs WHERE finished_at IS NULL")
CLEAR_WORK = Statement("DELETE FROM reconciliation_work")
FILL_WORK = Statement("""
    INSERT INTO reconciliation_work (kind, id)
    SELECT 'order', id FROM orders
    WHERE changed_at >= coalesce($1, '-infinity'::timestamptz) AND changed_at < $2::timestamptz
    UNION
    SELECT 'order', order_id FROM ledger_transactions
    WHERE at >= coalesce($1, '-infinity'::timestamptz) AND at < $2::timestamptz AND order_id IS NOT NULL
    UNION
    SELECT 'payout', id FROM payouts
    WHERE changed_at >= coalesce($1, '-infinity'::timestamptz) AND changed_at < $2::timestamptz
    UNION
    SELECT 'payout', payout_id FROM ledger_transactions
    WHERE at >= coalesce($1, '-infinity'::timestamptz) AND at < $2::timestamptz AND payout_id IS NOT NULL
    ORDER BY 1, 2
""")
ADD_WORK = Statement("""
    INSERT INTO reconciliation_work (kind, id, since, until)
    SELECT $1, id, since, until FROM unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[]) AS work (id, since, until)
    ON CONFLICT (kind, id) DO UPDATE SET since = excluded.since, until = excluded.until
""")
WORK = Statement("""
    SELECT id, since, until FROM reconciliation_work WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3
""")
END_WORK = Statement("DELETE FROM reconciliation_work WHERE kind = $1 AND id = ANY ($2::uuid[])")
END_CHANGED = Statement("""
    DELETE FROM reconciliation_work WHERE kind = $1 AND id = ANY ($2::uuid[]) AND since IS NULL
""")
COUNT_WORK = Statement("SELECT count(*) AS number FROM reconciliation_work")
SAVE = Statement("""
    UPDATE reconciliation_runs
    SET ledger_reached = $2, payments_reached = $3, transfers_reached = $4, orders = $5, payouts = $6, pending = $7
    WHERE id = $1
""")
FINISH = Statement("""
    UPDATE reconciliation_runs SET finished_at = app_now(), differences = $2, clean_until = $3 WHERE id = $1
""")


@dataclass(frozen=True, slots=True)
class Run:
    """A run over the changes from `since` on and before `until` (aware); `since` is None for the beginning.

    The ledger was checked up to the transaction `ledger_reached`; the provider's payments and transfers that were
    created before `payments_reached` and `transfers_reached`. `orders`, `payouts` and `pending` count those compared.
    """

    id: int
    since: datetime | None
    until: datetime
    is_explicit: bool
    ledger_reached: int = 0
    payments_reached: datetime | None = None
    transfers_reached: datetime | None = None
    orders: int = 0
    payouts: int = 0
    pending: int = 0


# By name, not `*`: a prepared statement must not notice a column that a newer version adds.
COLUMNS = ", ".join(field.name for field in fields(Run))
UNFINISHED = Statement(f"SELECT {COLUMNS} FROM reconciliation_runs WHERE finished_at IS NULL")


class Work(NamedTuple):
    """An order or a payout to compare. One that only the provider knows has the time in which it is listed."""

    id: UUID
    since: datetime | None
    until: datetime | None


class ReconciliationRuns:
    """The runs. One is not finished at most, and one process works on it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clock = Clock(database)

    def lock(self) -> AbstractContextManager[bool]:
        """Lock out other processes until the end of the block. Yield whether this process got the lock."""
        return advisory_lock(self._database, "reconciliation")

    def now(self) -> datetime:
        """Return the database's time."""
        return self._clock.now()

    def unfinished(self) -> Run | None:
        """Return the run that was interrupted, if there is one."""
        row = self._database.fetch_one(UNFINISHED)
        return Run(**row) if row else None

    def clean_until(self) -> datetime | None:
        """Return the time until which everything was found clean; None before the first clean run."""
        until: datetime | None = self._database.fetch_all(CLEAN_UNTIL)[0]["until"]
        return until

    def first_order_at(self) -> datetime | None:
        """Return the time of the first order, None when there is none."""
        row = self._database.fetch_one(FIRST_ORDER)
        return row["created_at"] if row else None

    def begin(self, since: datetime | None, until: datetime | None, *, is_explicit: bool) -> Run:
        """Store a new run, until now by default, in the place of an unfinished one, and list its work."""
        end = until or self._clock.now()
        with self._unlimited():
            self._database.fetch_all(DROP_UNFINISHED)
            self._database.fetch_all(CLEAR_WORK)
            self._database.fetch_all(FILL_WORK, since, end)
            row = self._database.fetch_all(ADD, since, end, is_explicit)[0]
        # Statements about a table that was just filled get bad plans without statistics.
        self._database.execute("ANALYZE reconciliation_work")
        return Run(row["id"], since, end, is_explicit)

    def save(self, run: Run) -> None:
        """Store the progress of a run."""
        reached = (run.ledger_reached, run.payments_reached, run.transfers_reached)
        self._database.fetch_all(SAVE, run.id, *reached, run.orders, run.payouts, run.pending)

    def work(self, kind: Kind, after: UUID, limit: int) -> list[Work]:
        """Return the next `limit` orders or payouts to compare, in the order of their ids."""
        return [Work(**row) for row in self._database.fetch_all(WORK, kind, after, limit)]

    def work_left(self) -> int:
        """Return the number of orders and payouts that are still to be compared."""
        return int(self._database.fetch_all(COUNT_WORK)[0]["number"])

    def add_work(self, kind: Kind, work: Sequence[Work]) -> None:
        """Add to the work, unless it is there."""
        if work:
            ids, since, until = zip(*work, strict=True)
            self._database.fetch_all(ADD_WORK, kind, list(ids), list(since), list(until))

    def end_changed(self, kind: Kind, ids: Sequence[UUID]) -> None:
        """Remove work that changed here and is right where the provider lists it.

        What is listed at another time stays: of two payments of an order one may be right.
        """
        self._database.fetch_all(END_CHANGED, kind, list(ids))

    def end_work(self, kind: Kind, ids: Sequence[UUID], run: Run | None = None) -> None:
        """Remove work that is done; together with that, store the progress of a run."""
        with self._database.transaction():
            if ids:
                self._database.fetch_all(END_WORK, kind, list(ids))
            if run is not None:
                self.save(run)

    def finish(self, run: Run, differences: int, clean_until: datetime | None) -> None:
        """Store the end of a run."""
        with self._unlimited():
            self._database.fetch_all(FINISH, run.id, differences, clean_until)
            self._database.fetch_all(CLEAR_WORK)

    @contextmanager
    def _unlimited(self) -> Iterator[None]:
        """Open a transaction whose statements may take longer than those of a request."""
        with self._database.transaction():
            self._database.execute("SET LOCAL statement_timeout = 0")
            yield
