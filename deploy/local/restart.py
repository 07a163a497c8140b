"""Restart of a service's processes, one after the other, beside a running stack: `make restart`."""

import contextlib
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local import envoy_admin, internal_tls
from deploy.local.control import ControlError, ProcessState, process_states, signal_process, start_process
from deploy.local.internal_tls import server_identity
from deploy.local.layout import Layout
from deploy.local.output import say
from deploy.local.ports import Ports
from deploy.local.settings import StackSettings
from deploy.local.supervise import SERVICE_STOP_SECONDS

_HEALTHY_SECONDS = 60.0
_POLL_SECONDS = 0.1


class InterruptedRestartError(Exception):
    """Ctrl-C was pressed."""


class RestartError(Exception):
    """A process did not come back; the text says which, and where its log is."""


@dataclass(frozen=True)
class _Addresses:
    """Where a process serves gRPC (host:port), whether over TLS, and the port of Envoy's admin page."""

    rpc: str
    tls: bool
    envoy_admin: int

    @property
    def port(self) -> int:
        return int(self.rpc.rpartition(":")[2])


def restart(settings: StackSettings, service: str) -> int:
    """Restart each process of a service and wait until the edge sends it requests again, before the next one.

    Return 1 when no stack is running or a process does not come back; the processes after it then stay as they are.
    """
    layout = Layout.of(settings.data_dir)
    states = process_states(layout.supervisor_socket)
    if states is None:
        say(f"no stack is running on {settings.data_dir}")
        return 1
    # Not as KeyboardInterrupt, which gRPC can lose.
    interrupted = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        for process in states:
            if process.name.startswith(f"{service}-"):
                _restart_and_report(layout, process, interrupted)
    except (RestartError, ControlError) as error:
        say(f"FAILED: {error}")
        return 1
    except InterruptedRestartError:
        say("Interrupted. supervisord keeps every process running.")
        return 1
    return 0


def _restart_and_report(layout: Layout, process: ProcessState, interrupted: threading.Event) -> None:
    began = time.monotonic()
    say(f"{process.name:<12} stopping process {process.pid}")
    pid = _restart_process(layout, process, interrupted)
    say(f"{process.name:<12} is healthy as process {pid}, after {time.monotonic() - began:.1f} s")


def _restart_process(layout: Layout, process: ProcessState, interrupted: threading.Event) -> int:
    """Restart one process and return its new pid. Raises RestartError, ControlError and InterruptedRestartError."""
    supervisor = layout.supervisor_socket
    # supervisord starts a process again that has ended. So it comes back even if this command is interrupted.
    if process.pid:
        signal_process(supervisor, process, "TERM")
    else:
        start_process(supervisor, process)
    kill_at = time.monotonic() + SERVICE_STOP_SECONDS
    deadline = time.monotonic() + _HEALTHY_SECONDS
    while time.monotonic() < deadline:
        if interrupted.wait(_POLL_SECONDS):
            raise InterruptedRestartError
        pid = _current_pid(supervisor, process.name)
        if pid and pid == process.pid and time.monotonic() > kill_at:
            with contextlib.suppress(ControlError):  # it may have ended meanwhile
                signal_process(supervisor, process, "KILL")
        elif pid not in (0, process.pid) and _is_healthy(layout, process.name, pid):
            return pid
    raise RestartError(
        f"{process.name} is not healthy after {_HEALTHY_SECONDS:.0f} s; its log is {layout.log(process.name)}"
    )


def _current_pid(supervisor_socket: Path, name: str) -> int:
    """Return the process's pid, or 0 while it is down or supervisord does not answer."""
    return next((process.pid for process in process_states(supervisor_socket) or [] if process.name == name), 0)


def _is_healthy(layout: Layout, name: str, pid: int) -> bool:
    """Return whether the process itself answers that it serves, and Envoy knows."""
    addresses = _addresses(pid)
    if addresses is None or not _serves(layout, name, addresses):
        return False
    return addresses.port in (envoy_admin.healthy_upstreams(addresses.envoy_admin) or set())


def _addresses(pid: int) -> _Addresses | None:
    """Return the addresses in the process's own environment, so that no PORT is needed; `None` while it starts."""
    try:
        environment = psutil.Process(pid).environ()
        listen, tls = environment["LISTEN"], environment.get("INTERNAL_TLS") != "off"
        return _Addresses(listen, tls, Ports.admin_beside(int(listen.rpartition(":")[2])))
    except (psutil.Error, KeyError):
        return None


def _serves(layout: Layout, name: str, addresses: _Addresses) -> bool:
    with internal_tls.channel(layout, addresses.rpc, server_identity(name), tls=addresses.tls) as channel:
        try:
            response = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)
