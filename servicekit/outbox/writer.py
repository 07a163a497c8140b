"""The outbox's writing side."""

from psycopg2.extras import Json

from servicekit.database import Database, Statement

ADD = Statement("""
    INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at)
    SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now
""")

HURRY = Statement("""
    UPDATE outbox SET next_attempt_at = app_now()
    WHERE topic = $1 AND key = $2 AND parked_at IS NULL AND next_attempt_at > app_now()
""")
DROP = Statement("DELETE FROM outbox WHERE topic = $1 AND key = $2")


class Outbox:
    """The outbox of one service's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, topic: str, key: str, version: int, payload: object) -> None:
        """Write a row. `payload` is any JSON value. The commit wakes the relays of all workers.

        To be called in the transaction of the change, after that has locked the row that `key` identifies: the lock
        puts the outbox rows of a key in order. Raises RuntimeError outside of a transaction.
        """
        if not self._database.peewee.in_transaction():
            raise RuntimeError("an outbox row must be written in the transaction of the change that it reports")
        self._database.write(ADD, topic, key, version, Json(payload))

    def replace(self, topic: str, key: str, version: int, payload: object) -> None:
        """Write a row that is due now instead of all rows of its key, put off and parked ones too.

        A delivery of theirs that is under way ends without a further effect on the outbox; the new row waits for it.
        To be called as `add` is.
        """
        self._database.write(DROP, topic, key)
        self.add(topic, key, version, payload)

    def hurry(self, topic: str, key: str) -> None:
        """Make the rows of a key due now that were put off, in the transaction that ends the cause of it."""
        self._database.write(HURRY, topic, key)
