"""Calls to a running supervisord (XML-RPC over its Unix socket)."""

import http.client
import socket
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class ProcessState:
    """A process of the stack as supervisord sees it; `pid` is 0 while it is down."""

    name: str
    pid: int
    state: str
    description: str
    # The name that supervisord's calls take.
    full_name: str


class ControlError(Exception):
    """Supervisord did not carry out a call; the text is its own."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _UnixConnection(self._path)


def _call(supervisor_socket: Path, method: str, *arguments: object) -> Any:
    server = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_UnixTransport(supervisor_socket))
    try:
        return getattr(server, method)(*arguments)
    except xmlrpc.client.Fault as fault:
        raise ControlError(fault.faultString) from fault
    except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
        raise ControlError(str(error)) from error


def process_states(supervisor_socket: Path) -> list[ProcessState] | None:
    """Return the state of each process, or `None` while supervisord does not answer.

    The call has a useful side effect: supervisord checks its processes once a second and at every call, so frequent
    calls make it restart a dead process sooner.
    """
    try:
        answer = _call(supervisor_socket, "supervisor.getAllProcessInfo")
    except ControlError:
        return None
    return [
        ProcessState(
            info["name"],
            info["pid"],
            info["statename"],
            info["spawnerr"] or info["description"],
            f"{info['group']}:{info['name']}",
        )
        for info in answer
    ]


def signal_process(supervisor_socket: Path, process: ProcessState, signal_name: str) -> None:
    """Send a signal, such as `TERM`, to a process. Raises ControlError."""
    _call(supervisor_socket, "supervisor.signalProcess", process.full_name, signal_name)


def stop_process(supervisor_socket: Path, process: ProcessState) -> None:
    """Stop a process, without waiting for it; it stays down until it is started. Raises ControlError."""
    _call(supervisor_socket, "supervisor.stopProcess", process.full_name, False)


def start_process(supervisor_socket: Path, process: ProcessState) -> None:
    """Start a process that is down, without waiting for it. Raises ControlError."""
    _call(supervisor_socket, "supervisor.startProcess", process.full_name, False)


def begin_takeover(supervisor_socket: Path) -> tuple[int, int]:
    """Start an Envoy that takes over from the running one. Return its pid and its epoch. Raises ControlError."""
    pid, epoch = _call(supervisor_socket, "edge.begin")
    return pid, epoch


def complete_takeover(supervisor_socket: Path) -> bool:
    """Make the new Envoy supervisord's. Return whether it was still there. Raises ControlError."""
    return bool(_call(supervisor_socket, "edge.complete"))
