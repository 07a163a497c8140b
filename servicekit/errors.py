"""The errors that commands, rules, stores and gateways raise. Only the pipeline turns them into gRPC statuses.

Each has a code of the catalogue (`marketplace.common.v1.Error.Code`). The catalogue gives its gRPC code, HTTP status
and default text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from marketplace.common.v1.errors_pb2 import Error, ErrorSpec, spec

CODES = Error.Code.DESCRIPTOR


def spec_of(code: str) -> ErrorSpec:
    """Return the catalogue's entry for a code. Raises KeyError when the catalogue has no such code."""
    return CODES.values_by_name[code].GetOptions().Extensions[spec]


@dataclass(frozen=True)
class Violation:
    """A field that breaks its bounds: its path as the client wrote it (`packages[0].price`), and the reason."""

    field: str
    message: str


class MarketplaceError(Exception):
    """An error that is shown to the caller. An empty `message` is replaced by the catalogue's text for `code`.

    `extra` has the further fields of its JSON body, whose values are texts, numbers or such mappings. It may contain
    secrets of the caller, so it is never logged. `headers` are further ones of the response.
    """

    # Whether the reason is that a database has no primary now: then the call may be worth repeating.
    primary_away = False
    # Whole seconds after which the call may be worth repeating, when the error knows them.
    retry_after: int | None = None

    def __init__(
        self,
        code: str,
        message: str = "",
        violations: Sequence[Violation] = (),
        extra: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.message = message or spec_of(code).text
        self.violations = tuple(violations)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})
        super().__init__(f"{code}: {self.message}")


class InvalidArgument(MarketplaceError):
    """Fields break their bounds; `violations` names all of them."""

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
    """The resource does not exist, or this caller may not know that it does."""

    def __init__(self, resource: str) -> None:
        super().__init__("NOT_FOUND", f"{resource} not found")


class Conflict(MarketplaceError):
    """The request conflicts with the current state. `code` is one of the catalogue's 409 codes."""

    def __init__(self, message: str = "", code: str = "CONFLICT") -> None:
        super().__init__(code, message)


class PreconditionFailed(MarketplaceError):
    """`If-Match` does not name the current version."""

    def __init__(self) -> None:
        super().__init__("PRECONDITION_FAILED")


class RateLimited(MarketplaceError):
    """The caller has done too much in too little time. `retry_after` is the seconds until one more would be taken."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("RATE_LIMITED")
        self.retry_after = max(retry_after, 1)


class Unavailable(MarketplaceError):
    """A part of the marketplace is down or busy, and nothing was begun. The caller does not learn which part."""

    def __init__(self, code: str = "UNAVAILABLE") -> None:
        super().__init__(code)


class OutcomeUnknown(Unavailable):
    """Work was begun, and its outcome is not known yet. It is finished without the caller."""

    def __init__(self) -> None:
        super().__init__("OUTCOME_UNKNOWN")

    @classmethod
    def because_of(cls, error: Unavailable) -> OutcomeUnknown:
        """Return the error for work that another error has interrupted."""
        unknown = cls()
        unknown.primary_away = error.primary_away
        return unknown


@contextmanager
def in_doubt() -> Iterator[None]:
    """Raise OutcomeUnknown where the block raises Unavailable: the block goes on with work that was begun."""
    try:
        yield
    except OutcomeUnknown:
        raise
    except Unavailable as error:
        raise OutcomeUnknown.because_of(error) from error


class DeadlineExceeded(MarketplaceError):
    """The call has too little time left, or something that it waited for took too long."""

    def __init__(self) -> None:
        super().__init__("DEADLINE_EXCEEDED")
