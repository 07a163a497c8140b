"""`python -m tests.support.relay_process URL SECONDS`: a relay whose deliveries take so long and write to a table."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from servicekit.database import Database, Row, Statement
from servicekit.outbox import Message, Relay, Topic
from tests.support.postgres import ROOT, url_of

TABLE = """
CREATE TABLE deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY, key text, version bigint, process integer,
    began timestamptz DEFAULT clock_timestamp(), ended timestamptz
)
"""
BEGIN = Statement("INSERT INTO deliveries (key, version, process) VALUES ($1, $2, $3) RETURNING id")
END = Statement("UPDATE deliveries SET ended = clock_timestamp() WHERE id = $1")
DELIVERIES = Statement("SELECT key, version, process, ended FROM deliveries ORDER BY id")
OVERLAPS = Statement("""
    SELECT one.key, one.version, other.version AS other FROM deliveries AS one JOIN deliveries AS other USING (key)
    WHERE one.id < other.id AND other.began < one.ended
""")


@contextmanager
def relay_process(database: Database, seconds: float, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a relay in a process of its own, with four deliveries at once, and kill it at the end.

    The database must have the TABLE.
    """
    command = [sys.executable, "-m", "tests.support.relay_process", url_of(database), str(seconds)]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    process = subprocess.Popen(command, cwd=ROOT, env=variables)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def deliveries(database: Database) -> list[Row]:
    """Return the deliveries of all processes, in the order in which they began."""
    return database.fetch_all(DELIVERIES)


def main(url: str, seconds: str) -> None:
    database = Database(url)

    def deliver(message: Message) -> None:
        row = database.fetch_one(BEGIN, message.key, message.version, os.getpid())
        assert row is not None
        time.sleep(float(seconds))
        database.fetch_all(END, row["id"])

    Relay(database, {"news": Topic(deliver, concurrency=4)}).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
