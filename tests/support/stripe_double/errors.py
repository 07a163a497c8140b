"""Error responses (https://docs.stripe.com/error-codes), and failures that a test asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


class ApiError(Exception):
    """An error response."""

    def __init__(self, status: int, kind: str, code: str, message: str = "", param: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"type": kind, "code": code, "message": message or code, "param": param}}


def invalid(code: str, param: str = "", status: int = 400) -> ApiError:
    """Return an error of a request that Stripe refuses."""
    return ApiError(status, "invalid_request_error", code, param=param)


@dataclass(frozen=True)
class Failure:
    """The failure of a request whose path matches `path`, of one method or of any: before its work, or `after` it.

    With `is_kept` it is a fault of Stripe, which is repeated for the idempotency key; otherwise one of the network.
    """

    path: str
    status: int
    kind: str = "api_error"
    code: str = ""
    method: str = ""
    after: bool = False
    is_kept: bool = False

    def matches(self, method: str, path: str) -> bool:
        """Return whether it is the failure of this request."""
        return self.method in ("", method) and re.search(self.path, path) is not None

    @property
    def response(self) -> tuple[int, Object]:
        """Status and body."""
        return self.status, ApiError(self.status, self.kind, self.code).body
