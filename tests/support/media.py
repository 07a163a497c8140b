"""Gigs with images whose files are in a folder, for tests that watch rows and files."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from gig_service.domain.image import Image, after_adding
from gig_service.media.pictures import PICTURES
from gig_service.store.images import MEDIA
from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database, Statement
from servicekit.outbox import Relay
from servicekit.storage.deletion import file_deletion
from servicekit.storage.folder import FolderStorage
from tests.support.gigs import Gigs, an_image

WAITING = Statement("SELECT id FROM outbox")


class Media:
    """GigService and a folder of media. The files are no real pictures, since nothing here reads them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.gigs = Gigs(database)
        self.store = self.gigs.store
        self.folder = folder / "media"
        self.folder.mkdir()
        self.storage = FolderStorage(self.folder, PICTURES)
        self._picture = folder / "picture"
        self._picture.write_bytes(b"picture")

    def put(self) -> Image:
        """Store the files of an upload without its rows."""
        image = an_image()
        self.storage.put(image.key, self._picture, "image/jpeg")
        self.storage.put(image.thumbnail_key, self._picture, "image/webp")
        return image

    def upload(self, gig_id: str) -> Image:
        """Store the files of an upload, then its rows."""
        image = self.put()
        self.insert(gig_id, image)
        return image

    def insert(self, gig_id: str, image: Image, *, first_is_primary: bool = False) -> None:
        """Store the row of an image whose files are stored."""
        with self.store.transaction():
            gig = self.store.gigs.lock(UUID(gig_id))
            before = self.store.images.of_gig(gig.id)
            self.store.images.save(gig.id, before, after_adding(before, [image], first_is_primary=first_is_primary))

    def delete(self, gig_id: str, image: Image) -> None:
        """Delete an image, as its owner."""
        answer = self.gigs.call(gig_pb2.DeleteImageRequest(gig_id=gig_id, image_id=str(image.id)))
        assert not answer.error, answer.message

    def age(self, *keys: str, by: timedelta = timedelta(hours=1, seconds=5)) -> None:
        """Make files older."""
        at = time.time() - by.total_seconds()
        for key in keys:
            os.utime(self.folder / key, (at, at))

    def files(self) -> set[str]:
        """Return the keys of all files."""
        return {path.relative_to(self.folder).as_posix() for path in self.folder.glob("*/*")}

    def relay(self) -> Relay:
        """Return the relay of another process."""
        return file_deletion(self.database, self.storage, MEDIA)

    def deliver(self) -> bool:
        """Deliver all due rows of the outbox; return whether the outbox is empty then."""
        relay = self.relay()
        while relay.deliver_one():
            pass
        return not self.database.fetch_all(WAITING)


def files_of(*images: Image) -> set[str]:
    """Return the keys of the images' files."""
    return {key for image in images for key in (image.key, image.thumbnail_key)}
