"""The relay that deletes the files of deleted images, after the transaction that deleted their rows."""

from gig_service.media.storage import Storage
from gig_service.store.images import MEDIA
from servicekit.database import Database
from servicekit.outbox import Message, Relay, Topic

# Images whose files a worker deletes at once: a call to S3 takes tens of milliseconds.
DELETIONS_AT_ONCE = 4


def media_deletion(database: Database, storage: Storage) -> Relay:
    """Return the relay. Every process of GigService runs one, so that any of them deletes the files."""

    def delete(message: Message) -> None:
        for key in message.payload["keys"]:
            storage.delete(key)

    return Relay(database, {MEDIA: Topic(delete, concurrency=DELETIONS_AT_ONCE)})
