"""The one place where an error becomes a gRPC status, and a gRPC status an error.

gRPC callers get the canonical code, the message, and google.rpc.Status with ErrorInfo and BadRequest; the extra fields
of an error are in the metadata of ErrorInfo. For the edge, the trailers also contain the finished HTTP status and JSON
body; the edge removes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from servicekit.errors import CODES, MarketplaceError, Violation, spec_of

DOMAIN = "marketplace"
DETAILS_KEY = "grpc-status-details-bin"
EDGE_STATUS_KEY = "x-error-status"
EDGE_BODY_KEY = "x-error-body"
# A database has no primary now, and the call may be executed again: the edge repeats it until there is one.
REPEATABLE_KEY = "x-error-repeatable"
# gRPC refuses metadata of more than about 30 KiB. It contains the details twice, once as JSON with ASCII escapes.
MAX_BODY_BYTES = 8_000
RETRY_AFTER_SECONDS = 1
RETRYABLE = frozenset(("UNAVAILABLE", "OUTCOME_UNKNOWN", "RATE_LIMITED"))

GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class Status:
    """A gRPC status. `metadata` goes into the trailers: the details for gRPC callers, and the edge's response."""

    code: grpc.StatusCode
    message: str
    metadata: tuple[tuple[str, str | bytes], ...]


def status_from_error(error: MarketplaceError, *, may_repeat: bool = False) -> Status:
    """Return the gRPC status of an error. When it has too many violations for metadata, the last ones are left out.

    `may_repeat` is about the call: whether another run of it does nothing twice.
    """
    spec = spec_of(error.code)
    violations = list(error.violations)
    body = _body(error, violations)
    while len(body) > MAX_BODY_BYTES and violations:
        violations = violations[: len(violations) * 3 // 4]
        body = _body(error, violations)
    metadata: list[tuple[str, str | bytes]] = [
        (DETAILS_KEY, _details(error, spec.grpc, violations)),
        (EDGE_STATUS_KEY, str(spec.http)),
        (EDGE_BODY_KEY, body),
        *error.headers.items(),
    ]
    if error.code in RETRYABLE:
        metadata.append(("retry-after", str(error.retry_after or RETRY_AFTER_SECONDS)))
    if error.primary_away and may_repeat:
        metadata.append((REPEATABLE_KEY, "1"))
    return Status(GRPC_CODES[spec.grpc], error.message, tuple(metadata))


# Codes with which another service refuses this service itself, not this service's caller.
ABOUT_THIS_SERVICE = frozenset(("UNAUTHORIZED", "FORBIDDEN", "INVALID_ARGUMENT"))


def error_from_status(error: grpc.RpcError) -> MarketplaceError:
    """Return another service's error, so that it can be raised here: the reverse of `status_from_error`.

    A service that is down, busy or slow becomes UNAVAILABLE or DEADLINE_EXCEEDED. An unknown error, and one that this
    service has caused itself, becomes INTERNAL.
    """
    code = error.code()
    trailers = {entry.key: entry.value for entry in error.trailing_metadata() or ()}
    if DETAILS_KEY in trailers:
        raised = _from_details(status_pb2.Status.FromString(trailers[DETAILS_KEY]))
        raised.primary_away = REPEATABLE_KEY in trailers
        return raised
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED):
        return MarketplaceError("UNAVAILABLE")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return MarketplaceError("DEADLINE_EXCEEDED")
    return MarketplaceError("INTERNAL")


def _body(error: MarketplaceError, violations: list[Violation]) -> str:
    body: dict[str, object] = {"error": error.message, "code": error.code, **error.extra}
    if violations:
        body["details"] = [{"field": violation.field, "message": violation.message} for violation in violations]
    return json.dumps(body)


def _details(error: MarketplaceError, code: code_pb2.Code, violations: list[Violation]) -> bytes:
    status = status_pb2.Status(code=code, message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.code, domain=DOMAIN, metadata=dict(_leaves(error.extra)))
    status.details.append(_pack(info))
    if violations:
        bad_request = error_details_pb2.BadRequest()
        for violation in violations:
            bad_request.field_violations.add(field=violation.field, description=violation.message)
        status.details.append(_pack(bad_request))
    serialized: bytes = status.SerializeToString()
    return serialized


def _leaves(fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the texts and numbers of an error's extra fields by their own names; a number as JSON has it."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)


def _pack(detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _from_details(status: status_pb2.Status) -> MarketplaceError:
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if (
            detail.Unpack(info)
            and info.domain == DOMAIN
            and info.reason in CODES.values_by_name
            and info.reason not in ABOUT_THIS_SERVICE
        ):
            return MarketplaceError(info.reason, status.message)
    return MarketplaceError("INTERNAL")
