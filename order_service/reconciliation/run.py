"""A run of reconciliation over a window of time: what changed here, and what the provider created.

Memory is bounded by a batch, whatever the window. The orders and payouts that changed are listed in a table when the
run begins, and leave it when they are found right; so an interrupted run goes on where it was. First come the payments
and transfers that the provider created in the window, each compared with its order or payout. Then come the orders and
payouts that are left: for those the provider is asked for what it created around the time of their placing. What is
wrong then is compared again before it is a difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from order_service.payments.gateway import Gateway
from order_service.reconciliation.findings import Findings
from order_service.reconciliation.spans import Span, slices
from order_service.reconciliation.subjects import Orders, Payouts, Result, Subject, together
from order_service.store import ledger_audit
from order_service.store.audit import Audit
from order_service.store.ledger_audit import LedgerAudit
from order_service.store.reconciliation_runs import LEAST_ID, OVERLAP, Kind, ReconciliationRuns, Run, Work
from servicekit.database import Database
from servicekit.progress import Progress

CHECK_INTERVAL_SECONDS = 2.0
CHECKS = 3
BATCH = 1000
# A run with this many wrong orders and payouts goes no further.
MOST_WRONG = 10_000


class BusyError(Exception):
    """Another process works on a run."""


class FutureError(Exception):
    """The window ends in the future. A clean run of it would hide what changes until then."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window that was asked for: from the beginning, and until now, by default. Both are aware."""

    since: datetime | None = None
    until: datetime | None = None


def check(database: Database, gateway: Gateway) -> Findings:
    """Compare everything, without a wait between the checks. Raises as `reconcile` does."""
    return reconcile(database, gateway, Window(), interval=0)


def reconcile(
    database: Database,
    gateway: Gateway,
    window: Window | None = None,
    *,
    interval: float = CHECK_INTERVAL_SECONDS,
    wait: Callable[[float], None] = time.sleep,
    progress: Progress | None = None,
) -> Findings:
    """Compare a window, by default what changed since the last clean run. An interrupted run of it goes on.

    Raises FutureError, BusyError while another process does so, and MarketplaceError when a database or the provider
    does not answer; then the run is interrupted.
    """
    runs = ReconciliationRuns(database)
    with runs.lock() as is_holder:
        if not is_holder:
            raise BusyError
        run = _resumed(runs.unfinished(), window) or _begin(runs, window)
        reconciliation = _Reconciliation(database, gateway, runs, run, progress or Progress())
        return reconciliation.execute(lambda: wait(interval))


def _resumed(unfinished: Run | None, window: Window | None) -> Run | None:
    """Return the unfinished run when it is the one that is asked for."""
    if unfinished is None or unfinished.is_explicit is not (window is not None):
        return None
    if window is not None and (unfinished.since != window.since or window.until not in (None, unfinished.until)):
        return None
    return unfinished


def _begin(runs: ReconciliationRuns, window: Window | None) -> Run:
    if window is not None:
        if window.until is not None and window.until > runs.now():
            raise FutureError
        return runs.begin(window.since, window.until, is_explicit=True)
    clean_until = runs.clean_until()
    return runs.begin(clean_until and clean_until - OVERLAP, None, is_explicit=False)


class _Reconciliation:
    """One run, until it is finished or interrupted."""

    def __init__(
        self, database: Database, gateway: Gateway, runs: ReconciliationRuns, run: Run, progress: Progress
    ) -> None:
        self._runs = runs
        self._run = run
        self._progress = progress
        self._audit = Audit(database)
        self._ledger_audit = LedgerAudit(database)
        self._orders = Orders(self._audit, gateway)
        self._payouts = Payouts(self._audit, gateway)
        # Any: orders and payouts are of different types, and of the same one here.
        self._subjects: tuple[Subject[Any, Any], ...] = (self._orders, self._payouts)

    def execute(self, wait: Callable[[], None]) -> Findings:
        """Return the findings. Raises MarketplaceError when the run is interrupted."""
        findings = Findings(self._run.since, self._run.until)
        findings.differences += self._check_ledger()
        self._progress.begin(self._runs.work_left(), "orders and payouts")
        first = self._runs.first_order_at()
        for subject in self._subjects:
            self._compare_created(subject, first)
        wrong = {subject: self._compare_changed(subject, wait) for subject in self._subjects}
        findings.is_complete = all(len(each) < MOST_WRONG for each in wrong.values())
        standing = self._standing()
        for _ in range(CHECKS - 1):
            if any(wrong.values()) or standing:
                wait()
                wrong = {subject: self._compare_again(subject, each) for subject, each in wrong.items()}
                standing = [text for text in self._standing() if text in standing]
        for subject, each in wrong.items():
            self._run = _count(self._run, subject.kind, each.values())
            for work, result in each.items():
                findings.differences += [f"{subject.kind} {work.id}: {text}" for text in result.differences]
        findings.differences += standing
        findings.orders, findings.payouts, findings.pending = self._run.orders, self._run.payouts, self._run.pending
        findings.totals, findings.transactions = self._audit.totals()
        if total := sum(findings.totals.values()):
            findings.differences.append(f"ledger: all accounts together sum to {total}, not to zero")
        self._runs.finish(self._run, len(findings.differences), self._clean_until(findings))
        return findings

    def _check_ledger(self) -> list[str]:
        """Return the differences within the ledger, and between it and the adjustments."""
        faults = self._ledger_audit.wrong_adjustments(self._run.since, self._run.until)
        first, last = self._ledger_audit.window(self._run.since, self._run.until)
        self._progress.begin(max(0, last - first + 1), "ledger transactions")
        first = max(first, self._run.ledger_reached + 1)
        while first <= last:
            end = min(first + ledger_audit.BATCH - 1, last)
            faults += self._ledger_audit.faults(first, end)
            # A run that is interrupted after a difference has to find it again.
            if not faults:
                self._save(ledger_reached=end)
            self._progress.advance(end - first + 1)
            first = end + 1
        return faults

    def _compare_created(self, subject: Subject[Any, Any], first: datetime | None) -> None:
        """Compare what the provider created in the window. What is wrong stays, or becomes, work."""
        name = "payments_reached" if subject.kind == "order" else "transfers_reached"
        reached: datetime | None = getattr(self._run, name)
        for span in slices(self._run.since, self._run.until, first):
            if reached is not None and span.until <= reached:
                continue
            listed = subject.listed(span)
            counted = self._run
            while theirs := together(islice(listed, BATCH)):
                results = subject.compare_listed(theirs)
                done = [each for each, result in results.items() if not result.differences]
                self._runs.add_work(
                    subject.kind, [_work(each, result, span) for each, result in results.items() if result.differences]
                )
                self._runs.end_changed(subject.kind, done)
                counted = _count(counted, subject.kind, [results[each] for each in done])
                self._progress.advance(len(done))
            # Only whole slices are counted: an interrupted one is read again.
            reached_now: dict[str, Any] = {name: span.until}
            self._run = replace(counted, **reached_now)
            self._runs.save(self._run)

    def _compare_changed(self, subject: Subject[Any, Any], wait: Callable[[], None]) -> dict[Work, Result]:
        """Compare the work that is left. Return what is wrong, without the rest of the work when that is too much."""
        wrong: dict[Work, Result] = {}
        after = LEAST_ID
        while len(wrong) < MOST_WRONG and (work := self._runs.work(subject.kind, after, BATCH)):
            wrong |= self._compare_work(subject, work)
            after = work[-1].id
            if len(wrong) >= MOST_WRONG:
                wait()
                wrong = self._compare_again(subject, wrong)
        return wrong

    def _compare_again(self, subject: Subject[Any, Any], wrong: dict[Work, Result]) -> dict[Work, Result]:
        """Compare wrong work again. Return what is wrong in the same way.

        What is wrong in another way is changing at this moment, so it is in the next window.
        """
        still_wrong: dict[Work, Result] = {}
        for each, result in self._compare_work(subject, list(wrong)).items():
            if differences := [text for text in result.differences if text in wrong[each].differences]:
                still_wrong[each] = replace(result, differences=differences)
            else:
                self._run = _count(self._run, subject.kind, [result])
        return still_wrong

    def _compare_work(self, subject: Subject[Any, Any], work: list[Work]) -> dict[Work, Result]:
        """Compare work, and store that the work that is right is done. Return what is wrong."""
        results: dict[UUID, Result] = {}
        for place in range(0, len(work), BATCH):
            results |= subject.compare_work(work[place : place + BATCH])
        done = [each for each, result in results.items() if not result.differences]
        counted = _count(self._run, subject.kind, [results[each] for each in done])
        self._runs.end_work(subject.kind, done, counted)
        self._run = counted
        self._progress.advance(len(done))
        return {each: results[each.id] for each in work if results[each.id].differences}

    def _standing(self) -> list[str]:
        """Return the differences that do not depend on the window."""
        parked = [f"{row.subject}: its outbox row {row.id} is parked: {row.error}" for row in self._audit.parked()]
        put_off = [
            f"order {order.order_id}: could not be moved by time or reminded of, tries: {order.tries}, {order.error}"
            for order in self._audit.put_off_orders()
        ]
        return parked + put_off

    def _save(self, **changes: Any) -> None:
        self._run = replace(self._run, **changes)
        self._runs.save(self._run)

    def _clean_until(self, findings: Findings) -> datetime | None:
        """Return the time until which everything is clean after this run; None when it adds nothing to that."""
        if findings.differences or not findings.is_complete:
            return None
        before, since = self._runs.clean_until(), self._run.since
        if since is not None and (before is None or since > before):
            return None
        return max(before or self._run.until, self._run.until)


def _work(row_id: UUID, result: Result, span: Span) -> Work:
    """Return wrong work. The provider lists it again in `span`; an order that exists, around its placing."""
    return Work(row_id, span.since, span.until) if result.is_listed else Work(row_id, None, None)


def _count(run: Run, kind: Kind, results: Collection[Result]) -> Run:
    """Return the run with these results counted."""
    exist = sum(result.exists for result in results)
    pending = run.pending + sum(result.is_pending for result in results)
    if kind == "order":
        return replace(run, orders=run.orders + exist, pending=pending)
    return replace(run, payouts=run.payouts + exist, pending=pending)
