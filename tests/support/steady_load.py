"""A steady load of requests of each kind, none of which is sent a second time, while the processes are replaced.

Each kind has a client of its own that counts what it gets. A failure is any status but the expected one, a broken
connection, and a stream that ends otherwise than its service would end it.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx

from marketplace.gig.v1 import gig_pb2
from marketplace.gig.v1.gig_pb2_grpc import GigServiceStub
from servicekit import clients
from servicekit.internal_tls import DEVELOPER, read
from tests.support.stack import Stack
from tests.support.story import SEED_REVIEW, Market, a_gig
from tests.support.uploads import a_jpeg

POLL_SECONDS = 2
# Seconds without a byte of a watch, which gets a comment every 15.
SILENCE_SECONDS = 30.0


class FailedError(Exception):
    """A request failed; the text says how."""


@dataclass
class Outcome:
    """What has become of the requests of each kind."""

    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, seconds: float) -> None:
        with self._lock:
            self.done[kind] += 1
            self.slowest[kind] = max(seconds, self.slowest.get(kind, 0.0))

    def fail(self, kind: str, error: str) -> None:
        with self._lock:
            self.failures.append(f"{time.strftime('%H:%M:%S')} {kind}: {error}")


def expect(response: httpx.Response, status: int = 200) -> Any:
    """Return the JSON of a response. Raises FailedError for another status."""
    if response.status_code != status:
        request = response.request
        raise FailedError(f"{request.method} {request.url.path}: {response.status_code} {response.text[:200]}")
    return response.json() if response.content else None


class Requests:
    """A function for each kind of request, which sends one or several and raises for a failure."""

    KINDS = (
        "read",
        "read on a new connection",
        "search",
        "read with a token",
        "gig",
        "order",
        "upload",
        "long-poll",
        "gRPC",
    )

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._market = Market.of(stack)
        self._gig = self._market.gig()
        ports = [stack.ports.rpc("gig", number) for number in range(stack.workers)]
        if stack.workers == 1:
            ports.append(stack.ports.spares({"gig": 1, "order": 1})["gig-spare"])
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
        folder = stack.layout.tls / DEVELOPER
        self._channel = clients.channel(addresses, "gig", read(folder, DEVELOPER) if stack.has_internal_tls else None)
        self._gigs = GigServiceStub(self._channel)
        self._picture = a_jpeg()
        self._event = "now"
        self._watched = ""
        self.retry_hints = 0

    def sender(self, kind: str) -> Callable[[], None]:
        """Return the function that sends requests of a kind."""
        senders = (
            self._read,
            self._read_anew,
            self._search,
            self._read_orders,
            self._edit,
            self._order,
            self._upload,
            self._poll,
            self._call,
        )
        return dict(zip(self.KINDS, senders, strict=True))[kind]

    def close(self) -> None:
        self._channel.close()

    def _read(self) -> None:
        expect(self._market.anyone.get(f"/api/gigs/{self._gig['id']}"))

    def _read_anew(self) -> None:
        with self._stack.client() as client:
            expect(client.get("/api/categories"))

    def _search(self) -> None:
        with self._stack.client() as client:
            expect(client.get("/api/gigs", params={"q": "website"}))

    def _read_orders(self) -> None:
        expect(self._market.buyer.get("/api/orders"))

    def _edit(self) -> None:
        seller = self._market.seller
        made = expect(seller.post("/api/gigs", json=a_gig()), 201)
        read = seller.get(f"/api/gigs/{made['id']}")
        gig = expect(read)
        changed = {key: gig[key] for key in ("description", "categoryId", "tags")} | {"title": "Another title"}
        expect(seller.put(f"/api/gigs/{made['id']}", json=changed, headers={"If-Match": read.headers["etag"]}))

    def _order(self) -> None:
        """Bring an order to its end, without an idempotency key: none of these is ever sent again by the edge."""
        buyer, seller = self._market.buyer, self._market.seller
        placed = expect(buyer.post("/api/orders", json=self._market.order_request(self._gig)), 201)
        order = f"/api/orders/{placed['orderId']}"
        expect(seller.post(f"{order}/accept"))
        expect(seller.post(f"{order}/deliver", json={"message": "Here it is"}))
        expect(buyer.post(f"{order}/review", json=SEED_REVIEW), 201)
        expect(buyer.post(f"{order}/complete"))
        expect(seller.post("/api/payouts", json={"amount": 1}), 201)

    def _upload(self) -> None:
        made = expect(self._market.seller.post("/api/gigs", json=a_gig()), 201)
        parts = {"file": ("picture.jpg", self._picture, "image/jpeg")}
        expect(self._market.seller.post(f"/api/gigs/{made['id']}/images", files=parts), 201)

    def _poll(self) -> None:
        params: dict[str, Any] = {"after": self._event, "wait": POLL_SECONDS, "pageSize": 50}
        self._event = expect(self._market.admin.get("/api/events", params=params))["next"]

    def _call(self) -> None:
        """Call a worker as another service does."""
        try:
            self._gigs.GetGig(gig_pb2.GetGigRequest(gig_id=self._gig["id"]), timeout=clients.MAX_SECONDS)
        except grpc.RpcError as error:
            raise FailedError(str(error)) from error

    def watch(self, over: threading.Event) -> None:
        """Watch until the stream ends, and wait for as long as the stream has asked for."""
        headers = {"last-event-id": self._watched} if self._watched else {}
        retry = ""
        seller = self._market.seller
        with seller.stream("GET", "/api/watch", headers=headers, timeout=SILENCE_SECONDS) as response:
            if response.status_code != 200:
                raise FailedError(f"a watch: {response.status_code} {response.read()!r}")
            for line in response.iter_lines():
                if match := re.fullmatch(r"retry: (\d+)", line):
                    retry = match[1]
                if match := re.fullmatch(r"id: (\d+)", line):
                    self._watched = match[1]
                if over.is_set():
                    return
        if not retry:
            raise FailedError("a watch ended without having said when to come back")
        self.retry_hints += 1
        over.wait(int(retry) / 1000)


@contextmanager
def steady_load(
    stack: Stack, outcome: Outcome, pauses: Mapping[str, float], *, watchers: int = 3, only: Sequence[str] = ()
) -> Iterator[list[Requests]]:
    """Send requests of all kinds, or some, for the block; each kind waits so long (seconds) between two."""
    over = threading.Event()
    threads = []
    clients_of_load: list[Requests] = []

    def run(kind: str, send: Callable[[], None]) -> None:
        following = time.monotonic()
        while not over.is_set():
            following = max(following + pauses.get(kind, 0.0), time.monotonic() - 1)
            began = time.monotonic()
            try:
                send()
            except (FailedError, httpx.HTTPError) as error:
                outcome.fail(kind, f"after {time.monotonic() - began:.2f} s: {error!r}")
                over.wait(0.2)
            else:
                outcome.add(kind, time.monotonic() - began)
            over.wait(max(0.0, following - time.monotonic()))

    def watching(requests: Requests) -> Callable[[], None]:
        return lambda: requests.watch(over)

    # Each kind has people of its own: a person's requests are not at once.
    for kind in only or Requests.KINDS:
        requests = Requests(stack)
        clients_of_load.append(requests)
        threads.append(threading.Thread(target=run, args=(kind, requests.sender(kind)), name=kind))
    for _ in range(watchers):
        requests = Requests(stack)
        clients_of_load.append(requests)
        threads.append(threading.Thread(target=run, args=("watch", watching(requests)), name="watch"))
    for thread in threads:
        thread.start()
    try:
        yield clients_of_load
    finally:
        over.set()
        for thread in threads:
            thread.join(SILENCE_SECONDS + 5)
        for requests in clients_of_load:
            requests.close()
