"""The metadata of a call: the one place where headers from outside are read.

Only the headers of KNOWN come into a Call. A trace that has not its form is left out, a request id replaced. All others
are checked by the code that uses them, which answers for them: `authorization`, `idempotency-key`, `if-match`,
`last-event-id`, `stripe-signature`, `range`, `if-range`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from servicekit.ids import new_id

REQUEST_ID = "x-request-id"
# Where a client of server-sent events wants to resume.
LAST_EVENT_ID = "last-event-id"
# The method of a request over HTTP for a file. Only the edge sets it: a caller of gRPC can neither be redirected nor
# ask for the headers alone.
EDGE_METHOD = "x-edge-method"
KNOWN = frozenset(
    (
        "authorization",
        EDGE_METHOD,
        "idempotency-key",
        "if-match",
        "if-range",
        LAST_EVENT_ID,
        "range",
        "stripe-signature",
        "traceparent",
        "tracestate",
        REQUEST_ID,
    )
)
# Metadata of the incoming call that outgoing calls carry as well.
FORWARDED = (REQUEST_ID, "traceparent", "tracestate")

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# https://www.w3.org/TR/trace-context/: version 00; of a later version only this part is passed on, as it demands.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_TRACESTATE_LENGTH = 512
_TRACESTATE_MEMBERS = 32


def parse(metadata: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return the known headers of a call, with a request id. Several values of a header are joined, as HTTP has it.

    A trace of another form than the W3C's is left out. Raises nothing.
    """
    known: dict[str, str] = {}
    for name, value in metadata:
        if name in KNOWN and isinstance(value, str):
            known[name] = f"{known[name]}, {value}" if name in known else value
    if not _REQUEST_ID.fullmatch(known.get(REQUEST_ID, "")):
        known[REQUEST_ID] = str(new_id())
    if not _TRACEPARENT.fullmatch(known.get("traceparent", "")):
        known.pop("traceparent", None)
        known.pop("tracestate", None)
    elif not _is_tracestate(known.get("tracestate", "")):
        del known["tracestate"]
    return known


def forwarded(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the metadata that calls made for this call carry: its request id and its trace."""
    return [(name, metadata[name]) for name in FORWARDED if name in metadata]


def _is_tracestate(text: str) -> bool:
    """Return whether this is a `tracestate`; an empty one is none to leave out."""
    if len(text) > _TRACESTATE_LENGTH:
        return False
    members = [member.strip(" \t") for member in text.split(",")]
    return len(members) <= _TRACESTATE_MEMBERS and all(
        not member or _TRACESTATE_MEMBER.fullmatch(member) for member in members
    )
