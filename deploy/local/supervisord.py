"""`python -m deploy.local.supervisord -c FILE`: supervisord, which has the services' libraries loaded.

It forks the services' processes from itself. So they start without reading the libraries, which takes most of a start,
and share the memory of the libraries. The code of the services themselves is read anew by each process, so a restarted
process has the newest. Every other program is executed, as supervisord does it. docs/adr/0041 says why.

It also bounds the logs, which the processes write themselves.
"""

import atexit
import contextlib
import gc
import importlib
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.supervisord import Supervisor

from deploy.local import launch, log_rotation, takeover
from servicekit import linux, privileges

# Libraries that processes of all services use, or those of one with many processes. None of them may start a thread,
# open a connection or draw a random number when it is imported: each process would get the same.
LIBRARIES = (
    "Stemmer",
    "asyncio",
    "concurrent.futures.thread",
    "cryptography.fernet",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.rsa",
    "cryptography.hazmat.primitives.serialization",
    "cryptography.x509",
    "google.api.annotations_pb2",
    "google.api.httpbody_pb2",
    "google.protobuf.field_mask_pb2",
    "google.protobuf.json_format",
    "google.protobuf.struct_pb2",
    "google.protobuf.timestamp_pb2",
    "google.rpc.code_pb2",
    "google.rpc.error_details_pb2",
    "google.rpc.status_pb2",
    "grpc._interceptor",
    "grpc._server",
    "grpc.aio",
    "grpc_channelz.v1.channelz",
    "grpc_health.v1.health_pb2_grpc",
    "grpc_reflection.v1alpha.reflection",
    "http.server",
    "jwt",
    "orjson",
    "peewee",
    "playhouse.migrations",
    "playhouse.postgres_ext",
    "prometheus_client",
    "protovalidate",
    "psycopg2.extras",
    "psycopg2.pool",
    "pydantic_settings",
    "standardwebhooks",
    "structlog",
    "urllib.request",
    "urllib3",
    "uuid_utils.compat",
)
_OWN = frozenset(("deploy", "edge", "servicekit"))


_paths: dict[str, tuple[str, ...]] = {}


def preload() -> None:
    """Load the services' libraries."""
    for name in LIBRARIES:
        importlib.import_module(name)
    _paths.update(privileges.paths_of_modules())
    # A collection writes into each object that it looks at, and a page that is written to is no longer shared.
    gc.collect()
    gc.freeze()


class ForkingOptions(ServerOptions):  # type: ignore[misc]
    """The call by which a process that supervisord has forked becomes a program."""

    def execve(self, filename: str, argv: list[str], env: Mapping[str, str]) -> NoReturn:
        """Become the program: a process of a service by its module, everything else by its file. Raises OSError."""
        if argv[-2] != "-m" or not argv[-1].partition(".")[0].endswith("_service"):
            os.execve(filename, takeover.numbered(argv, os.getpid()), env)
        command = launch.prepare(argv[argv.index(launch.__file__) + 1 :])
        try:
            linux.show_command(command.words, command.environment)
        except OSError:
            # `make restart` and others read the environment of a process in /proc.
            os.execve(*command)
        _run(command)


def _run(command: launch.Command) -> NoReturn:
    """Run a command `python -m MODULE` in this process, and end the process as Python does."""
    _forget_supervisord()
    os.environ.clear()
    os.environ.update(command.environment)
    module = command.words[-1]
    sys.argv = [module]
    importlib.import_module(privileges.__name__).note_paths(_paths)
    status = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(end.code + "\n")
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
    os._exit(status)


def _forget_supervisord() -> None:
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Modules of our own are read anew.
    for name in list(sys.modules):
        if name.partition(".")[0] in _OWN:
            del sys.modules[name]


class RotatingSupervisor(Supervisor):  # type: ignore[misc]
    """Supervisord, which bounds the logs that its processes write, and clears up after Envoy."""

    _next_rotation = 0.0
    edge: takeover.Takeover

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.envoys: set[int] = set()

    def tick(self, now: float | None = None) -> None:
        """Do what is to be done about once a second. Supervisord calls this at least as often."""
        super().tick(now)
        if time.monotonic() < self._next_rotation:
            return
        self._next_rotation = time.monotonic() + 1.0
        self.edge.remember(self.envoys)
        self.edge.end_late_ones()
        for group in self.options.process_group_configs:
            for process in group.process_configs:
                with contextlib.suppress(OSError):
                    log_rotation.rotate(Path(process.stdout_logfile))


def main() -> None:
    """Load the libraries, wait for a line on stdin, and run supervisord until it is told to stop.

    The line says that FILE is there. Without one, the process that has started this has given up.
    """
    preload()
    if not sys.stdin.readline():
        return
    options: Any = ForkingOptions()
    options.realize(sys.argv[1:], doc=__doc__)
    options.first, options.test = True, False
    supervisor = RotatingSupervisor(options)
    with contextlib.suppress(ExitNow):
        supervisor.main()
    takeover.remove_shared_memory(supervisor.envoys)
    options.close_httpservers()
    options.close_logger()


if __name__ == "__main__":
    main()
