"""`python -m gig_service.personal_data`: what GigService knows of a user, as an archive, and its erasure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from pydantic import Field

from gig_service.commands.erase_gig import EraseGig
from gig_service.media.pictures import storage_from
from gig_service.settings import MediaSettings
from gig_service.store.images import MEDIA
from gig_service.store.personal_data import DERIVED, RECORDS, UserGigs
from gig_service.store.store import Store
from servicekit import personal_data_console
from servicekit.database import Database
from servicekit.personal_data import Erased, PersonalData
from servicekit.progress import Progress
from servicekit.settings import load
from servicekit.storage.deletion import DELETION_SECONDS, Deletions
from servicekit.storage.storage import Storage


class PersonalDataSettings(MediaSettings):
    """The settings of GigService that the commands need."""

    gig_database_url: str = Field(description="GigService's database: a libpq URL.")


class GigUserData:
    """GigService's UserData; see servicekit/personal_data_console.py."""

    def __init__(self, database: Database, storage: Storage, files_seconds: float = DELETION_SECONDS) -> None:
        store = Store(database)
        self._erase_gig = EraseGig(store)
        self._documents = store.documents
        self._gigs = UserGigs(database)
        self._data = PersonalData(database, RECORDS, DERIVED)
        self._storage = storage
        self._deletions = Deletions(database, MEDIA, "images' files", files_seconds)

    def obstacles(self, _user_id: UUID) -> list[str]:
        """Return nothing: OrderService knows the orders of the gigs."""
        return []

    def sold(self, _user_id: UUID) -> list[UUID]:
        """Return nothing: OrderService knows the orders."""
        return []

    def archive(self, user_id: UUID, _sold: Sequence[UUID], folder: Path) -> Iterator[tuple[str, list[str]]]:
        """Yield the records. The pictures go to `images/<gig>/<image>` in the folder."""
        for gig_id, image_id, key in self._gigs.pictures(user_id):
            target = folder / "images" / str(gig_id) / f"{image_id}{Path(key).suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            self._storage.fetch(key, target)
        yield from self._data.archive(user_id)

    def erase(self, user_id: UUID, _sold: Sequence[UUID], progress: Progress) -> Iterator[Erased]:
        """Delete the gigs, erase the records, and wait until the files of the images are deleted.

        Raises MarketplaceError when they are not deleted in time: then no process of GigService runs.
        """
        gigs = self._gigs.visible(user_id)
        progress.begin(len(gigs), "gigs")
        for gig_id in gigs:
            self._erase_gig.execute(gig_id)
            progress.advance(1)
        yield Erased("gigs_deleted", len(gigs))
        words = {word for gig_id in self._gigs.with_texts(user_id) for word in self._documents.words_of(gig_id)}
        yield Erased("words_of_searches", self._gigs.forget_words(sorted(words)))
        yield from self._data.erase(user_id, progress=progress)
        yield Erased("files_of_pictures", self._deletions.wait(progress))

    def forget_samples(self, *, compacts: bool) -> None:
        """Do it; see PersonalData."""
        self._data.forget_samples(compacts=compacts)


def main() -> int:
    """Run a command of the command line."""
    settings = load(PersonalDataSettings)
    database = Database(settings.gig_database_url, statement_timeout_ms=personal_data_console.STATEMENT_TIMEOUT_MS)
    return personal_data_console.main("gig", database, GigUserData(database, storage_from(settings)))


if __name__ == "__main__":
    sys.exit(main())
