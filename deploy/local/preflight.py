"""The checks before a start, each with a remedy. `make doctor` prints all of them."""

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from deploy.local import certificate, internal_tls, postgres
from deploy.local.layout import Layout
from deploy.local.lock import PreflightError, data_folder, describe
from deploy.local.ports import Ports
from deploy.local.reach import users
from deploy.local.restore_mark import restore_mark
from deploy.local.settings import StackSettings
from deploy.local.supervise import envoy_program
from edge.tls import TlsError
from servicekit.internal_tls import InternalTlsError

_FREE_MIB = 512


@dataclass(frozen=True)
class Check:
    """One check: `run` returns its result in words and raises PreflightError when the stack cannot start."""

    name: str
    run: Callable[[], str]


def checks(settings: StackSettings, layout: Layout) -> list[Check]:
    """Return the checks in their order; later ones may rely on earlier ones."""
    return [
        Check("data folder", lambda: data_folder(layout)),
        Check("restore", lambda: _restore(layout)),
        Check("disk", lambda: _disk(layout)),
        Check("PostgreSQL", lambda: _postgres(settings, layout)),
        Check("Envoy", _envoy),
        Check("TLS", lambda: _tls(settings)),
        Check("inner TLS", lambda: _internal_tls(settings)),
        Check("users", lambda: _users(settings, layout)),
        Check("ports", lambda: _ports(settings)),
    ]


def _restore(layout: Layout) -> str:
    if restore_mark(layout).exists():
        raise PreflightError(
            f"a restore into {layout.data_dir} was interrupted. Run `make restore` again, which begins it anew, or "
            "remove the folder"
        )
    return "none is unfinished"


def _disk(layout: Layout) -> str:
    free = shutil.disk_usage(layout.data_dir).free // 2**20
    if free < _FREE_MIB:
        raise PreflightError(
            f"only {free} MiB are free where {layout.data_dir} lies, {_FREE_MIB} are needed. Make room, or choose "
            "another folder: make run DATA_DIR=..."
        )
    return f"{free / 1024:.0f} GiB free"


def _postgres(settings: StackSettings, layout: Layout) -> str:
    if not settings.embedded_postgres:
        return "not needed, every database is another server's"
    version = _version([str(postgres.programs() / "postgres"), "--version"], "PostgreSQL")
    try:
        identity = postgres.identity_for(layout, [settings.archive] if settings.archive else [])
    except OSError as error:
        raise PreflightError(str(error)) from error
    return f"{version}, under uid {identity.uid}"


def _envoy() -> str:
    return _version([str(envoy_program()), "--version"], "Envoy").split("version:")[-1].strip()


def _tls(settings: StackSettings) -> str:
    try:
        return certificate.check(settings)
    except TlsError as error:
        raise PreflightError(str(error)) from error


def _internal_tls(settings: StackSettings) -> str:
    try:
        return internal_tls.check(settings)
    except InternalTlsError as error:
        raise PreflightError(f"INTERNAL_TLS_FOLDER: {error}") from error


def _users(settings: StackSettings, layout: Layout) -> str:
    try:
        return users(settings, layout)
    except (OSError, ValueError) as error:
        raise PreflightError(str(error)) from error


def _version(command: list[str], name: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or error
        raise PreflightError(
            f"{name} does not run on this machine ({str(detail).strip()}). It needs Linux with glibc; if it is broken, "
            "remove .venv and run `make run` again"
        ) from error


def _ports(settings: StackSettings) -> str:
    used = settings.ports.used(settings.workers, traces=settings.traces == "on")
    for port, purpose in used.items():
        host = settings.edge_host if port == settings.port else "127.0.0.1"
        problem = _listen_problem(host, port)
        if problem == errno.EADDRINUSE:
            other = _free_edge_port(settings)
            raise PreflightError(
                f"port {port} ({purpose}) is taken by {describe(_listener(port))}. Stop that, or choose another PORT, "
                f"from which all ports follow: make run PORT={other}"
            )
        if problem == errno.EACCES:
            raise PreflightError(
                f"port {port} ({purpose}) is for root alone. Choose one above 1023: make run PORT=8080"
            )
        if problem is not None:
            raise PreflightError(
                f"nothing can listen on {host}, port {port} ({purpose}): {os.strerror(problem)}. "
                "EDGE_HOST must be an address of this machine"
            )
    inside = settings.ports.block
    return f"{settings.port} and {len(used) - 1} of {inside.start} to {inside.stop - 1} are free"


def _listen_problem(host: str, port: int) -> int | None:
    """Return the errno with which listening there fails; `None` when it works."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do, so that old connections of a stack that has just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.errno
    return None


def _free_edge_port(settings: StackSettings) -> int:
    for port in range(settings.port + 10, 65536, 10):
        ports = Ports(port)
        if not ports.collides_with_itself and all(
            _listen_problem("127.0.0.1", each) is None
            for each in ports.used(settings.workers, traces=settings.traces == "on")
        ):
            return port
    return settings.port


def _listener(port: int) -> int | None:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    listening = ((each.laddr, each.pid) for each in connections if each.status == psutil.CONN_LISTEN)
    return next((pid for address, pid in listening if address and address.port == port), None)
