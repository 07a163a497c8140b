"""The decoder keeper: the process that starts decoders. `Keeper` is its handle in the process that takes uploads.

It starts before that process gives up root and before that process reads a byte of a client. So it can give decoders
another uid, and their memory never had a secret in it. It has loaded what decoders need and forks them. It takes two
commands, `start` and `kill`, and ends with the process that started it; the decoders end with it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict

from gig_service.images import confinement
from gig_service.images.confinement import Limits
from gig_service.images.decoder import serve, warm_up

# Loading the decoder's modules takes a second on a busy machine; a fork takes milliseconds.
START_SECONDS = 60
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from gig_service.images.keeper import main; main()"
_START, _KILL = b"s", b"k"
_COMMAND = struct.Struct("!ci")
_PID = struct.Struct("!i")


class KeeperLost(Exception):
    """The keeper has ended, and its decoders with it."""


class Keeper:
    """The keeper process, which starts with this object."""

    def __init__(self, limits: Limits) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._connection = ours
        ours.settimeout(START_SECONDS)
        modules = [os.path.abspath(path) for path in sys.path if path]  # noqa: PTH100  # links stay as they are
        arguments = [json.dumps(modules), str(theirs.fileno()), str(os.getpid()), json.dumps(asdict(limits))]
        with theirs:
            # An empty environment; -I: no folder of the user's, no setting from the environment.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _BOOT, *arguments],
                env={},
                cwd="/",
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # A signal to the whole service is not for the decoders: uploads are finished first.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        return self._process.pid

    def start_decoder(self) -> tuple[int, socket.socket]:
        """Start a decoder; return its process id and the socket to it. Raises KeeperLost."""
        try:
            with self._lock:
                self._connection.send(_COMMAND.pack(_START, 0))
                message, files, _, _ = socket.recv_fds(self._connection, _PID.size, 1)
        except OSError as error:
            raise KeeperLost from error
        if not files:
            raise KeeperLost
        return _PID.unpack(message)[0], socket.socket(fileno=files[0])

    def kill(self, pid: int) -> None:
        """Kill a decoder, which this process may have no right to do itself."""
        with suppress(OSError):
            self._connection.send(_COMMAND.pack(_KILL, pid))

    def stop(self) -> None:
        """End the keeper and all decoders."""
        self._connection.close()
        self._process.wait()


def main() -> None:
    """Keep decoders until the other end closes the connection. Arguments: sys.path, socket, parent, limits."""
    connection = socket.socket(fileno=int(sys.argv[2]))
    parent, limits = int(sys.argv[3]), Limits(**json.loads(sys.argv[4]))
    confinement.die_with(parent)
    confinement.prepare()
    warm_up()
    decoders: set[int] = set()
    while True:
        # The pause is how long a dead decoder remains as a zombie.
        readable, _, _ = select.select([connection], [], [], 1)
        _reap(decoders)
        if not readable:
            continue
        message = connection.recv(_COMMAND.size)
        if not message:
            break
        command, pid = _COMMAND.unpack(message)
        if command == _START:
            decoders.add(_start(connection, limits))
        elif pid in decoders:
            os.kill(pid, signal.SIGKILL)
    for pid in decoders:
        os.kill(pid, signal.SIGKILL)


def _reap(decoders: set[int]) -> None:
    for pid in list(decoders):
        if os.waitpid(pid, os.WNOHANG)[0]:
            decoders.discard(pid)


def _start(connection: socket.socket, limits: Limits) -> int:
    """Fork a decoder, send its process id and the socket to it, and return its id."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        with suppress(BaseException):
            ours.close()
            connection.close()
            # Logs are not for a decoder to write.
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(nothing, number)
            os.close(nothing)
            serve(theirs, confinement.confine(limits, keeper))
            status = 0
        os._exit(status)
    with ours, theirs:
        socket.send_fds(connection, [_PID.pack(pid)], [ours.fileno()])
    return pid
