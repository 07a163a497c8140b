"""One seller's uploads, however many, slow or costly, leave others theirs."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests.fuzz import Options
from tests.fuzz.pictures import fuzz
from tests.support.bystanders import bystanders
from tests.support.costly_pictures import scans
from tests.support.memory import peak_mib, reset_peaks
from tests.support.stack import Stack
from tests.support.story import Market, ok
from tests.support.uploads import a_jpeg, upload

pytestmark = pytest.mark.alone

DRIBBLERS = 205
PAUSE = 0.25


@contextmanager
def dribbling(stack: Stack, market: Market, count: int = DRIBBLERS) -> Iterator[list[bytes]]:
    """Have one seller begin this many uploads that never end. Yield the answers, which grow meanwhile."""
    gig = market.gig()["id"]
    head = (
        f"POST /api/gigs/{gig}/images HTTP/1.1\r\nHost: edge\r\nContent-Type: image/jpeg\r\n"
        f"Authorization: {market.seller.headers['authorization']}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    connections = []
    for _ in range(count):
        try:
            connection = socket.create_connection(("127.0.0.1", stack.ports.edge), timeout=10)
            connection.sendall(head.encode() + b"3\r\n\xff\xd8\xff\r\n")
        except OSError:  # the edge bounds connections as well
            continue
        connection.setblocking(False)
        connections.append(connection)
    answers: list[bytes] = []
    over = threading.Event()

    def dribble() -> None:
        open_ones = list(connections)
        while not over.wait(PAUSE):
            for connection in list(open_ones):
                try:
                    connection.send(b"1\r\nx\r\n")
                    answer = connection.recv(65_536)
                except BlockingIOError:
                    continue
                except OSError:
                    answer = b""
                answers.append(answer)
                open_ones.remove(connection)

    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()
        for connection in connections:
            connection.close()


@contextmanager
def uploading_costly(market: Market, at_once: int = 6) -> Iterator[Counter[int]]:
    """Have one seller upload pictures of 400 and of 4,000 scans again and again. Yield the answers by status."""
    files = [scans(400), scans(4_000)]
    gigs = [market.gig()["id"] for _ in range(at_once)]
    statuses: Counter[int] = Counter()
    over = threading.Event()

    def repeat(number: int) -> None:
        while not over.is_set():
            headers = dict(market.seller.headers)
            with httpx.Client(base_url=market.seller.base_url, headers=headers, timeout=120) as client:
                statuses[upload(client, gigs[number], files[number % 2]).status_code] += 1
            over.wait(PAUSE)

    with ThreadPoolExecutor(at_once) as pool:
        for number in range(at_once):
            pool.submit(repeat, number)
        try:
            yield statuses
        finally:
            over.set()


def test_a_seller_with_205_dribbling_and_costly_uploads_leaves_others_theirs(stack: Stack) -> None:
    attacker, victim = Market.of(stack), Market.of(stack)
    gig = victim.gig()["id"]
    reset_peaks(stack)

    with (
        bystanders(stack) as others,
        dribbling(stack, attacker) as dribblers,
        uploading_costly(Market.of(stack)) as costly,
    ):
        time.sleep(2)
        for _ in range(3):
            ok(upload(victim.seller, gig, a_jpeg()), 201)

    others.require_served()
    # All but a few of the slow ones are told to come back, and costly ones are refused for what they are.
    assert all(answer.startswith(b"HTTP/1.1 429") for answer in dribblers if answer), Counter(dribblers)
    assert len(dribblers) >= 5
    assert set(costly) <= {400, 429}, costly
    assert costly[400] > 0
    assert peak_mib(stack)["gig-images"] < 300


def test_an_eleventh_upload_at_once_is_429_with_retry_after(stack: Stack) -> None:
    market = Market.of(stack)
    gig = market.gig()["id"]

    with dribbling(stack, market, 10):
        time.sleep(1)
        answer = upload(market.seller, gig, a_jpeg())

    assert ok(answer, 429)["code"] == "RATE_LIMITED"
    assert int(answer.headers["retry-after"]) >= 1


def test_mutated_pictures_are_refused_or_clean(stack: Stack) -> None:
    result = fuzz(stack, Options(seed=15, inputs=250, seconds=100))

    assert result.faults == []
    assert result.inputs >= 25
