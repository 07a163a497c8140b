"""TLS between Envoy and the services of a running stack: nothing is in plain text, and all certificates can change."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.internal_tls import IDENTITIES
from servicekit.authority import Authority
from servicekit.internal_tls import PRIVATE_KEY, InternalTlsError, read
from tests.support.authority import write_identity
from tests.support.eventually import eventually
from tests.support.stack import ROOT, Stack, stack_command
from tests.support.story import Market
from tests.support.workers import Worker

SECONDS = 60
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)


def first_bytes(port: int, sent: bytes) -> bytes:
    """Return what a server answers to bytes in plain text."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(sent)
            return connection.recv(100)
        except ConnectionError:
            return b""


def test_no_port_of_a_service_speaks_grpc_in_plain_text(stack: Stack) -> None:
    metrics = set()
    for name, process in stack.processes().items():
        if name not in stack.targets():
            continue
        for each in process.net_connections("tcp"):
            if each.status != psutil.CONN_LISTEN:
                continue
            # An alert of TLS, or nothing; HTTP/2 would begin with its settings, a frame of type 4.
            answer = first_bytes(each.laddr.port, PREFACE)
            assert answer[3:4] != b"\x04" or answer.startswith(b"\x15"), (name, each.laddr, answer)
            if first_bytes(each.laddr.port, b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").startswith(b"HTTP/1."):
                metrics.add(each.laddr.port)
    ports = {worker.host_and_port[1] for worker in stack.targets().values()}
    assert len(metrics) == len(ports)
    assert not metrics & ports


def test_a_worker_takes_no_client_without_a_certificate(stack: Stack) -> None:
    for name, worker in stack.targets().items():
        with Worker(worker.address).channel() as plain, pytest.raises(grpc.RpcError) as refused:
            health_pb2_grpc.HealthStub(plain).Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE, name


def test_the_metrics_of_a_process_say_when_its_certificate_ends(stack: Stack) -> None:
    page = httpx.get(f"http://127.0.0.1:{stack.ports.metrics('order', 0)}/metrics").text

    (end,) = re.findall(r'^marketplace_certificate_end_seconds{identity="order"} (\S+)$', page, re.MULTILINE)
    assert float(end) == read(stack.layout.tls / "order", "order").ends.timestamp()


@pytest.mark.skipif("os.geteuid() != 0", reason="only root can give its processes other users")
def test_a_service_cannot_read_the_key_of_another(stack: Stack) -> None:
    program = "import sys; from servicekit.privileges import drop; drop(sys.argv[1])\n"
    program += "for path in sys.argv[2:]:\n try: open(path).close(); print(path)\n except PermissionError: pass"
    keys = [stack.layout.tls / identity / PRIVATE_KEY for identity in (*IDENTITIES, "developer")]
    keys.append(stack.layout.tls / "authority" / "ca.key")

    readable = {}
    for service, user in (("gig", "65530:65530"), ("order", "65531:65530"), ("edge", "65533:65533")):
        read = subprocess.run(
            [sys.executable, "-c", program, user, *map(str, keys)], capture_output=True, text=True, check=True, cwd=ROOT
        )
        readable[service] = {Path(line).parent.name for line in read.stdout.splitlines()}

    assert readable == {"gig": {"gig", "gig-images"}, "order": {"order", "order-events"}, "edge": {"edge"}}


class Given:
    """A folder of certificates that this test's authority signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.new()
        self.write(self.authority.pem)

    def write(self, trusted: bytes) -> None:
        """Give every identity a new certificate, and these authorities."""
        for identity in IDENTITIES:
            write_identity(self.folder, self.authority, identity, trusted=trusted)

    def wait_until_taken(self, stack: Stack) -> None:
        """Wait until the stack has copied all files; its processes look at them a second later."""

        def is_taken() -> bool:
            pairs = ((read(self.folder / each, each), read(stack.layout.tls / each, each)) for each in IDENTITIES)
            try:
                return all((a.certificate, a.authorities) == (b.certificate, b.authorities) for a, b in pairs)
            except InternalTlsError:
                # The files of a folder are copied one after the other.
                return False

        eventually(is_taken, SECONDS)
        threading.Event().wait(2)


@contextmanager
def reading(client: httpx.Client, path: str) -> Iterator[list[int]]:
    """Read a path again and again during the block. Yields the statuses."""
    statuses: list[int] = []
    stop = threading.Event()

    def read_on() -> None:
        while not stop.is_set():
            statuses.append(client.get(path).status_code)

    thread = threading.Thread(target=read_on)
    thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        thread.join()


@pytest.mark.alone
def test_all_certificates_and_the_authority_change_under_load_and_no_request_fails(tmp_path: Path) -> None:
    given = Given(tmp_path / "given")
    stack = Stack(INTERNAL_TLS_FOLDER=str(given.folder))
    try:
        market = Market.of(stack.start())
        gig = market.gig()
        with (
            reading(market.anyone, f"/api/gigs/{gig['id']}") as statuses,
            market.buyer.stream("GET", "/api/watch", timeout=SECONDS) as watch,
        ):
            old, new = given.authority, Authority.new()
            given.write(old.pem + new.pem)
            given.wait_until_taken(stack)
            given.authority = new
            given.write(old.pem + new.pem)
            given.wait_until_taken(stack)
            given.write(new.pem)
            given.wait_until_taken(stack)
            # All connections to these workers begin anew, with the new certificates alone.
            restarted = make_restart(stack, "gig")
            assert restarted.returncode == 0, restarted.stdout + restarted.stderr
            # A service calls another one, and the watch from before is told.
            order = market.order(gig)
            assert any(order in line for line in watch.iter_lines() if line.startswith("data:"))
        assert set(statuses) == {200}
        folder = write_identity(tmp_path / "old", old, "edge", trusted=new.pem)
        with Worker(stack.targets()["gig-0"].address, "gig", folder).channel() as late, pytest.raises(grpc.RpcError):
            health_pb2_grpc.HealthStub(late).Check(health_pb2.HealthCheckRequest(), timeout=5)
    finally:
        stack.stop()


def make_restart(stack: Stack, service: str) -> subprocess.CompletedProcess[str]:
    """Restart the processes of a service as `make restart` does."""
    return stack_command(stack.data_dir, "restart", "--service", service)
