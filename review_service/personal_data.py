"""`python -m review_service.personal_data`: what ReviewService knows of a user, as an archive, and its erasure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from review_service.store.personal_data import RECORDS
from servicekit import personal_data_console
from servicekit.database import Database
from servicekit.personal_data import Erased, PersonalData
from servicekit.progress import Progress
from servicekit.settings import load


class PersonalDataSettings(BaseSettings):
    """The settings of ReviewService that the commands need."""

    model_config = SettingsConfigDict(extra="ignore")

    review_database_url: str = Field(description="ReviewService's database: a libpq URL.")


class ReviewUserData:
    """ReviewService's UserData; see servicekit/personal_data_console.py."""

    def __init__(self, database: Database) -> None:
        self._data = PersonalData(database, RECORDS)

    def obstacles(self, _user_id: UUID) -> list[str]:
        """Return nothing: a review is never under way."""
        return []

    def sold(self, _user_id: UUID) -> list[UUID]:
        """Return nothing: OrderService knows the orders."""
        return []

    def archive(self, user_id: UUID, sold: Sequence[UUID], _folder: Path) -> Iterator[tuple[str, list[str]]]:
        """Yield the records."""
        return self._data.archive(user_id, list(sold))

    def erase(self, user_id: UUID, sold: Sequence[UUID], progress: Progress) -> Iterator[Erased]:
        """Erase the records. The stars stay in the sums."""
        return self._data.erase(user_id, list(sold), progress=progress)

    def forget_samples(self, *, compacts: bool) -> None:
        """Do it; see PersonalData."""
        self._data.forget_samples(compacts=compacts)


def main() -> int:
    """Run a command of the command line."""
    settings = load(PersonalDataSettings)
    timeout = personal_data_console.STATEMENT_TIMEOUT_MS
    database = Database(settings.review_database_url, statement_timeout_ms=timeout)
    return personal_data_console.main("review", database, ReviewUserData(database))


if __name__ == "__main__":
    sys.exit(main())
