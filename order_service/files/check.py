"""`python -m order_service.files.check`: finds files that the storage lacks. Its status is 1 when there are any."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from pydantic import Field

from order_service.files.storage import storage_from
from order_service.settings import FileStorageSettings
from order_service.store.store import Store
from servicekit.database import Database
from servicekit.errors import MarketplaceError
from servicekit.settings import load
from servicekit.storage.storage import Storage


class CheckSettings(FileStorageSettings):
    """The settings that the check needs."""

    order_database_url: str = Field(description="OrderService's database: a libpq URL.")


class Report(NamedTuple):
    """The number of files, those that the storage lacks, by id and key, and the number of keys without a file."""

    files: int
    missing: list[tuple[UUID, str]]
    orphans: int


def check(store: Store, storage: Storage) -> Report:
    """Compare rows and storage. Raises Unavailable when either cannot be read."""
    files = 0
    missing = []
    for file in store.files.all():
        files += 1
        # It may have been removed since it was read; then it is rightly gone.
        if not storage.exists(file.key) and store.files.exists(file.label.id):
            missing.append((file.label.id, file.key))
    orphans = sum(1 for _ in store.files.orphans(storage.keys(timedelta(0))))
    return Report(files, missing, orphans)


def main() -> int:
    """Print the report and return the exit status."""
    settings = load(CheckSettings)
    try:
        report = check(Store(Database(settings.order_database_url)), storage_from(settings))
    except MarketplaceError as error:
        print(f"The files cannot be checked: {str(error.__cause__ or error).strip()}", file=sys.stderr)
        # The same status as for invalid settings: nothing was checked.
        return 2
    for file_id, key in report.missing:
        print(f"file {file_id}: {key} is gone")
    print(f"files: {report.files}, gone: {len(report.missing)}, without a row: {report.orphans}")
    return 1 if report.missing else 0


if __name__ == "__main__":
    sys.exit(main())
