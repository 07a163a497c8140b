"""The relay that deletes files from their storage, after the transaction that deleted their rows."""

from servicekit.database import Database
from servicekit.outbox import Message, Relay, Topic
from servicekit.storage.storage import Storage

# Rows whose files a process deletes at once: a call to S3 takes tens of milliseconds.
DELETIONS_AT_ONCE = 4


def file_deletion(database: Database, storage: Storage, topic: str) -> Relay:
    """Return the relay of this topic, whose payloads are {"keys": [...]}. Any process with the storage may run one."""

    def delete(message: Message) -> None:
        for key in message.payload["keys"]:
            storage.delete(key)

    return Relay(database, {topic: Topic(delete, concurrency=DELETIONS_AT_ONCE)})
