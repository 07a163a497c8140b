"""Which addresses a host has. A name is looked up in a thread of its own, because nothing else ends a slow look-up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

# The addresses of a host, for connections to this port. Raises OSError.
Lookup = Callable[[str, int], list[str]]


class Unresolvable(Exception):
    """The host has no address, or its name servers do not answer in time."""


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a host by the system's resolver, the ones to try first in front. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


@dataclass
class Resolver:
    """Resolves hosts, waiting for a limited time."""

    lookup: Lookup = field(default=look_up)

    def addresses(self, host: str, port: int, seconds: float) -> list[str]:
        """Return the addresses of a host. Raises Unresolvable without any, and after `seconds`."""
        found: list[str] = []

        def run() -> None:
            # UnicodeError is what Python's resolver raises for a name that is none.
            try:
                found.extend(self.lookup(host, port))
            except (OSError, UnicodeError):
                return

        thread = threading.Thread(target=run, name="look up", daemon=True)
        thread.start()
        thread.join(seconds)
        if thread.is_alive() or not found:
            raise Unresolvable
        return list(found)
