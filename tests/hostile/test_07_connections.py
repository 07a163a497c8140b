"""A client of a worker's own port that floods its connections is bounded, and others do not notice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import grpc
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
from grpc_health.v1 import health_pb2

from tests.support.bystanders import bystanders
from tests.support.eventually import eventually
from tests.support.memory import peak_mib, reset_peaks
from tests.support.rpc_floods import SEARCH, check_health
from tests.support.stack import Stack
from tests.support.workers import Worker

pytestmark = pytest.mark.alone

WORKER = "gig-0"
MORE_MIB = 400


@pytest.fixture
def attacked(stack: Stack) -> Iterator[Worker]:
    """Yield a worker, and require others to be served and the worker to stay within its memory."""
    reset_peaks(stack)
    before = peak_mib(stack)[WORKER]
    address = stack.targets()[WORKER]
    with bystanders(stack) as others:
        yield address
        # The attack's last connections may still be closing.
        eventually(lambda: is_healthy(address))
        # The others go on for a while after the attack.
        time.sleep(1)
    others.require_served()
    assert peak_mib(stack)[WORKER] - before < MORE_MIB


def is_healthy(address: Worker) -> bool:
    try:
        return bool(check_health(address) == health_pb2.HealthCheckResponse.SERVING)
    except grpc.RpcError:
        return False


class Raw:
    """A connection of HTTP/2 on which a test does as it likes."""

    def __init__(self, worker: Worker) -> None:
        self.socket = worker.connect()
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.http2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.http2.data_to_send())

    def open(self, **more: str) -> int:
        """Begin a call. Returns its stream."""
        stream: int = self.http2.get_next_available_stream_id()
        headers = {":method": "POST", ":scheme": "http", ":path": SEARCH, ":authority": "worker", "te": "trailers"}
        headers |= {"content-type": "application/grpc"} | {
            name.replace("_", "-"): value for name, value in more.items()
        }
        self.http2.send_headers(stream, list(headers.items()))
        return stream

    def agree(self) -> Raw:
        """Wait for the server's limits and acknowledge them."""
        events: list[h2.events.Event] = []
        while not any(isinstance(event, h2.events.RemoteSettingsChanged) for event in events):
            events += self.http2.receive_data(self.socket.recv(65536))
        self.flush()
        return self

    def events(self) -> list[h2.events.Event]:
        """Return what the server sends until a second passes without anything, or it closes the connection."""
        self.socket.settimeout(1)
        found: list[h2.events.Event] = []
        # The library refuses frames that come after the end of a connection.
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            while received := self.socket.recv(65536):
                found += self.http2.receive_data(received)
                self.flush()
        return found

    def is_ended(self) -> bool:
        """Return whether the server ends the connection soon; its last words may be lost with it.

        Before it would for another reason: settings that the client has not acknowledged.
        """
        self.socket.settimeout(2)
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True


def trailers(events: list[h2.events.Event]) -> dict[str, str]:
    """Return the headers and trailers of all responses."""
    kinds = (h2.events.ResponseReceived, h2.events.TrailersReceived)
    pairs = [pair for event in events if isinstance(event, kinds) for pair in event.headers or ()]
    return {bytes(name).decode(): bytes(value).decode() for name, value in pairs}


def test_a_flood_of_pings_ends_its_connection(attacked: Worker) -> None:
    connection = Raw(attacked)
    with contextlib.suppress(OSError):
        for _ in range(1000):
            connection.http2.ping(b"12345678")
            connection.flush()

    assert connection.is_ended()


def test_a_connection_that_does_not_acknowledge_the_limits_is_closed(attacked: Worker) -> None:
    connection = Raw(attacked)
    connection.socket.settimeout(20)

    with contextlib.suppress(ConnectionError):
        while connection.socket.recv(65536):
            pass


def test_metadata_that_is_too_large_is_refused(attacked: Worker) -> None:
    connection = Raw(attacked).agree()
    stream = connection.open(x_large="x" * 15_000, x_larger="y" * 15_000, x_largest="z" * 40_000)
    connection.http2.send_data(stream, bytes(5), end_stream=True)
    connection.flush()

    # RESOURCE_EXHAUSTED
    assert trailers(connection.events())["grpc-status"] == "8"


def test_a_request_that_is_too_large_is_refused_by_its_first_bytes(attacked: Worker) -> None:
    connection = Raw(attacked)
    stream = connection.open()
    connection.http2.send_data(stream, b"\x00" + (64 << 20).to_bytes(4, "big"))
    connection.flush()

    assert trailers(connection.events())["grpc-status"] == "8"


def test_requests_that_never_end_are_bounded(attacked: Worker) -> None:
    connections = [Raw(attacked).agree() for _ in range(10)]
    for connection in connections:
        for _ in range(60):
            stream = connection.open()
            connection.http2.send_data(stream, b"\x00" + (2_000_000).to_bytes(4, "big"))
        connection.flush()
    ended = 0
    for connection in connections:
        for event in connection.events():
            ended += isinstance(event, h2.events.StreamEnded | h2.events.StreamReset)
            if isinstance(event, h2.events.WindowUpdated) and event.stream_id:
                with contextlib.suppress(h2.exceptions.H2Error, OSError):
                    connection.http2.send_data(event.stream_id, b"x" * min(event.delta, 16_000))
        with contextlib.suppress(OSError):
            connection.flush()

    assert ended >= 600 - 128


def test_streams_that_are_reset_at_once_hold_up_nobody(attacked: Worker) -> None:
    connection = Raw(attacked)
    with contextlib.suppress(OSError, h2.exceptions.H2Error):
        for _ in range(5000):
            connection.http2.reset_stream(connection.open())
            connection.flush()


def test_a_thousand_connections_are_more_than_a_worker_takes(attacked: Worker) -> None:
    connections = []
    refused = 0
    for _ in range(1000):
        try:
            connections.append(Raw(attacked))
        except OSError:
            refused += 1
    closed = refused
    for connection in connections:
        connection.socket.settimeout(0.001)
        try:
            while connection.socket.recv(65536):
                pass
            closed += 1
        except TimeoutError:
            pass
        except OSError:
            closed += 1

    assert closed >= 1000 - 512
    for connection in connections:
        connection.socket.close()
