"""The errors that rules, stores and gateways raise. The pipeline alone turns them into gRPC statuses.

Each carries a code of the catalogue (`marketplace.common.v1.Error.Code`), which knows its gRPC code and HTTP status.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.common.v1.errors_pb2 import Error, ErrorSpec, spec

CODES = Error.Code.DESCRIPTOR


def spec_of(code: str) -> ErrorSpec:
    """How a code of the catalogue is told; KeyError for a name that is not in it."""
    return CODES.values_by_name[code].GetOptions().Extensions[spec]


@dataclass(frozen=True)
class Violation:
    """One field that breaks its bounds: its path as the client wrote it (`packages[0].price`), and what is wrong."""

    field: str
    message: str


class MarketplaceError(Exception):
    """Something a caller is told. `code` is a name of the catalogue, whose text is told without a message."""

    def __init__(self, code: str, message: str = "", violations: Sequence[Violation] = ()) -> None:
        self.code = code
        self.message = message or spec_of(code).text
        self.violations = tuple(violations)
        super().__init__(f"{code}: {self.message}")


class InvalidArgument(MarketplaceError):
    """Fields break their bounds; all of them are named."""

    def __init__(self, violations: Sequence[Violation], message: str = "") -> None:
        if not message and violations:
            message = f"{violations[0].field}: {violations[0].message}"
        super().__init__("INVALID_ARGUMENT", message, violations)


class Unauthenticated(MarketplaceError):
    """The token is missing, malformed, expired or forged."""

    def __init__(self) -> None:
        super().__init__("UNAUTHORIZED")


class Forbidden(MarketplaceError):
    """The caller is known but may not do this."""

    def __init__(self, message: str) -> None:
        super().__init__("FORBIDDEN", message)


class NotFound(MarketplaceError):
    """There is no such thing, or not for this caller."""

    def __init__(self, thing: str) -> None:
        super().__init__("NOT_FOUND", f"{thing} not found")


class Conflict(MarketplaceError):
    """The request contradicts what is stored. `code` is one of the catalogue's that are 409."""

    def __init__(self, message: str = "", code: str = "CONFLICT") -> None:
        super().__init__(code, message)


class PreconditionFailed(MarketplaceError):
    """`If-Match` names another version than the current one."""

    def __init__(self) -> None:
        super().__init__("PRECONDITION_FAILED")


class Unavailable(MarketplaceError):
    """A part of the marketplace is away or busy. Nothing tells the caller which."""

    def __init__(self) -> None:
        super().__init__("UNAVAILABLE")


class DeadlineExceeded(MarketplaceError):
    """Another part took too long."""

    def __init__(self) -> None:
        super().__init__("DEADLINE_EXCEEDED")
