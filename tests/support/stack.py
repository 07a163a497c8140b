"""The whole stack as `make run` starts it, on a port and in a folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local import postgres
from deploy.local.envoy_admin import healthy_upstreams
from deploy.local.internal_tls import server_identity
from deploy.local.layout import Layout
from deploy.local.ports import SERVICES, STREAMING, Ports
from edge import tokens
from servicekit.internal_tls import DEVELOPER
from tests.support.eventually import eventually
from tests.support.folders import temporary_folder
from tests.support.ports import stack_port
from tests.support.workers import Worker

ROOT = Path(__file__).resolve().parents[2]
# How long a start, a response and an end take is the machine's to decide.
START_SECONDS = 120
RESPONSE_SECONDS = 60
COMMAND_SECONDS = 180
# For a stack that gets more writes from one address than a client may send, and more messages than a person does.
UNLIMITED_WRITES: dict[str, Any] = {
    "EDGE_WRITES_PER_MINUTE_PER_ADDRESS": "0",
    "EDGE_WRITES_PER_MINUTE_PER_USER": "0",
    "MESSAGES_PER_MINUTE": "10000",
    "CONVERSATIONS_PER_HOUR": "10000",
}
# A run of tests that is killed takes its stacks with it.
_DIES_WITH_US = (sys.executable, "-I", "-S", str(ROOT / "deploy" / "local" / "launch.py"), "SIGTERM")


class Stack:
    """One stack with so many workers of each service. `client` makes its clients, `token` its users.

    With `certificate`, a file with certificate and key for 127.0.0.1, its edge speaks TLS.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        port: int | None = None,
        *,
        workers: int = 2,
        certificate: Path | None = None,
        **environment: str,
    ) -> None:
        self._folder = None if data_dir else temporary_folder()
        self.data_dir = data_dir or Path(str(self._folder and self._folder.name)) / "data"
        self.ports = Ports(port or stack_port())
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.ports.edge}"
        self.certificate = certificate
        self.layout = Layout.of(self.data_dir)
        self.workers = workers
        tls = {"TLS_CERTIFICATE": str(certificate), "TLS_PRIVATE_KEY": str(certificate)} if certificate else {}
        # Tests write, and read at once without a token.
        defaults = {"EDGE_CACHE": "off", "EDGE_LATE_SECONDS": "0", "RPC_QUEUE_SECONDS": "60"} | {
            f"{service.upper()}_WORKERS": str(workers) for service in SERVICES
        }
        self._environment = defaults | tls | environment
        self.has_internal_tls = (os.environ | environment).get("INTERNAL_TLS") != "off"
        self._process: subprocess.Popen[bytes] | None = None
        self.output = self.data_dir.parent / "output.log"

    def start(self) -> Stack:
        """Start the stack and wait until it says that it is up. Raises RuntimeError with its output when it ends."""
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
            "PORT": str(self.ports.edge),
            "DATA_DIR": str(self.data_dir),
            **self._environment,
        }
        self.output.touch()
        before = len(self.output.read_text())
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*_DIES_WITH_US, sys.executable, "-m", "deploy.local.run"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = self._process

        def is_up() -> bool:
            if "The marketplace is up" in self.output.read_text()[before:]:
                return True
            if process.poll() is not None:
                raise RuntimeError(self.output.read_text())
            return False

        eventually(is_up, START_SECONDS, every=0.05)
        return self

    def signal(self, number: int) -> None:
        """Send a signal to the foreground process."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Wait for the foreground process to end and return its status."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> None:
        """Stop the stack as Ctrl-C does, and remove its folder."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.wait(START_SECONDS)
            finally:
                if self._process.poll() is None:
                    self._process.kill()
        if self._folder:
            self._folder.cleanup()

    def supervisor(self) -> psutil.Process:
        """Return the foreground process."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def processes(self) -> dict[str, psutil.Process]:
        """Return the processes below the foreground process, by names that stay the same over restarts."""
        by_name: dict[str, psutil.Process] = {}
        for process in self.supervisor().children(recursive=True):
            try:
                name = _name_of(process)
            except psutil.Error:
                continue
            if name:
                by_name.setdefault(name, process)
        return by_name

    def wait_until_healthy(self) -> None:
        """Wait until every worker serves and the edge would send requests to it."""
        targets = self.targets()
        for target in targets.values():
            eventually(partial(_serves, target), START_SECONDS, every=0.05)
        expected = {target.host_and_port[1] for target in targets.values()}
        eventually(lambda: healthy_upstreams(self.ports.envoy_admin) == expected, START_SECONDS, every=0.05)

    def healthy_ports(self) -> set[int]:
        """Return the ports of the workers that Envoy sends requests to."""
        return healthy_upstreams(self.ports.envoy_admin) or set()

    def targets(self, identity: str = DEVELOPER) -> dict[str, Worker]:
        """Return the processes that serve gRPC, by their names, as a client with this identity reaches them."""
        ports = {
            f"{service}-{number}": self.ports.rpc(service, number)
            for service in SERVICES
            for number in range(self.workers)
        }
        ports |= {name: self.ports.streaming(service) for service, name in STREAMING.items()}
        folder = self.layout.tls / identity if self.has_internal_tls else None
        return {name: Worker(f"127.0.0.1:{port}", server_identity(name), folder) for name, port in ports.items()}

    def token(self, name: str, *roles: str) -> str:
        """Return a local user's token."""
        return tokens.mint(self.data_dir, name, roles)

    def raw(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send bytes that no client library would. Return the response's status, headers and body."""
        with socket.create_connection(("127.0.0.1", self.ports.edge), timeout=10) as connection:
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        return int(first.split()[1]), headers, body

    def client(self, name: str = "", *roles: str, **options: Any) -> httpx.Client:
        """Return an HTTP client of the edge, signed in where a name is given."""
        headers = {"authorization": f"Bearer {self.token(name, *roles)}"} if name else {}
        if self.certificate:
            options["verify"] = ssl.create_default_context(cafile=self.certificate)
        return httpx.Client(base_url=self.url, headers=headers, timeout=RESPONSE_SECONDS, **options)


def stack_command(
    data_dir: Path, *words: str, module: str = "deploy.local", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m deploy.local` with these words, as `make` does, and return it with its output.

    `PORT` is not set: the folder alone says which stack is meant.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PORT"}
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", "DATA_DIR": str(data_dir)}
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        env={**inherited, **paths, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def create_cluster(layout: Layout) -> None:
    """Let a folder look as if its database had been created."""
    cluster = layout.postgres / postgres.MAJOR_VERSION
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").touch()


def processes_of(data_dir: Path) -> list[str]:
    """Return the command lines of processes that have this folder in them or as their working folder."""
    lines = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline()) + process.cwd()
        except psutil.Error:
            continue
        if str(data_dir) in line and process.pid != os.getpid():
            lines.append(line)
    return lines


def _serves(worker: Worker) -> bool:
    """Whether a worker says that it is healthy."""
    with worker.channel() as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _name_of(process: psutil.Process) -> str:
    """Return `gig-0`, `envoy`, `postmaster` or `backend of gigs`; empty for a process that is no part of the stack."""
    command = process.cmdline()
    worker = process.environ().get("WORKER", "") if "_service" in " ".join(command) else ""
    if worker:
        return worker
    if process.name() == "envoy":
        return "envoy"
    if process.name() == "postgres":
        title = " ".join(command)
        if not title.startswith("postgres:"):
            return "postmaster"
        database = [part for part in title.split() if part in ("gigs", "orders", "reviews")]
        return f"backend of {database[0]}" if database else ""
    return ""
