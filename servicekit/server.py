"""A service's process from start to end: settings, migrations, gRPC with health, reflection and channelz, drain."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from grpc_channelz.v1 import channelz, channelz_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from servicekit import logs, metrics
from servicekit.database import Database
from servicekit.idempotency import IdempotencyKeys
from servicekit.identity import (
    SERVICE_AUDIENCE,
    SERVICE_ISSUER,
    SERVICE_ROLES,
    USER_ROLES,
    FileJwks,
    Issuer,
    ServiceTokens,
    Verifier,
    jwks_from,
)
from servicekit.methods import Method
from servicekit.migrations import migrate_when_reachable
from servicekit.pipeline import Pipeline
from servicekit.settings import ServiceSettings

# How long those who ask for the health of a worker take to see that it is going down: Envoy's interval, and a bit.
HEALTH_INTERVAL_SECONDS = 1.2

CHANNELZ_NAME = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name

OPTIONS = [
    # A second start on a taken port fails instead of sharing it.
    ("grpc.so_reuseport", 0),
    ("grpc.enable_channelz", 1),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_metadata_size", 32 * 1024),
    ("grpc.absolute_max_metadata_size", 64 * 1024),
    # Below every client's keepalive, or they are sent away for pinging too much.
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.keepalive_permit_without_calls", 1),
]


class Background(Protocol):
    """Work beside the calls, such as an outbox's relay."""

    def start(self) -> None:
        """Begins, in threads of its own."""
        ...

    def stop(self) -> None:
        """Ends within a second or two."""
        ...


@dataclass(frozen=True)
class ServiceSpec:
    """A service's own part of its process."""

    servicer: object
    descriptor: ServiceDescriptor
    # The generated `add_…Servicer_to_server`.
    register: Callable[[Any, Any], None]
    background: Sequence[Background] = field(default=())
    # Of a service with RPCs that take idempotency keys.
    keys: IdempotencyKeys | None = None


def verifier_for(settings: ServiceSettings) -> Verifier:
    """Believes people's tokens and the services' own, as the settings say."""
    people = Issuer(settings.user_jwt_issuer, settings.user_jwt_audience, jwks_from(settings.user_jwks), USER_ROLES)
    services = Issuer(SERVICE_ISSUER, SERVICE_AUDIENCE, FileJwks(settings.service_jwks), SERVICE_ROLES)
    return Verifier([people, services])


def service_tokens(settings: ServiceSettings, service: str) -> ServiceTokens:
    """What this service calls others with."""
    return ServiceTokens(settings.service_signing_key.read_text(), service)


def prepare(settings: ServiceSettings, database_url: str, migrations: Path, stop: threading.Event) -> Database | None:
    """What comes before serving: logs, signals (SIGTERM and SIGINT set `stop`), and the database, brought up to date.

    None when `stop` was set before the database answered.
    """
    logs.configure(settings.log_level, settings.log_format, worker=settings.worker)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    database = Database(database_url)
    return database if migrate_when_reachable(database, migrations, stop) else None


def fail_to_listen(settings: ServiceSettings) -> NoReturn:
    """Ends the process with status 1."""
    structlog.get_logger().error("the address is taken", listen=settings.listen)
    sys.exit(1)


def run(
    settings: ServiceSettings,
    database_url: str,
    migrations: Path,
    build: Callable[[Database], ServiceSpec],
    others: Sequence[tuple[Database, Path]] = (),
) -> None:
    """Serves until SIGTERM or SIGINT, then drains. Ends the process with status 1 when it cannot serve.

    `others` are further databases to be brought up to date, with the folders of their migrations. Raises ValueError
    when an RPC takes idempotency keys and nobody keeps them.
    """
    stop = threading.Event()
    database = prepare(settings, database_url, migrations, stop)
    if database is None or not all(migrate_when_reachable(*other, stop) for other in others):
        return
    log = structlog.get_logger()
    served = build(database)
    server = _serve(settings, served)
    if server is None:
        fail_to_listen(settings)
    background = [*served.background, *([served.keys.sweeper()] if served.keys else [])]
    for work in background:
        work.start()
    log.info("serving", listen=settings.listen)
    stop.wait()
    log.info("draining")
    server.drain()
    for work in background:
        work.stop()
    log.info("stopped")


class _Server:
    def __init__(self, server: grpc.Server, grace: float, health_of_all: health.HealthServicer) -> None:
        self._server = server
        self._grace = grace
        self._health = health_of_all

    def drain(self) -> None:
        """Is no longer healthy first, so that nobody sends new calls; then finishes those under way."""
        self._health.enter_graceful_shutdown()
        threading.Event().wait(HEALTH_INTERVAL_SECONDS)
        self._server.stop(self._grace).wait()


def _serve(settings: ServiceSettings, served: ServiceSpec) -> _Server | None:
    """Starts to serve; None when the address is taken."""
    server = grpc.server(
        ThreadPoolExecutor(settings.rpc_threads, thread_name_prefix="rpc"),
        options=OPTIONS,
        maximum_concurrent_rpcs=settings.max_concurrent_rpcs,
    )
    if served.keys is None and any(Method.of(method).takes_key for method in served.descriptor.methods):
        raise ValueError(f"{served.descriptor.full_name} takes idempotency keys, and nobody keeps them")
    pipeline = Pipeline(verifier_for(settings), served.keys)
    served.register(pipeline.around(served.servicer, served.descriptor), server)
    health_of_all = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_of_all, server)
    add_tools(served, server)
    try:
        server.add_insecure_port(settings.listen)
    except RuntimeError:
        return None
    serve_metrics(settings)
    server.start()
    for name in ("", served.descriptor.full_name):
        health_of_all.set(name, health_pb2.HealthCheckResponse.SERVING)
    return _Server(server, settings.shutdown_grace_seconds, health_of_all)


def add_tools(served: ServiceSpec, server: Any) -> None:
    """Reflection and channelz, for people who look into a server of grpc or grpc.aio."""
    names = (served.descriptor.full_name, health.SERVICE_NAME, CHANNELZ_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    channelz.add_channelz_servicer(server)


def serve_metrics(settings: ServiceSettings) -> None:
    """Serves `/metrics` where the settings say."""
    host, _, port = settings.metrics_listen.rpartition(":")
    metrics.serve(host, int(port), settings.worker)
