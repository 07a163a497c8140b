"""Asking a running supervisord how its processes are (XML-RPC over its Unix socket)."""

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


def process_states(supervisor_socket: Path) -> list[ProcessState] | None:
    """All processes, or `None` while supervisord does not answer.

    Asking has a side effect that we want: supervisord looks after its processes once a second or when spoken to, so
    that whoever asks more often gets a dead one back sooner.
    """
    server = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_UnixTransport(supervisor_socket))
    try:
        answer: Any = server.supervisor.getAllProcessInfo()
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return None
    return [
        ProcessState(info["name"], info["pid"], info["statename"], info["spawnerr"] or info["description"])
        for info in answer
    ]
