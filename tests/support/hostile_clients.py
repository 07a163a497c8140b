"""Clients that strain the upload of pictures, in a process of their own: `python -m tests.support.hostile_clients URL`.

The first line of standard input is a job in JSON: `dribblers`, a list of [path, token] that each send a file of a
kilobyte every quarter of a second; and `bomb`, one [path, token] that sends `picture` (a PNG's path) over and over.
When all of them are sending, the program prints `sending`. It ends with its standard input, with status 1 when a client
got an unexpected answer.
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


def dribble(url: str, path: str, token: str, sending: threading.Barrier) -> None:
    """Send a file that never becomes a picture, as slowly as a phone in a tunnel."""

    def pieces() -> Iterator[bytes]:
        yield b"\xff\xd8"
        sending.wait(60)
        while not over.is_set():
            yield b"x" * 1_000
            time.sleep(0.25)

    headers = {"authorization": f"Bearer {token}", "content-type": "image/jpeg"}
    answer = httpx.post(url + path, content=pieces(), headers=headers, timeout=120)
    assert answer.status_code == 400, answer.text


def explode(url: str, path: str, token: str, picture: bytes, sending: threading.Barrier) -> None:
    """Send a picture that takes long to decode, again and again."""
    headers = {"authorization": f"Bearer {token}", "content-type": "image/png"}
    sending.wait(60)
    while not over.is_set():
        answer = httpx.post(url + path, content=picture, headers=headers, timeout=120)
        assert answer.status_code in (201, 400, 409), answer.text


def main() -> None:
    """Run all clients until standard input ends."""
    # As if they were on machines of their own.
    os.nice(19)
    url, job = sys.argv[1], json.loads(sys.stdin.readline())
    failures: list[object] = []
    threading.excepthook = failures.append
    sending = threading.Barrier(len(job["dribblers"]) + 2)
    clients = [threading.Thread(target=dribble, args=(url, *each, sending)) for each in job["dribblers"]]
    picture = Path(job["picture"]).read_bytes()
    clients.append(threading.Thread(target=explode, args=(url, *job["bomb"], picture, sending)))
    for client in clients:
        client.start()
    sending.wait(60)
    print("sending", flush=True)
    sys.stdin.read()
    over.set()
    for client in clients:
        client.join()
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
