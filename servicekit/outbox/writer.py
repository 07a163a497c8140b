"""The writing side of the outbox."""

from psycopg2.extras import Json

from servicekit.database import Database, Statement

ADD = Statement("""
    INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at)
    SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now
""")


class Outbox:
    """Where a store leaves what another service must learn."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, topic: str, key: str, version: int, payload: object) -> None:
        """Writes a row; `payload` is what JSON can hold. The commit wakes the relays of all workers.

        To be called in the transaction of the change, after it has locked what `key` stands for: that lock is what puts
        a key's rows in order.
        """
        if not self._database.peewee.in_transaction():
            raise RuntimeError("an outbox row is written in the transaction of what it tells of")
        self._database.fetch_all(ADD, topic, key, version, Json(payload))
