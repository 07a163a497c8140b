"""Clients that are hard on whoever takes pictures, in a process of their own so that they do not slow the one that
measures: `python -m tests.support.noise URL < job`, until its standard input ends.

The job is one line of JSON: `dribblers`, a list of [path, token] that each get a file of a kilobyte every quarter of a
second; and `bomb`, one [path, token] that gets `picture` (a PNG's path) over and over.
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
    """Sends what never becomes a picture, as slowly as a phone in a tunnel."""

    def pieces() -> Iterator[bytes]:
        while not over.is_set():
            yield b"\xff\xd8" + b"x" * 1_000
            time.sleep(0.25)

    headers = {"authorization": f"Bearer {token}", "content-type": "image/jpeg"}
    answer = httpx.post(url + path, content=pieces(), headers=headers, timeout=120)
    assert answer.status_code == 400, answer.text


def explode(url: str, path: str, token: str, picture: bytes) -> None:
    """Sends a picture that takes long to decode, again and again."""
    headers = {"authorization": f"Bearer {token}", "content-type": "image/png"}
    while not over.is_set():
        answer = httpx.post(url + path, content=picture, headers=headers, timeout=120)
        assert answer.status_code in (201, 400, 409), answer.text


def main() -> None:
    """Starts all of them; ends with 1 when one of them was answered otherwise than it should."""
    # As if they were on machines of their own.
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
