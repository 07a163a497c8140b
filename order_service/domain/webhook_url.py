"""The rules for the URL of a webhook endpoint. Checks of the addresses that its host has follow at each call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from order_service.domain.addresses import is_public

DEFAULT_PORTS = {"https": 443, "http": 80}
# Printable ASCII, but for what parsers of URLs disagree about.
_CHARACTERS = re.compile(r"[!-~]+")
_AMBIGUOUS = re.compile(r'[\\"<>^`{|}]')
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# Parsers of URLs read such a host as an IPv4 address: `2130706433`, `0x7f.1`.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[0-9]{1,5}")
# Names that never lead to the internet (RFC 6761, 6762, 8375 and ICANN's resolution on `internal`).
_LOCAL_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa")


class BadUrl(ValueError):
    """A URL that breaks a rule. Its text is for the person who has written the URL."""


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a URL that are called. `host` is a name or an IP address (IPv6 without brackets), in lower case."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The header `Host`: the host, with its port when that is not the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address."""
        return _is_address(self.host)


def parse(url: str, *, allow_private: bool) -> Target:
    """Return the parts of a URL. Raises BadUrl.

    With `allow_private` the scheme may be http and the host need not be public.
    """
    if not _CHARACTERS.fullmatch(url) or _AMBIGUOUS.search(url):
        raise BadUrl("must be a URL of ASCII characters; encode others, and write a host's name as `xn--…`")
    if "#" in url:
        raise BadUrl("must not have a fragment")
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in (("https", "http") if allow_private else ("https",)):
        raise BadUrl("must begin with https://")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise BadUrl("must not have a user name or a password")
    host, port = _host_and_port(authority, DEFAULT_PORTS[scheme])
    if not allow_private and not _may_be_public(host):
        raise BadUrl("must have a public host")
    query = rest[len(authority) :]
    target = Target(scheme, host, port, query if query.startswith("/") else f"/{query}")
    _require_one_meaning(url, target)
    return target


def _host_and_port(authority: str, default_port: int) -> tuple[str, int]:
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else rest
        if not bracket or (rest and not rest.startswith(":")) or ":" not in host or not _is_address(host):
            raise BadUrl("must have a host")
    else:
        host, _, port = authority.partition(":")
        host = host.lower().removesuffix(".")
        if not _is_name(host) and not _is_address(host):
            raise BadUrl("must have a host")
    if not port:
        return host.lower(), default_port
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise BadUrl("must have a port from 1 to 65535")
    return host.lower(), int(port)


def _require_one_meaning(url: str, target: Target) -> None:
    """Refuse a URL whose host Python's own parser finds elsewhere. Raises BadUrl."""
    try:
        found = (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        found = ""
    if found != target.host:
        raise BadUrl("must have a host")


def _is_name(host: str) -> bool:
    labels = host.split(".")
    return len(host) <= 253 and all(map(_LABEL.fullmatch, labels)) and not _NUMBER.fullmatch(labels[-1])


def _is_address(host: str) -> bool:
    try:
        if ":" in host:
            return IPv6Address(host).scope_id is None
        IPv4Address(host)
    except ValueError:
        return False
    return True


def _may_be_public(host: str) -> bool:
    if _is_address(host):
        return is_public(host)
    return "." in host and not any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES)
