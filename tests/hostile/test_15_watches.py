"""A client with many watches, which it does not read or opens and leaves without a pause, stops no other client."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from deploy.local.envoy_admin import counters
from tests.support.attackers import connect, connections, statuses
from tests.support.bystanders import bystanders
from tests.support.eventually import eventually
from tests.support.memory import peak_mib, reset_peaks
from tests.support.stack import Stack

pytestmark = pytest.mark.alone

WATCH = "/api/watch"
USERS = 30
# As many as a user may have.
WATCHES_PER_USER = 20
# What the bounds of docs/security.md let an unread watch take.
ENVOY_MIB, SERVICE_MIB = 0.5, 0.1
SECONDS = 4.0


def requests(stack: Stack) -> list[bytes]:
    """Return a watch for each user of the attacker."""
    tokens = [stack.token(f"watcher-{number}", "buyer") for number in range(USERS)]
    return [f"GET {WATCH} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {each}\r\n\r\n".encode() for each in tokens]


def calls_of_events(stack: Stack) -> int:
    """Return the number of calls that Envoy has at the process of watches."""
    name = "cluster.event.upstream_rq_active"
    return counters(stack.ports.envoy_admin, f"^{name}$").get(name, 0)


def test_hundreds_of_watches_that_nobody_reads_stop_nobody(stack: Stack) -> None:
    count = USERS * WATCHES_PER_USER
    reset_peaks(stack)
    before = peak_mib(stack)

    with bystanders(stack) as others, connections(stack, count) as opened:
        watches = requests(stack)
        for number, connection in enumerate(opened):
            connection.sendall(watches[number % USERS])
        assert set(statuses(opened, 30)) == {200}
        with contextlib.closing(connect(stack)) as one_more:
            one_more.sendall(watches[0])
            assert statuses([one_more], 10) == [429]
        time.sleep(SECONDS)
        assert calls_of_events(stack) >= count

    others.require_served()
    after = peak_mib(stack)
    assert after["envoy"] - before["envoy"] < count * ENVOY_MIB
    assert after["order-events"] - before["order-events"] < count * SERVICE_MIB
    eventually(lambda: calls_of_events(stack) == 0)


def test_watches_that_are_opened_and_left_without_a_pause_stop_nobody(stack: Stack) -> None:
    watches, over = requests(stack), threading.Event()
    opened = 0

    def open_and_leave(watch: bytes) -> None:
        nonlocal opened
        while not over.is_set():
            with contextlib.closing(connect(stack)) as connection:
                connection.sendall(watch)
                if statuses([connection], 10) == [200]:
                    opened += 1

    with bystanders(stack) as others:
        attackers = [threading.Thread(target=open_and_leave, args=(watch,)) for watch in watches[:4]]
        for each in attackers:
            each.start()
        time.sleep(SECONDS)
        over.set()
        for each in attackers:
            each.join()

    others.require_served()
    assert opened > 10
    eventually(lambda: calls_of_events(stack) == 0)
