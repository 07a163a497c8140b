"""`python -m benchmarks.limits`: how long the slowest answers take, each against its bound.

They are a JSON body of many values, a call without a worker and one that is too late at the edge, S3 that is away, and
an outbox of 30 rows whose receiver comes back.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gig_service.media.pictures import PICTURES
from gig_service.settings import MediaSettings
from servicekit.database import Database
from servicekit.errors import Unavailable
from servicekit.outbox import Topic
from servicekit.storage.s3 import S3Storage
from servicekit.storage.storage import new_key
from tests.support.edge import Edge, an_edge
from tests.support.eventually import eventually
from tests.support.outbox import Receiver, relays, write
from tests.support.ports import free_ports
from tests.support.postgres import PostgresServer
from tests.support.upstream import slow

BOUNDS = {"large body": 1.0, "no worker": 1.5, "too late": 3.5, "S3 is away": 10.0, "outbox catches up": 2.0}
LARGE_BODY = b'{"x": [' + b"1," * 500_000 + b"1]}"


def seconds(work: Callable[[], object]) -> float:
    """Return how long the work takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def create_gig(edge: Edge, body: bytes, status: int) -> float:
    """Return how long the edge takes to answer with this status."""
    headers = {"content-type": "application/json", **edge.bearer()}
    with edge.client() as api:
        response = api.post("/api/gigs", content=body, headers=headers)
    assert response.status_code == status, response.text
    return response.elapsed.total_seconds()


def measure_edge() -> dict[str, float]:
    """Return the seconds of the edge's answers."""
    with an_edge(edge_request_timeout_seconds=2) as edge:
        large_body = create_gig(edge, LARGE_BODY, 201)
        edge.upstreams["gig"][0].responses["CreateGig"] = slow(4)
        too_late = create_gig(edge, b"{}", 504)
    [port] = free_ports(1)
    with an_edge(gig_service_addresses=f"127.0.0.1:{port}") as edge:
        no_worker = create_gig(edge, b"{}", 503)
    return {"large body": large_body, "no worker": no_worker, "too late": too_late}


def measure_s3() -> float:
    """Return the seconds until two calls to an S3 that is away have failed."""
    os.environ.update(dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test"))
    settings = MediaSettings(
        media_storage="s3",
        media_url="https://cdn.example.com",
        s3_bucket="pictures",
        s3_endpoint_url="http://127.0.0.1:9",
        s3_region="us-east-1",
        media_dir=None,
        image_max_count=20,
    )
    storage = S3Storage.from_settings(settings, PICTURES, "pictures")

    def ask() -> None:
        with suppress(Unavailable):
            storage.put(new_key("jpg"), Path(__file__), "image/jpeg")
        with suppress(Unavailable):
            storage.exists(new_key("jpg"))

    return seconds(ask)


def measure_outbox() -> float:
    """Return the seconds until 30 rows are delivered, once their receiver is back."""
    server = PostgresServer()
    server.start()
    try:
        database = Database(server.fresh("review"))
        receiver = Receiver()
        receiver.fails = lambda message: Unavailable()
        write(database, *((f"k{number}", 1) for number in range(30)))
        with relays(database, Topic(receiver), count=2):
            time.sleep(1.5)
            receiver.fails = lambda message: None
            return seconds(lambda: eventually(lambda: len(receiver.got) == 30))
    finally:
        server.stop()


def main() -> int:
    """Return 0 when nothing takes longer than its bound."""
    took = {**measure_edge(), "S3 is away": measure_s3(), "outbox catches up": measure_outbox()}
    for name, bound in BOUNDS.items():
        print(f"{name:<20} {took[name]:5.2f} s, bound {bound} s")
    return int(any(took[name] > bound for name, bound in BOUNDS.items()))


if __name__ == "__main__":
    sys.exit(main())
