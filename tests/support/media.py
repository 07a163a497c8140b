"""Gigs with pictures whose files lie in a folder, so that what becomes of both can be watched."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from gig_service.domain.image import Image, NewImage
from gig_service.images.removal import removal
from gig_service.images.storage import FolderStorage
from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database, Statement
from servicekit.outbox import Relay
from tests.support.gigs import Gigs, an_image

WAITING = Statement("SELECT id FROM outbox")


class Media:
    """GigService and a folder of pictures. What is put into it is no picture: nobody here looks inside."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.gigs = Gigs(database)
        self.store = self.gigs.store
        self.folder = folder / "media"
        self.folder.mkdir()
        self.storage = FolderStorage(self.folder)
        self._picture = folder / "picture"
        self._picture.write_bytes(b"picture")

    def put(self) -> NewImage:
        """The files of an upload whose rows are not written yet, or never will be."""
        new = an_image()
        self.storage.put(new.key, self._picture, "image/jpeg")
        self.storage.put(new.thumbnail_key, self._picture, "image/webp")
        return new

    def upload(self, gig_id: str) -> Image:
        """A whole upload."""
        new = self.put()
        with self.store.transaction():
            gig = self.store.gigs.lock(UUID(gig_id))
            return self.store.images.insert(gig.id, [new], first_is_primary=False)[0]

    def delete(self, gig_id: str, image: Image) -> None:
        """Takes an image away, as its owner."""
        answer = self.gigs.call(gig_pb2.DeleteImageRequest(gig_id=gig_id, image_id=str(image.id)))
        assert not answer.error, answer.message

    def age(self, *keys: str, by: timedelta = timedelta(hours=1, seconds=5)) -> None:
        """Makes files older."""
        at = time.time() - by.total_seconds()
        for key in keys:
            os.utime(self.folder / key, (at, at))

    def files(self) -> set[str]:
        """The keys of all files."""
        return {path.relative_to(self.folder).as_posix() for path in self.folder.glob("*/*")}

    def relay(self) -> Relay:
        """The relay of another process."""
        return removal(self.database, self.storage)

    def deliver(self) -> bool:
        """Lets a relay do all it can now; whether nothing waits any more."""
        relay = self.relay()
        while relay.deliver_one():
            pass
        return not self.database.fetch_all(WAITING)


def files_of(*images: Image | NewImage) -> set[str]:
    """The keys of the images' files."""
    return {key for image in images for key in (image.key, image.thumbnail_key)}
