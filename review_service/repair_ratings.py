"""`python -m review_service.repair_ratings`: compare the ratings of gigs with their reviews, and repair them.

The exit status is 1 when there was a difference, repaired or not, and 2 when the comparison was impossible.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from review_service.commands.repair_rating import RepairRating
from review_service.commands.report_review import ReportReview
from review_service.domain.rating_differences import Differences, GigServiceRating, Records, SentReview, compare
from review_service.gigs import Gigs
from review_service.store.rating_audit import GREATEST_ID, LEAST_ID, START, Position
from review_service.store.store import Store
from servicekit.console import run_command
from servicekit.database import Database
from servicekit.identity import ServiceTokens
from servicekit.progress import Progress
from servicekit.settings import Addresses, InternalTlsSettings, load

# The gigs, and the reviews, that are compared at once. GigService takes no more reviews in a request.
GIGS = 200
REVIEWS = 500
# A batch of gigs may have millions of reviews to count.
STATEMENT_TIMEOUT_MS = 60_000


class RepairSettings(InternalTlsSettings):
    """The settings of ReviewService that the repair needs."""

    model_config = SettingsConfigDict(extra="ignore")

    review_database_url: str = Field(description="ReviewService's database: a libpq URL.")
    gig_service_addresses: Addresses = Field(description="The workers of GigService: host:port,host:port.")
    service_signing_key: Path = Field(description="The private key of the services' own tokens: a PEM file.")


@dataclass
class Findings:
    """The numbers of compared gigs and reviews, of those with a row in the outbox, and the differences as texts."""

    gigs: int = 0
    reviews: int = 0
    pending: int = 0
    differences: list[str] = field(default_factory=list)
    repaired: int = 0


class RatingRepair:
    """One comparison. It repairs unless `only_reports` is set.

    It works beside a marketplace in use: what is on its way is no difference. Repairs go the ordinary way, by a new
    version and a row of the outbox.
    """

    def __init__(self, store: Store, gigs: Gigs, *, only_reports: bool, progress: Progress | None = None) -> None:
        self._audit = store.rating_audit
        self._gigs = gigs
        self._repair_rating = RepairRating(store)
        self._report_review = ReportReview(store)
        self._repairs = not only_reports
        self._progress = progress or Progress()
        self._findings = Findings()

    def execute(self) -> Findings:
        """Compare all gigs and all reviews. Raises MarketplaceError when the database or GigService does not answer."""
        gigs, reviews = self._audit.numbers()
        self._progress.begin(gigs, "gigs")
        after = LEAST_ID
        while after < GREATEST_ID:
            ids = self._audit.gig_ids(after, GIGS)
            until = ids[-1] if len(ids) == GIGS else GREATEST_ID
            self._compare_gigs(ids, after, until)
            after = until
        self._progress.begin(reviews, "reviews")
        self._compare_reviews()
        return self._findings

    def _compare_gigs(self, ids: list[UUID], after: UUID, until: UUID) -> None:
        """Compare the gigs of a range, of which `ids` have records here; GigService may have ratings of others."""
        records = self._audit.records(ids)
        ratings = {rating.gig_id: rating for rating in self._gigs.ratings(after, until)}
        self._findings.gigs += len(records.keys() | ratings.keys())
        wrong = {}
        for gig_id in sorted(records.keys() | ratings.keys()):
            before = records.get(gig_id, Records(gig_id))
            theirs = ratings.get(gig_id, GigServiceRating(gig_id))
            self._findings.pending += before.is_waiting
            if compare(before, theirs, before).texts:
                wrong[gig_id] = before, theirs
        # Reviews that have come meanwhile are no difference.
        for gig_id, now in self._audit.records(list(wrong)).items():
            before, theirs = wrong[gig_id]
            if (found := compare(before, theirs, now)).texts:
                self._findings.differences += [f"gig {gig_id}: {text}" for text in found.texts]
                self._repair_gig(found, theirs, now)
        self._progress.advance(len(ids))

    def _repair_gig(self, found: Differences, theirs: GigServiceRating, now: Records) -> None:
        if not self._repairs:
            return
        if found.is_rating_wrong:
            self._repair_rating.execute(theirs.gig_id, theirs.version)
        if now.parked_row is not None:
            self._audit.resend(now.parked_row)
        self._findings.repaired += 1

    def _compare_reviews(self) -> None:
        """Find the reviews that were sent to GigService and do not count there for badges."""
        position = START
        while reviews := self._audit.reviews(position, REVIEWS):
            missing = self._gigs.missing_reviews(reviews)
            self._findings.reviews += len(reviews)
            for review in reviews:
                self._findings.pending += review.is_waiting
                if review.parked_row is not None or (review.id in missing and not review.is_waiting):
                    self._repair_review(review)
            last = reviews[-1]
            position = Position(last.gig_id, last.created_at, last.id)
            self._progress.advance(len(reviews))

    def _repair_review(self, review: SentReview) -> None:
        """Send a review again that is parked, or that GigService has lost."""
        parked = review.parked_row
        lost = f"GigService does not count it for the badges of gig {review.gig_id}'s seller"
        text = lost if parked is None else f"its outbox row {parked} is parked"
        self._findings.differences.append(f"review {review.id}: {text}")
        if not self._repairs:
            return
        if parked is None:
            self._report_review.execute(review)
        else:
            self._audit.resend(parked)
        self._findings.repaired += 1


def text(findings: Findings) -> str:
    """Return the findings for the terminal."""
    lines = [f"{findings.gigs:,} gigs, {findings.reviews:,} reviews, {findings.pending:,} pending in the outbox"]
    lines += [f"DIFFERENCE {difference}" for difference in findings.differences]
    if findings.repaired:
        lines.append(f"{findings.repaired:,} repaired: GigService gets them within seconds")
    lines.append(f"{len(findings.differences):,} differences" if findings.differences else "no differences")
    return "\n".join(lines)


def main() -> int:
    """Compare, print the findings and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m review_service.repair_ratings",
        description="Compare the ratings of gigs, here and in GigService, with the reviews, and repair them. It works"
        " beside a marketplace in use.",
    )
    parser.add_argument("--dry-run", action="store_true", help="report the differences, and repair nothing")
    options = parser.parse_args()
    settings = load(RepairSettings)

    def repair(progress: Progress) -> int:
        store = Store(Database(settings.review_database_url, statement_timeout_ms=STATEMENT_TIMEOUT_MS))
        tokens = ServiceTokens(settings.service_signing_key.read_text(), "review")
        gigs = Gigs(settings.gig_service_addresses, tokens, settings.tls_of("review"))
        findings = RatingRepair(store, gigs, only_reports=options.dry_run, progress=progress).execute()
        progress.end()
        print(text(findings))
        return int(bool(findings.differences))

    return run_command(
        repair, failed="The ratings cannot be compared", interrupted="What was repaired until here stays so."
    )


if __name__ == "__main__":
    sys.exit(main())
