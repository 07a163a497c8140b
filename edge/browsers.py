"""The response headers for browsers: CORS, and the security headers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

# What browsers send in `Origin`, but for `null`: scheme and host in lower case, and a port unless it is the scheme's.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[1-9][0-9]{0,4})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

EXPOSED_HEADERS = ("Location", "ETag", "Retry-After", "X-Request-Id")
GRPC_WEB_EXPOSED_HEADERS = ("grpc-status", "grpc-message", "grpc-status-details-bin")
REQUEST_HEADERS = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "X-Request-Id"),
    *("traceparent", "tracestate"),
    # gRPC-Web's own.
    *("x-grpc-web", "x-user-agent", "grpc-timeout"),
    # MCP's own.
    *("mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"),
)
# Chromium keeps the answer to a preflight for two hours at most.
PREFLIGHT_SECONDS = 7200
HSTS_SECONDS = 365 * 24 * 3600

AppendAction = Literal["OVERWRITE_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "APPEND_IF_EXISTS_OR_ADD"]
_OVERWRITE: AppendAction = "OVERWRITE_IF_EXISTS_OR_ADD"

_IS_PREFLIGHT = (
    "'origin' in request.headers && 'access-control-request-method' in request.headers && response.code == 204"
)


@dataclass(frozen=True)
class ResponseHeader:
    """A header of all responses. `value` is Envoy's format; a header whose value becomes empty is left out."""

    name: str
    value: str
    action: AppendAction = _OVERWRITE


def origins(listed: str) -> list[str]:
    """Return the origins of CORS_ORIGINS; none when any origin may read. Raises ValueError with the wrong one."""
    found = [each.strip() for each in listed.split(",")] if listed.strip() else []
    for each in found:
        scheme, _, host = each.partition("://")
        if not _ORIGIN.fullmatch(each) or host.endswith(_DEFAULT_PORTS.get(scheme, " ")):
            raise ValueError(
                f"{each!r} is no origin as browsers send it: scheme://host or scheme://host:port, in lower case, "
                "without a path, and without a port that is the scheme's own"
            )
    return found


def response_headers(allowed: list[str], *, has_tls: bool) -> list[ResponseHeader]:
    """Return the headers that the edge adds to every response, for the origins that may read it: none means any."""
    hsts = ResponseHeader("strict-transport-security", f"max-age={HSTS_SECONDS}")
    return [*_cors(allowed), *_security(), *([hsts] if has_tls else [])]


def _cors(allowed: list[str]) -> list[ResponseHeader]:
    if not allowed:
        origin = [ResponseHeader("access-control-allow-origin", "*")]
    else:
        listed = ", ".join(f"'{each}'" for each in allowed)
        is_allowed = f"'origin' in request.headers && request.headers['origin'] in [{listed}]"
        origin = [
            ResponseHeader("access-control-allow-origin", _cel(is_allowed, "request.headers['origin']")),
            # On refusals, too: a cache must not hand one origin's response to another.
            ResponseHeader("vary", "Origin", "APPEND_IF_EXISTS_OR_ADD"),
        ]
    return [*origin, ResponseHeader("access-control-expose-headers", ", ".join(EXPOSED_HEADERS))]


def grpc_web_headers() -> list[ResponseHeader]:
    """Return the headers that take the place of those of all responses on the routes of gRPC-Web."""
    exposed = ", ".join((*EXPOSED_HEADERS, *GRPC_WEB_EXPOSED_HEADERS))
    return [ResponseHeader("access-control-expose-headers", exposed)]


def preflight_headers() -> list[ResponseHeader]:
    """Return the headers of the answer to a preflight, for the routes of OPTIONS."""
    return [
        ResponseHeader("access-control-allow-methods", _cel(_IS_PREFLIGHT, "response.headers['allow']")),
        ResponseHeader("access-control-allow-headers", _cel(_IS_PREFLIGHT, f"'{', '.join(REQUEST_HEADERS)}'")),
        ResponseHeader("access-control-max-age", _cel(_IS_PREFLIGHT, f"'{PREFLIGHT_SECONDS}'")),
    ]


def _security() -> list[ResponseHeader]:
    return [
        ResponseHeader("x-content-type-options", "nosniff"),
        # Any page may use the API; CORS decides which one may read.
        ResponseHeader("cross-origin-resource-policy", "cross-origin"),
        # A page and a picture have their own.
        ResponseHeader("content-security-policy", "default-src 'none'; frame-ancestors 'none'", "ADD_IF_ABSENT"),
        ResponseHeader("referrer-policy", "no-referrer", "ADD_IF_ABSENT"),
        ResponseHeader("x-frame-options", "DENY", "ADD_IF_ABSENT"),
    ]


def _cel(condition: str, value: str) -> str:
    return f"%CEL({condition} ? {value} : '')%"
