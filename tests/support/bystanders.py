"""Ordinary clients that use a stack while another client attacks it: `python -m tests.support.bystanders URL`.

They run in a process of their own, so that the attack cannot slow them down otherwise than through the stack. The first
line of standard input is the job in JSON: `gig`, a gig's id, and `token`, its seller's. The program prints `started`
after the first responses, ends with its standard input, and prints a report in JSON: the requests by kind, the failed
ones with their answers, and the slowest seconds by kind.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.stack import ROOT, Stack
from tests.support.story import a_gig

# A request that is not answered by then is a failed one. Seconds.
PATIENCE = 10.0
PAUSE = 0.05
KINDS = ("page", "search", "write", "order list")


@dataclass
class Report:
    """The result of the bystanders' requests; complete once the block of `bystanders` has ended."""

    requests: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    slowest: dict[str, float] = field(default_factory=dict)

    def require_served(self, *kinds: str) -> None:
        """Fail unless all requests were answered, and some of each kind (all kinds by default) were made."""
        assert not self.failures, f"{len(self.failures)} of {self.requests}: {self.failures[:5]}"
        assert all(self.requests.get(kind, 0) > 1 for kind in kinds or KINDS), self.requests


@contextmanager
def bystanders(stack: Stack) -> Iterator[Report]:
    """Run ordinary clients of the stack during the block."""
    token = stack.token("bystander", "seller", "buyer")
    with stack.client("bystander", "seller", "buyer") as seller:
        created = seller.post("/api/gigs", json=a_gig())
        assert created.status_code == 201, created.text
    job = {"gig": created.json()["id"], "token": token}
    command = [sys.executable, "-m", "tests.support.bystanders", stack.url]
    report = Report()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as clients:
        assert clients.stdin is not None and clients.stdout is not None
        try:
            print(json.dumps(job), file=clients.stdin, flush=True)
            assert clients.stdout.readline() == "started\n"
            yield report
        finally:
            clients.stdin.close()
            lines = clients.stdout.read()
    report.__dict__.update(json.loads(lines))


class _Client:
    def __init__(self, url: str, job: dict[str, str]) -> None:
        self._url = url
        self._job = job
        self._lock = threading.Lock()
        self.report = Report()
        self.over = threading.Event()

    def repeat(self, kind: str, started: threading.Barrier) -> None:
        """Make requests of one kind until the end, each on the connection of an ordinary client."""
        with httpx.Client(base_url=self._url, timeout=PATIENCE) as client:
            self._one(client, kind)
            started.wait(60)
            while not self.over.wait(PAUSE):
                self._one(client, kind)

    def _one(self, client: httpx.Client, kind: str) -> None:
        began = time.monotonic()
        try:
            answer = self._request(client, kind)
            failure = "" if answer.is_success else f"{answer.status_code} {answer.text}"
        except httpx.HTTPError as error:
            failure = repr(error)
        seconds = round(time.monotonic() - began, 3)
        with self._lock:
            self.report.requests[kind] = self.report.requests.get(kind, 0) + 1
            self.report.slowest[kind] = max(seconds, self.report.slowest.get(kind, 0))
            if failure:
                self.report.failures.append(f"{kind} after {seconds} s: {failure}")

    def _request(self, client: httpx.Client, kind: str) -> httpx.Response:
        signed_in = {"authorization": f"Bearer {self._job['token']}"}
        path = f"/api/gigs/{self._job['gig']}"
        match kind:
            case "page":
                return client.get(path)
            case "search":
                return client.get("/api/gigs", params={"q": "website"})
            case "write":
                kept = ("title", "description", "categoryId", "tags")
                body: dict[str, Any] = {name: value for name, value in a_gig().items() if name in kept}
                return client.put(path, json=body, headers=signed_in)
            case _:
                return client.get("/api/orders", headers=signed_in)


def main() -> None:
    """Run until standard input ends, then print the report."""
    client = _Client(sys.argv[1], json.loads(sys.stdin.readline()))
    started = threading.Barrier(len(KINDS) + 1)
    threads = [threading.Thread(target=client.repeat, args=(kind, started)) for kind in KINDS]
    for thread in threads:
        thread.start()
    started.wait(60)
    print("started", flush=True)
    sys.stdin.read()
    client.over.set()
    for thread in threads:
        thread.join()
    print(json.dumps(client.report.__dict__))


if __name__ == "__main__":
    main()
