"""`python -m benchmarks.get_gig`: the CPU of a direct GetGig, as a ratio to that of an empty grpcio handler.

A worker of GigService, with a PostgreSQL of the benchmark's own, one that keeps no pages ready, and a server with an
empty handler take the same calls in turn, from h2load (Debian's `nghttp2-client`). `--against` names another checkout,
whose worker takes them too.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from tests.support.eventually import eventually
from tests.support.folders import temporary_folder
from tests.support.gigs import Gigs, prices
from tests.support.identity import USER_AUDIENCE, USER_ISSUER, jwks_file
from tests.support.ports import free_ports
from tests.support.postgres import ROOT, PostgresServer, url_of

BOUND = 2.0
METHOD = "/marketplace.gig.v1.GigService/GetGig"
CONNECTIONS, STREAMS = 2, 8


class Target:
    """A server under load. `used` has the microseconds of CPU that each of its calls has taken, by round."""

    def __init__(
        self, name: str, port: int, process: subprocess.Popen[bytes], request: Path, database: str = ""
    ) -> None:
        self.name = name
        self._port = port
        self._request = request
        self.used: list[float] = []
        self.of_database: list[float] = []
        self._process = psutil.Process(process.pid)
        self._database = database

    def load(self, calls: int) -> None:
        """Take so many calls."""
        before = self._seconds()
        sent = subprocess.run(
            [
                *("h2load", "-n", str(calls), "-c", str(CONNECTIONS), "-m", str(STREAMS), "-d", str(self._request)),
                *("-H", "content-type: application/grpc", "-H", "te: trailers", "-H", "grpc-timeout: 15S"),
                *("-H", "x-request-id: 0195d0a3-7cc0-7a2e-bb5f-5b1b3c0a9a11"),
                f"http://127.0.0.1:{self._port}{METHOD}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        if not re.search(rf"\b{calls} succeeded", sent.stdout):
            raise RuntimeError(sent.stdout)
        after = self._seconds()
        for used, first, last in zip((self.used, self.of_database), before, after, strict=True):
            used.append((last - first) / calls * 1e6)

    def _seconds(self) -> tuple[float, float]:
        return _cpu(self._process), sum(map(_cpu, _backends(self._database))) if self._database else 0.0


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _backends(database: str) -> Iterator[psutil.Process]:
    """Yield PostgreSQL's processes that serve a database."""
    for process in psutil.process_iter(["cmdline"]):
        if f" {database} " in " ".join(process.info["cmdline"] or []):
            yield process


def serve_empty(port: int) -> None:
    """Serve GetGig with an empty response until this process is killed."""

    def respond(request: gig_pb2.GetGigRequest, context: grpc.ServicerContext) -> gig_pb2.GetGigResponse:
        return gig_pb2.GetGigResponse()

    handler = grpc.unary_unary_rpc_method_handler(
        respond, gig_pb2.GetGigRequest.FromString, gig_pb2.GetGigResponse.SerializeToString
    )
    server = grpc.server(ThreadPoolExecutor(4))
    # Any: its types do not know the method that generated code calls.
    registered: Any = server
    registered.add_registered_method_handlers("marketplace.gig.v1.GigService", {"GetGig": handler})
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


@contextmanager
def running(command: list[str], checkout: Path, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of a checkout for the block, with its output in a file."""
    paths = {"PYTHONPATH": os.pathsep.join((str(checkout), str(checkout / "generated")))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=checkout,
            env={**os.environ, **paths, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def worker(name: str, checkout: Path, database: Database, request: Path, ready_pages_mib: int) -> Iterator[Target]:
    """Run a worker of GigService for the block, as the stack does."""
    port, metrics_port = free_ports(2)
    folder = request.parent
    log = folder / f"{name}.log"
    settings = {
        "LISTEN": f"127.0.0.1:{port}",
        "METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
        "GIG_DATABASE_URL": url_of(database),
        "MEDIA_DIR": str(folder),
        "MEDIA_URL": "http://127.0.0.1:8080/media",
        "USER_JWKS": str(jwks_file(folder, "user")),
        "USER_JWT_ISSUER": USER_ISSUER,
        "USER_JWT_AUDIENCE": USER_AUDIENCE,
        "SERVICE_JWKS": str(jwks_file(folder, "service")),
        "WORKER": name,
        "INTERNAL_TLS": "off",
        "READY_PAGES_MIB": str(ready_pages_mib),
    }
    with running(["-m", "gig_service"], checkout, log, **settings) as process:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)

            def is_healthy() -> bool:
                if process.poll() is not None:
                    raise RuntimeError(log.read_text())
                try:
                    status = health.Check(health_pb2.HealthCheckRequest(), timeout=2).status
                except grpc.RpcError:
                    return False
                return bool(status == health_pb2.HealthCheckResponse.SERVING)

            eventually(is_healthy, 30)
        yield Target(name, port, process, request, database.peewee.connection().info.dbname)


@contextmanager
def empty(request: Path) -> Iterator[Target]:
    """Run a server with an empty handler for the block."""
    (port,) = free_ports(1)
    log = request.with_name("empty.log")
    with running(["-m", "benchmarks.get_gig", "--serve-empty", str(port)], ROOT, log) as process:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(30)
        yield Target("empty", port, process, request)


def write_request(database: Database, path: Path) -> Path:
    """Store a gig with three packages and two images, and write the body of a request for its page. Return `path`."""
    gigs = Gigs(database)
    gig_id = gigs.create(packages=prices(500, 1200, 2500))
    gigs.add_images(gig_id, 2)
    message = gig_pb2.GetGigRequest(gig_id=gig_id).SerializeToString()
    path.write_bytes(struct.pack(">BI", 0, len(message)) + message)
    return path


def compare(targets: list[Target], rounds: int, calls: int) -> None:
    """Load the targets in turn, once to warm up."""
    for number in range(rounds + 1):
        for target in targets if number % 2 else reversed(targets):
            target.load(calls)
    for target in targets:
        del target.used[0], target.of_database[0]


def report(targets: list[Target]) -> float:
    """Print the medians, and return the ratio of the first target to the last one."""
    medians = {target.name: statistics.median(target.used) for target in targets}
    for target in targets:
        own, database = medians[target.name], statistics.median(target.of_database)
        ratio = own / medians["empty"]
        print(f"{target.name:<9} {own:6.0f} µs a call, PostgreSQL {database:5.0f} µs; {ratio:.2f} of an empty handler")
    return medians[targets[0].name] / medians["empty"]


def main() -> int:
    """Run the benchmark. Return 0 when the ratio is within its bound."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=2000, help="calls of each server in a round")
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    parser.add_argument("--serve-empty", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_empty:
        serve_empty(arguments.serve_empty)
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(temporary_folder()))
        # A worker that root starts gives up root, and reads its keys afterwards.
        folder.chmod(0o755)
        server = PostgresServer()
        cleanup.callback(server.stop)
        server.start()
        workers = {"worker": (ROOT, 16), "not ready": (ROOT, 0)}
        if arguments.against:
            workers["against"] = (arguments.against.resolve(), 16)
        targets = []
        for name, (checkout, ready_pages_mib) in workers.items():
            database = Database(server.fresh("gig"))
            cleanup.callback(database.close)
            request = write_request(database, folder / f"{name}.request")
            targets.append(cleanup.enter_context(worker(name, checkout, database, request, ready_pages_mib)))
        targets.append(cleanup.enter_context(empty(request)))
        compare(targets, arguments.rounds, arguments.calls)
        ratio = report(targets)
    print("within the bound" if ratio <= BOUND else f"above the bound of {BOUND}")
    return int(ratio > BOUND)


if __name__ == "__main__":
    sys.exit(main())
