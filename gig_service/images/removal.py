"""Deletes the files of pictures that were taken away, after the transaction that took them away."""

from gig_service.images.storage import Storage
from gig_service.store.images import MEDIA
from servicekit.database import Database
from servicekit.outbox import Message, Relay, Topic


def removal(database: Database, storage: Storage) -> Relay:
    """The relay that every process of GigService runs, so that a file goes whichever of them is up."""

    def delete(message: Message) -> None:
        for key in message.payload["keys"]:
            storage.delete(key)

    return Relay(database, {MEDIA: Topic(delete)})
