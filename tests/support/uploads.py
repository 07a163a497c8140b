"""Uploads of pictures to a running stack, and the load that they put on it; for tests and benchmarks."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from PIL import Image

from tests.support.stack import ROOT, Stack
from tests.support.story import Market

JPEG = "image/jpeg"


def a_jpeg(width: int = 320, height: int = 200, colour: tuple[int, int, int] = (200, 60, 40)) -> bytes:
    """Return a plain JPEG."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "JPEG", quality=90)
    return out.getvalue()


def a_photo(megapixels: float) -> bytes:
    """Return a JPEG as heavy as a phone's: noise does not compress."""
    side = int((megapixels * 1_000_000) ** 0.5)
    small = Image.frombytes("RGB", (side // 4, side // 4), os.urandom((side // 4) ** 2 * 3))
    out = io.BytesIO()
    small.resize((side, side)).save(out, "JPEG", quality=88)
    return out.getvalue()


def upload(client: httpx.Client, gig: str, data: bytes, media_type: str = JPEG, query: str = "") -> httpx.Response:
    """Send a file as the body."""
    headers = {"content-type": media_type}
    return client.post(f"/api/gigs/{gig}/images{query}", content=data, headers=headers, timeout=180)


def upload_at_once(stack: Stack, files: list[bytes]) -> list[int]:
    """Upload each file to a gig of its own, all at the same time. Return the status of each response."""
    # Few a seller, as each may have only some uploads at once.
    markets = [Market.of(stack) for _ in range(-(-len(files) // 4))]
    targets = [(markets[number // 4], markets[number // 4].gig()["id"]) for number in range(len(files))]
    with ThreadPoolExecutor(len(files)) as pool:
        sent = [
            pool.submit(upload, market.seller, gig, file) for (market, gig), file in zip(targets, files, strict=True)
        ]
        return [each.result().status_code for each in sent]


def peak_memory_during(stack: Stack, work: Callable[[], None]) -> int:
    """Do the work. Return the most memory in bytes that the process for uploads and its decoders had meanwhile."""
    peak, over = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.1):
            peak = max(peak, _memory_for_uploads(stack))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return peak


def _memory_for_uploads(stack: Stack) -> int:
    """Return bytes; memory that processes share is counted once in proportion."""
    total = 0
    process = stack.processes()["gig-images"]
    for each in (process, *process.children(recursive=True)):
        try:
            total += each.memory_full_info().pss
        except psutil.Error:
            continue
    return total


@contextmanager
def strained_uploads(stack: Stack, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Have fifty clients send a file each without an end, and one send a picture that takes long to decode."""
    bomb = folder / "bomb.png"
    Image.frombytes("L", (7_000, 7_000), os.urandom(7_000) * 7_000).save(bomb, "PNG", compress_level=1)
    assert bomb.stat().st_size <= 10 << 20

    def a_target() -> list[str]:
        market = Market.of(stack)
        path = f"/api/gigs/{market.gig()['id']}/images"
        return [path, market.seller.headers["authorization"].removeprefix("Bearer ")]

    job = {"dribblers": [a_target() for _ in range(50)], "bomb": a_target(), "picture": str(bomb)}
    command = [sys.executable, "-m", "tests.support.hostile_clients", stack.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as clients:
        assert clients.stdin
        assert clients.stdout
        clients.stdin.write(json.dumps(job) + "\n")
        clients.stdin.flush()
        assert clients.stdout.readline() == "sending\n"
        yield clients
        clients.stdin.close()
        assert clients.wait(120) == 0
