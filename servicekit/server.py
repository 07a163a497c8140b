"""A service's process from start to end: logs, migrations, gRPC with health and tools, draining."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

import grpc
import grpc.aio
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from servicekit import logs, metrics, privileges, probes, tools
from servicekit.call import Caller
from servicekit.call_pool import CallPool
from servicekit.database import Database
from servicekit.erased_users import ErasedUsers
from servicekit.health import Health
from servicekit.idempotency import IdempotencyKeys
from servicekit.identity import (
    SERVICE_AUDIENCE,
    SERVICE_ISSUER,
    SERVICE_ROLES,
    USER_ROLES,
    Issuer,
    ServiceTokens,
    Verifier,
)
from servicekit.internal_tls import CONNECTION_SECONDS, InternalTlsError, Peers, peer_of, server_credentials
from servicekit.jwks import FileJwks, jwks_from
from servicekit.methods import Method
from servicekit.migrations import migrate_when_reachable
from servicekit.outside import OutsidePool
from servicekit.pipeline import LastCall, Pipeline
from servicekit.settings import CallingSettings, ServiceSettings
from servicekit.signal_event import SignalEvent
from servicekit.spans import spans
from servicekit.wal_archive_watch import WalArchiveWatch

# A worker that stops takes calls until its clients know that it is unhealthy: for an interval of Envoy's health checks
# and a bit, and longer while a check is late or calls still come, as on a busy machine. A call that comes after its
# stop is cancelled, even on a connection that was open before.
HEALTH_INTERVAL_SECONDS = 1.2
LATEST_CHECK_SECONDS = 8.0
# No call has come for so long when a worker stops.
QUIET_SECONDS = 0.3

OPTIONS = [
    # A second start on a taken port fails instead of sharing it.
    ("grpc.so_reuseport", 0),
    # A JSON body of 1 MiB, which is the most that the edge takes, and the fields of its path. A message of this size
    # takes up to 40 times as much memory once it is parsed: see docs/security.md.
    ("grpc.max_receive_message_length", 1024 * 1024 + 64 * 1024),
    # Envoy opens another connection when one is full; the services have fewer threads than that.
    ("grpc.max_concurrent_streams", 256),
    ("grpc.max_allowed_incoming_connections", 512),
    # The limits of a connection hold once its client has acknowledged them; without an end it would have a minute.
    ("grpc.http2.settings_timeout", 5_000),
    # Connections that never speak HTTP/2, and connections without a call. Envoy's have a health check each second.
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.max_metadata_size", 32 * 1024),
    ("grpc.absolute_max_metadata_size", 64 * 1024),
    # Shorter than every client's keepalive time, or the server would disconnect clients for too many pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.keepalive_permit_without_calls", 1),
]


class StopRequest(SignalEvent):
    """Set by SIGTERM and SIGINT. With SIGINT nobody sends calls any more: the edge has ended, or Ctrl-C was pressed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_last = False

    def receive(self, number: int) -> None:
        """Take a signal."""
        self.is_last = self.is_last or number == signal.SIGINT
        self.set()


class Background(Protocol):
    """Work that a worker does beside its calls, such as an outbox's relay."""

    def start(self) -> None:
        """Begin, in threads of its own."""
        ...

    def stop(self) -> None:
        """End within a second or two."""
        ...


@dataclass(frozen=True)
class Service:
    """A gRPC service and its servicer. `register` is the generated `add_…Servicer_to_server`."""

    servicer: object
    descriptor: ServiceDescriptor
    register: Callable[[Any, Any], None]


@dataclass(frozen=True)
class ServiceSpec:
    """Everything that a process gives the bootstrap to serve.

    A service with RPCs that take idempotency keys needs `idempotency_keys`.
    """

    services: Sequence[Service]
    background: Sequence[Background] = field(default=())
    idempotency_keys: IdempotencyKeys | None = None
    # Threads for the handlers that are marked with servicekit.outside.calls_outside.
    outside_threads: int = 0
    # Gets the user of each call; see servicekit.pipeline.
    note_caller: Callable[[Caller], None] | None = None
    # Ends the calls that wait for something to happen, so that the process can stop; for processes on grpc.aio. It is
    # called on the event loop, when clients have seen that the process is unhealthy.
    end_waiting_calls: Callable[[], None] | None = None

    @property
    def names(self) -> list[str]:
        """The full names of the services."""
        return [service.descriptor.full_name for service in self.services]


def verifier_for(settings: ServiceSettings, erased_users: ErasedUsers) -> Verifier:
    """Return the verifier of users' tokens, but for those of erased users, and of the services' own tokens."""
    users = Issuer(settings.user_jwt_issuer, settings.user_jwt_audience, jwks_from(settings.user_jwks), USER_ROLES)
    services = Issuer(SERVICE_ISSUER, SERVICE_AUDIENCE, FileJwks(settings.service_jwks), SERVICE_ROLES)
    return Verifier([users, services], erased_users)


def service_tokens(settings: CallingSettings, service: str) -> ServiceTokens:
    """Return the access tokens with which this service calls others."""
    return ServiceTokens(settings.signing_key, service)


def prepare(settings: ServiceSettings, database_url: str, migrations: Path, stop: StopRequest) -> Database | None:
    """Set up logs and signal handlers, give up root, and migrate the database.

    SIGTERM and SIGINT set `stop`. Returns None when that happens before the database answers.
    """
    logs.configure(settings.log_level, settings.log_format, worker=settings.worker)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stop.receive(number))
    try:
        settings.read_files()
    except InternalTlsError as error:
        structlog.get_logger().error("the certificate cannot be used", reason=str(error))
        sys.exit(1)
    privileges.drop(settings.run_as)
    _start_traces(settings)
    database = Database(database_url, waiting_threads=settings.rpc_threads // 2, own_host=settings.database_own_host)
    return database if migrate_when_reachable(database, migrations, stop) else None


def _start_traces(settings: ServiceSettings) -> None:
    if settings.otel_exporter_otlp_endpoint:
        # Not at the top: a process without traces does without OpenTelemetry's memory.
        from servicekit import tracing

        tracing.start(
            settings.otel_exporter_otlp_endpoint,
            settings.otel_traces_sampler_arg,
            settings.program,
            settings.worker,
        )


def fail_to_listen(settings: ServiceSettings) -> NoReturn:
    """Log that another process listens on the address, and end the process with status 1."""
    structlog.get_logger().error("the address is taken", listen=settings.listen)
    sys.exit(1)


def run(
    settings: ServiceSettings,
    database_url: str,
    migrations: Path,
    build: Callable[[Database], ServiceSpec],
    others: Sequence[tuple[Database, Path]] = (),
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Ends the process with status 1 when the address is taken.

    `others` are further databases to migrate, with the folders of their migrations. Raises ValueError when an RPC takes
    idempotency keys and the spec has none.
    """
    stop = StopRequest()
    database = prepare(settings, database_url, migrations, stop)
    if database is None or not all(migrate_when_reachable(*other, stop) for other in others):
        return
    log = structlog.get_logger()
    spec = build(database)
    erased_users = ErasedUsers(database)
    erased_users.load_when_reachable(stop)
    server = _serve(settings, spec, erased_users)
    if server is None:
        fail_to_listen(settings)
    background = [*spec.background, erased_users.task(), WalArchiveWatch(database)]
    if spec.idempotency_keys:
        background.append(spec.idempotency_keys.sweep_task())
    for task in background:
        task.start()
    log.info("serving", listen=settings.listen)
    stop.wait()
    log.info("draining")
    server.drain(are_calls_over=stop.is_last)
    for task in background:
        task.stop()
    spans().stop()
    log.info("stopped")


class ByteResponses:
    """A server to which generated code adds servicers whose handlers may return bytes: a serialized response."""

    def __init__(self, server: grpc.Server) -> None:
        # Any: its types do not know the method that generated code calls.
        self._server: Any = server

    def add_generic_rpc_handlers(self, _: object) -> None:
        """Do nothing: generated code gives the same handlers by their names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add the handlers of a service."""
        added = {name: handler._replace(response_serializer=_serialize) for name, handler in handlers.items()}
        self._server.add_registered_method_handlers(service, added)


def _serialize(response: Message | bytes) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


def waits_until_known(health: Health, last_call: LastCall, *, are_calls_over: bool) -> Iterator[float]:
    """Yield the seconds to wait, one after the other, until the clients know that the worker is unhealthy."""
    latest = time.monotonic() + LATEST_CHECK_SECONDS
    yield HEALTH_INTERVAL_SECONDS
    while not are_calls_over and time.monotonic() < latest:
        if health.is_known() and last_call.seconds_ago() > QUIET_SECONDS:
            return
        yield 0.05


class _Server:
    def __init__(
        self, server: grpc.Server, probed: grpc.Server | None, grace: float, health: Health, last_call: LastCall
    ) -> None:
        self._server = server
        self._probed = probed
        self._grace = grace
        self._health = health
        self._last_call = last_call

    def drain(self, *, are_calls_over: bool) -> None:
        """Become unhealthy, so that no new calls come; then finish the current ones."""
        self._health.drain()
        for seconds in waits_until_known(self._health, self._last_call, are_calls_over=are_calls_over):
            time.sleep(seconds)
        stopped = self._server.stop(self._grace)
        self._health.end()
        stopped.wait()
        probes.stop(self._probed)


def _serve(settings: ServiceSettings, spec: ServiceSpec, erased_users: ErasedUsers) -> _Server | None:
    """Start to serve. Returns None when the address is taken."""
    # The pools bound the calls. gRPC's own bound would count the streams of tools, and refuse health checks.
    calls = CallPool(settings.rpc_threads, settings.max_concurrent_rpcs, "rpc", settings.rpc_queue_seconds)
    server = grpc.server(calls, options=server_options(settings))
    methods = [Method.of(method) for service in spec.services for method in service.descriptor.methods]
    if spec.idempotency_keys is None and any(method.takes_idempotency_key for method in methods):
        raise ValueError(
            f"an RPC of {', '.join(spec.names)} takes idempotency keys, and the spec has no place for them"
        )
    outside_pool = OutsidePool(spec.outside_threads) if spec.outside_threads else None
    pipeline = Pipeline(
        verifier_for(settings, erased_users),
        spec.idempotency_keys,
        outside_pool,
        peers_of(settings),
        spec.note_caller,
    )
    for service in spec.services:
        service.register(pipeline.around(service.servicer, service.descriptor), ByteResponses(server))
    health = Health(*spec.names)
    health.add_to(server)
    if settings.grpc_tools == "on":
        tools.add_to(server, *spec.names)
    try:
        add_port(server, settings)
        probed = probes.serve(settings.probe_listen, health)
    except RuntimeError:
        return None
    serve_metrics(settings)
    server.start()
    health.serve()
    return _Server(server, probed, settings.shutdown_grace_seconds, health, pipeline.last_call)


def server_options(settings: ServiceSettings) -> list[tuple[str, int]]:
    """Return the options of a worker's gRPC server."""
    options = [*OPTIONS, ("grpc.enable_channelz", int(settings.grpc_tools == "on"))]
    if settings.tls:
        options.append(("grpc.max_connection_age_ms", CONNECTION_SECONDS * 1000))
    return options


def add_port(server: grpc.Server | grpc.aio.Server, settings: ServiceSettings) -> None:
    """Have a server listen on the address of the settings. Raises RuntimeError when it is taken."""
    if settings.tls:
        server.add_secure_port(settings.listen, server_credentials(settings.tls))
    else:
        server.add_insecure_port(settings.listen)


def peers_of(settings: ServiceSettings) -> Peers | None:
    """Return the function that names the client of a call; None with INTERNAL_TLS=off."""
    return peer_of if settings.tls else None


def serve_metrics(settings: ServiceSettings) -> None:
    """Serve `/metrics` on the address of the settings."""
    if tls := settings.tls:
        metrics.CERTIFICATE_END.labels(tls.identity).set_function(lambda: tls.current().ends.timestamp())
    host, _, port = settings.metrics_listen.rpartition(":")
    metrics.serve(host, int(port), settings.worker)
