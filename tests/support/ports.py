"""The one place that hands out TCP ports to tests.

A process of tests claims whole blocks of 50 ports, the ones of `deploy.local.ports`, by a lock on a file that all runs
on this machine share. So neither two workers of one run nor two runs beside each other get the same port. All ports
lie below 32768, where Linux begins to choose ports for outgoing connections by itself.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from deploy.local.ports import DEFAULT_EDGE_PORT, Ports

_BLOCKS = 397
# For each block there is exactly one PORT from here on, above all blocks.
_FIRST_EDGE_PORT = 30_000
# Open until the process ends, and with them the locks.
_claims: list[IO[str]] = []
_single_ports: Iterator[int] = iter(())


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that this process alone is given, each of them once."""
    return [_next_port() for _ in range(count)]


def stack_port() -> int:
    """Return a `PORT` for a stack; the block that follows from it belongs to this process alone."""
    folder = Path(tempfile.gettempdir()) / f"marketplace-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for number in random.sample(range(_BLOCKS), _BLOCKS):
        claim = (folder / str(number)).open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.close()
            continue
        _claims.append(claim)
        ports = Ports(_FIRST_EDGE_PORT + (number - _FIRST_EDGE_PORT + DEFAULT_EDGE_PORT) % _BLOCKS)
        if all(_is_free(port) for port in (ports.edge, *ports.block)):
            return ports.edge
    raise RuntimeError("no block of ports is free")


def _next_port() -> int:
    global _single_ports
    port = next(_single_ports, None)
    if port is None:
        _single_ports = iter(Ports(stack_port()).block)
        return _next_port()
    return port


def _is_free(port: int) -> bool:
    """Whether nobody listens there; some other program may, which knows nothing of the locks."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
