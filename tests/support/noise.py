"""Load on ImageService: `python -m tests.support.noise URL < job`, until its standard input ends.

It is a process of its own, so that it does not slow down the process that measures. The job is one line of JSON.
`dribblers` is a list of [path, token]: each gets a file, a kilobyte every quarter of a second. `bomb` is one
[path, token]: it gets `picture` (a PNG's path) over and over.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

over = threading.Event()


def dribble(url: str, path: str, token: str) -> None:
    """Send bytes that are no picture, as slowly as a phone in a tunnel."""

    def pieces() -> Iterator[bytes]:
        while not over.is_set():
            yield b"\xff\xd8" + b"x" * 1_000
            time.sleep(0.25)

    headers = {"authorization": f"Bearer {token}", "content-type": "image/jpeg"}
    answer = httpx.post(url + path, content=pieces(), headers=headers, timeout=120)
    assert answer.status_code == 400, answer.text


def explode(url: str, path: str, token: str, picture: bytes) -> None:
    """Send a picture that takes long to decode, again and again."""
    headers = {"authorization": f"Bearer {token}", "content-type": "image/png"}
    while not over.is_set():
        answer = httpx.post(url + path, content=picture, headers=headers, timeout=120)
        assert answer.status_code in (201, 400, 409), answer.text


def main() -> None:
    """Run all clients; exit with status 1 when one of them got an unexpected response."""
    # The clients yield to the servers, as if they ran on other machines.
    os.nice(19)
    url, job = sys.argv[1], json.loads(sys.stdin.readline())
    failed: list[object] = []
    threading.excepthook = failed.append
    clients = [threading.Thread(target=dribble, args=(url, *each)) for each in job["dribblers"]]
    clients.append(threading.Thread(target=explode, args=(url, *job["bomb"], Path(job["picture"]).read_bytes())))
    for client in clients:
        client.start()
    sys.stdin.read()
    over.set()
    for client in clients:
        client.join()
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
