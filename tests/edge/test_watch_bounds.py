"""What bounds watches: their number by address, what a client costs that does not read, the end of the edge."""

from __future__ import annotations

import ctypes
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from typing import Any

import hpack
import httpx
import psutil
import pytest
from hyperframe.frame import RstStreamFrame, SettingsFrame

from deploy.local import envoy_admin
from servicekit.server import OPTIONS
from tests.support.edge import Edge, an_edge, assert_refused, free_ports, get, read_response
from tests.support.eventually import eventually
from tests.support.http2 import PREFACE, headers_frames
from tests.support.streaming_upstream import StreamingWorker
from tests.support.streams import Watcher

WATCH = "/api/watch"
# The error code of HTTP/2.
CANCEL = 8
# Of Linux: a program for a socket's packets, and its instruction that returns how many bytes of one are kept.
SO_ATTACH_FILTER = 26
BPF_RETURN = 0x06
MIB = 1024 * 1024
# What Envoy's buffers and windows on the way of one stream may hold.
UNREAD_MIB = 1


@pytest.fixture
def worker() -> Iterator[StreamingWorker]:
    """Start a process with many streams, which are silent after their first event."""
    [port] = free_ports(1)
    worker = StreamingWorker(port, pause=3600)
    try:
        yield worker
    finally:
        worker.kill()


def an_edge_before(worker: StreamingWorker, **changes: Any) -> AbstractContextManager[Edge]:
    """Return an edge whose watches go to the worker."""
    return an_edge(event_service_addresses=f"127.0.0.1:{worker.port}", **changes)


def first_status(edge: Edge, source: str, path: str = WATCH) -> tuple[int, socket.socket]:
    """Open a watch from an address of loopback. Return its status and its connection."""
    connection = socket.create_connection(("127.0.0.1", edge.port), timeout=10, source_address=(source, 0))
    connection.sendall(get(path, f"Authorization: Bearer {edge.token()}"))
    return read_response(connection).status_code, connection


def test_watches_of_an_address_are_counted_apart_from_its_requests(worker: StreamingWorker) -> None:
    # Envoy has two threads in these tests, and each counts for itself.
    with an_edge_before(worker, edge_watches_per_address=3, edge_requests_per_address=1) as edge:
        opened = [first_status(edge, "127.0.0.2") for _ in range(20)]
        statuses = [status for status, _ in opened]

        assert 3 <= statuses.count(200) <= 6
        assert statuses.count(429) == 20 - statuses.count(200)
        assert worker.open_streams() == statuses.count(200)
        # Neither requests of the same address nor watches of another one are in their way.
        for source, path in (("127.0.0.2", "/api/categories"), ("127.0.0.3", WATCH)):
            status, connection = first_status(edge, source, path)
            assert status == 200
            connection.close()
        for _, connection in opened:
            connection.close()
        eventually(lambda: worker.open_streams() == 0)

        def is_taken_again() -> bool:
            status, connection = first_status(edge, "127.0.0.2")
            connection.close()
            return status == 200

        eventually(is_taken_again)


def test_one_watch_too_many_is_told_to_come_back(worker: StreamingWorker) -> None:
    with an_edge_before(worker, edge_watches_per_address=1) as edge:
        watchers = [Watcher(edge, WATCH) for _ in range(2)]
        for each in watchers:
            each.read_until(b"\r\n\r\n")
        for _ in range(4):
            response = edge.raw(get(WATCH, f"Authorization: Bearer {edge.token()}"))
            if response.status_code == 429:
                break

        assert_refused(response, 429, "RATE_LIMITED")


def test_a_client_that_goes_away_ends_its_call_at_once(worker: StreamingWorker) -> None:
    with an_edge_before(worker) as edge:
        for version in ("1.0", "1.1"):
            watcher = Watcher(edge, WATCH, version=version)
            watcher.read_until(b"data: {}")
            assert worker.open_streams() == 1

            watcher.close()

            eventually(lambda: worker.open_streams() == 0, 2)

        with closing(socket.create_connection(("127.0.0.1", edge.port), timeout=10)) as connection:
            names = {":method": "GET", ":scheme": "http", ":authority": "edge", ":path": WATCH}
            headers = list({**names, "authorization": f"Bearer {edge.token()}"}.items())
            connection.sendall(PREFACE + SettingsFrame(0).serialize())
            connection.sendall(headers_frames(hpack.Encoder(), 1, headers, end=True))
            eventually(lambda: worker.open_streams() == 1)

            connection.sendall(RstStreamFrame(1, error_code=CANCEL).serialize())

            eventually(lambda: worker.open_streams() == 0, 2)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_that_does_not_read_costs_little_and_is_ended(worker: StreamingWorker, version: str) -> None:
    with an_edge_before(worker, edge_watch_idle_seconds=2) as edge:
        envoy = psutil.Process(edge.pid)
        flooded = []
        before = envoy.memory_info().rss
        for _ in range(20):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", edge.port))
            headers = [f"Authorization: Bearer {edge.token()}", "Last-Event-ID: flood"]
            connection.sendall(get(WATCH, *headers, version=version))
            flooded.append(connection)
        eventually(lambda: worker.open_streams() == 20)
        time.sleep(1)
        others = [edge.raw(get("/api/categories")).status_code for _ in range(50)]
        grown = envoy.memory_info().rss - before

        assert others == [200] * 50
        assert grown < 20 * UNREAD_MIB * MIB
        # Nothing has passed for two seconds.
        eventually(lambda: worker.open_streams() == 0, 10)
        for connection in flooded:
            connection.close()


def vanish(connection: socket.socket) -> None:
    """Have the kernel drop all that comes for a connection, as if the machine were gone: no acknowledgement, no end."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RETURN, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def test_a_client_that_has_vanished_is_gone_though_the_service_goes_on_sending() -> None:
    [port] = free_ports(1)
    worker = StreamingWorker(port, pause=0.2)
    try:
        with an_edge_before(worker, edge_stream_seconds=2) as edge:
            watchers = [Watcher(edge, WATCH) for _ in range(2)]
            for each in watchers:
                each.read_until(b"data: {}")

            vanish(watchers[0].socket)

            eventually(lambda: worker.open_streams() == 1, 20)
            assert not watchers[1].is_closed()
    finally:
        worker.kill()


def test_watches_do_not_hold_up_the_edges_end(worker: StreamingWorker) -> None:
    with an_edge_before(worker) as edge:
        admin = edge.settings.envoy_admin_port
        watchers = [Watcher(edge, WATCH) for _ in range(5)]
        for each in watchers:
            each.read_until(b"data: {}")
        post = (f"Authorization: Bearer {edge.token()}", "Content-Type: application/json", "Content-Length: 2")
        with closing(socket.create_connection(("127.0.0.1", edge.port), timeout=10)) as writer:
            writer.sendall(get("/api/gigs", *post, method="POST"))
            eventually(lambda: envoy_admin.active_requests(admin) > 0)
            writer.sendall(b"{}")
            read_response(writer)

        envoy_admin.drain(admin)

        eventually(lambda: envoy_admin.active_requests(admin) == 0)
        # They are still served until Envoy ends.
        assert not any(each.is_closed() for each in watchers)


def test_a_connection_to_a_worker_has_no_more_calls_than_the_worker_takes() -> None:
    with an_edge() as edge:
        config = (edge.folder / "envoy.yaml").read_text()

    clusters = config[config.index("  clusters:") :]
    for service in ("event", "file", "gig", "image", "order", "review"):
        cluster = clusters.partition(f"  - name: {service}\n")[2].partition("  - name: ")[0]
        assert f"max_concurrent_streams: {dict(OPTIONS)['grpc.max_concurrent_streams']}\n" in cluster


@pytest.mark.timeout(180)
def test_a_thousand_watches_begin_at_once_and_all_go_on(worker: StreamingWorker) -> None:
    with an_edge_before(worker, edge_streams_per_connection=100) as edge:
        eventually(lambda: httpx.get(edge.url + WATCH + "?x=1", headers=edge.bearer()).status_code == 400)
        sources = [f"127.0.{number // 250}.{number % 250 + 2}" for number in range(1000)]
        connections = []
        for source in sources:
            connection = socket.create_connection(("127.0.0.1", edge.port), timeout=60, source_address=(source, 0))
            connection.sendall(get(WATCH, f"Authorization: Bearer {edge.token()}"))
            connections.append(connection)

        assert {read_response(connection).status_code for connection in connections} == {200}
        assert worker.open_streams() == 1000
        for connection in connections:
            connection.close()
        eventually(lambda: worker.open_streams() == 0)
