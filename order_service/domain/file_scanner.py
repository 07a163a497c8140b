"""Which scanner looks at files: the forms of `FILE_SCANNER`."""

from __future__ import annotations

import shlex
from typing import NamedTuple

_COMMAND = "command:"


class Command(NamedTuple):
    """A command that reads a file from its standard input; it ends with 0 for a good one, and 1 for a harmful one."""

    words: tuple[str, ...]


class Clamd(NamedTuple):
    """A server that speaks clamd's protocol: the path of its socket, or its host and port."""

    path: str = ""
    host: str = ""
    port: int = 0


def scanner_of(text: str) -> Command | Clamd | None:
    """Return the scanner that the setting names; None for none. Raises ValueError."""
    if not text:
        return None
    if text.startswith(_COMMAND):
        words = tuple(shlex.split(text.removeprefix(_COMMAND)))
        if not words:
            raise ValueError("names no command")
        return Command(words)
    if text.startswith("/"):
        return Clamd(path=text)
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("is neither the path of a socket, nor host:port, nor command:…")
    return Clamd(host=host.strip("[]"), port=int(port))


def check_scanner(text: str) -> str:
    """Return the setting as it is. Raises ValueError."""
    scanner_of(text)
    return text
