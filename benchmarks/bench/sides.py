"""The sides of a comparison: the product's edge, the peers and the limits, each with its address and processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import jinja2
import psutil

from benchmarks.bench import processes
from deploy.local.postgres import database_url
from deploy.local.supervise import envoy_program
from edge import signing_keys
from edge.settings import EdgeSettings
from servicekit.settings import ServiceSettings
from tests.support.ports import free_ports
from tests.support.stack import ROOT, UNLIMITED_WRITES, Stack

# As `make run` starts it, where a stack of tests is different. For the stack an empty variable is one that is not set.
AS_RUN = {
    "EDGE_CACHE": "on",
    "EDGE_LATE_SECONDS": str(EdgeSettings.model_fields["edge_late_seconds"].default),
    "RPC_QUEUE_SECONDS": str(ServiceSettings.model_fields["rpc_queue_seconds"].default),
    **dict.fromkeys(("GIG_WORKERS", "ORDER_WORKERS", "REVIEW_WORKERS"), ""),
}
# All load comes from one address, so what a client's address may do is no part of what is measured.
ONE_ADDRESS = {**UNLIMITED_WRITES, "EDGE_REQUESTS_PER_ADDRESS": "100000", "EDGE_CONNECTIONS_PER_ADDRESS": "100000"}
# One worker is called directly, by programs without a certificate. The benchmark internal_tls has the cost of TLS.
SETTINGS = {**AS_RUN, **ONE_ADDRESS, "INTERNAL_TLS": "off"}
START_SECONDS = 30
POOL = 8
DIRECT = Path(__file__).parents[1] / "peers" / "direct.yaml.j2"
# A short timeout: all is on this machine.
TIMEOUT = 10
NO_CACHE = {"cache-control": "no-cache"}


@dataclass(frozen=True)
class Side:
    """What is loaded: `about` says how it is set up."""

    name: str
    url: str
    groups: processes.Groups
    about: str = ""
    database: str = ""

    @property
    def port(self) -> int:
        """The port of the address."""
        return int(self.url.rsplit(":", 1)[1])


def edge(stack: Stack) -> Side:
    """Return the product's edge."""
    return Side("product", stack.url, processes.of_stack(stack), "REST, Envoy, Python gRPC", "")


def worker(stack: Stack) -> Side:
    """Return the first worker of GigService, called directly."""
    process = stack.processes()["gig-0"]
    url = f"http://127.0.0.1:{stack.ports.rpc('gig', 0)}"
    return Side("GigService", url, processes.of_peer("GigService", process, stack), "one worker, called by gRPC")


def gig_url(stack: Stack) -> str:
    """Return the URL of the gigs database."""
    return database_url(stack.layout, "gigs")


@contextmanager
def fastapi(name: str, module: str, workers: int, stack: Stack, **settings: str) -> Iterator[Side]:
    """Run a FastAPI application with so many processes of uvicorn."""
    [port] = free_ports(1)
    environment = {
        "PEER_DATABASE_URL": gig_url(stack),
        "PEER_MEDIA_URL": f"{stack.url}/media",
        "PEER_POOL": str(POOL),
        **{f"PEER_{key.upper()}": value for key, value in settings.items()},
    }
    options = ["--port", str(port), "--workers", str(workers), "--loop", "uvloop", "--http", "httptools"]
    quiet = ["--no-access-log", "--log-level", "warning"]
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.peers.{module}:app", *options, *quiet]
    about = f"{workers} processes of uvicorn (uvloop, httptools), {POOL} connections each"
    with _running(command, environment, port) as process:
        yield Side(name, f"http://127.0.0.1:{port}", processes.of_peer(name, process, stack), about)


@contextmanager
def orders(stack: Stack) -> Iterator[Side]:
    """Run the peer that places orders, on a database of its own."""
    settings = {
        "database_url": database_url(stack.layout, "peer_orders"),
        "jwks": str(signing_keys.user_key(stack.data_dir).jwks),
        "issuer": signing_keys.USER_ISSUER,
        "audience": signing_keys.USER_AUDIENCE,
    }
    with fastapi("FastAPI + SQLAlchemy", "orders", 1, stack, **settings) as side:
        yield side


@contextmanager
def direct(stack: Stack, bodies: Mapping[str, str]) -> Iterator[Side]:
    """Run an Envoy that answers by itself, with as many threads as the stack's.

    `bodies` are by the beginnings of paths; the first that fits is sent.
    """
    [port] = free_ports(1)
    template = jinja2.Template(DIRECT.read_text())
    threads = threads_of_envoy(stack)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(template.render(port=port, bodies=bodies))
        config.flush()
        options = ["--concurrency", str(threads), "--disable-hot-restart", "--log-level", "error"]
        command = [str(envoy_program()), "-c", config.name, *options]
        with _running(command, {}, port) as process:
            groups: Mapping[str, list[psutil.Process]] = {"Envoy": [process]}
            yield Side("Envoy's direct response", f"http://127.0.0.1:{port}", lambda: groups, f"{threads} threads")


@contextmanager
def empty_rpc(stack: Stack, method: str) -> Iterator[Side]:
    """Run a grpcio server with a handler that does nothing."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "benchmarks.peers.empty_rpc", str(port), method]
    with _running(command, {}, port) as process:
        groups = {"grpcio": [process]}
        yield Side("empty grpcio handler", f"http://127.0.0.1:{port}", lambda: groups, "one process, four threads")


def threads_of_envoy(stack: Stack) -> int:
    """Return the number of Envoy's worker threads in a stack."""
    stats = httpx.get(f"http://127.0.0.1:{stack.ports.envoy_admin}/server_info", timeout=TIMEOUT).json()
    return int(stats["command_line_options"]["concurrency"])


@contextmanager
def _running(command: list[str], environment: dict[str, str], port: int) -> Iterator[psutil.Process]:
    """Run a program until the end of the block, from when its port takes connections."""
    inherited = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}
    with tempfile.TemporaryFile("w+") as output:
        started = subprocess.Popen(
            command, cwd=ROOT, env=inherited | environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _await_port(port, started)
            yield psutil.Process(started.pid)
        except TimeoutError:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command[1:4])} does not listen: {output.read()[-1000:]}") from None
        finally:
            started.terminate()
            try:
                started.wait(10)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError
