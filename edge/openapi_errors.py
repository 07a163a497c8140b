"""The errors of the OpenAPI document: which ones a route can have, and their form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from edge.contract import Contract, ErrorCode, Route
from edge.json_schema import Schemas
from edge.openapi_examples import ERROR_TEXTS

# The errors that a response of every route can be.
ALWAYS = (
    "INVALID_ARGUMENT",
    "UNAUTHORIZED",
    "RATE_LIMITED",
    "HEADERS_TOO_LARGE",
    "INTERNAL",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
)
# Further headers of an error, by its HTTP status.
ERROR_HEADERS = {
    401: ("WWW-Authenticate",),
    416: ("Content-Range",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_CATALOGUE = "marketplace.common.v1.Error.Code"


class Errors:
    """The errors of all routes."""

    def __init__(self, protos: Contract, schemas: Schemas) -> None:
        self._protos = protos
        self._schemas = schemas
        # The old code is never returned.
        self._known = {error.name: error for error in protos.errors if error.name != "UPGRADE_REQUIRED"}
        self._used: set[str] = set()
        self._in_examples: set[str] = set()

    def codes_of(self, route: Route) -> list[ErrorCode]:
        """Return the errors that a route can have, by status, in the order of the catalogue.

        They follow from the form of the route, and from the codes that the comments of its RPC and its fields name.
        """
        comment = self._schemas.comment(f"{route.service}.{route.rpc}")
        fields = [self._schemas.comment(name) for name in self._schemas.fields(route.request)]
        named = set(re.findall(r"\b[A-Z][A-Z_]+\b", " ".join([comment, *fields])))
        codes = set(ALWAYS) | named & set(self._known)
        if route.needs_token:
            codes.add("FORBIDDEN")
        if "{" in route.path:
            codes.add("NOT_FOUND")
        if route.body or route.raw or route.upload:
            codes.add("PAYLOAD_TOO_LARGE")
        if route.body or route.upload:
            codes.add("UNSUPPORTED_MEDIA_TYPE")
        if "`If-Match`" in comment:
            codes |= {"PRECONDITION_FAILED"}
        if route.takes_key:
            codes |= {"IDEMPOTENCY_KEY_REUSED", "CONFLICT"}
        if route.method != "GET":
            codes.add("OUTCOME_UNKNOWN")
        in_order = [error for error in self._known.values() if error.name in codes]
        return sorted(in_order, key=lambda error: error.http)

    def of_route(self, route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield status and response of each error that a route can have."""
        by_status: dict[int, list[ErrorCode]] = {}
        for error in self.codes_of(route):
            by_status.setdefault(error.http, []).append(error)
        for status, errors in by_status.items():
            if len(errors) == 1:
                self._used.add(errors[0].name)
                yield str(status), {"$ref": f"#/components/responses/{_title(errors[0].name)}"}
            else:
                yield str(status), self._response(errors)

    def responses(self) -> dict[str, Any]:
        """Return the responses that the routes refer to, by their name."""
        return {
            _title(error.name): self._response([error]) for error in self._known.values() if error.name in self._used
        }

    def examples(self) -> dict[str, Any]:
        """Return an example of each error that the routes refer to."""
        return {
            name: {"summary": error.text, "value": {"error": ERROR_TEXTS.get(name, error.text), "code": name}}
            for name, error in self._known.items()
            if name in self._in_examples
        }

    def schemas(self) -> dict[str, Any]:
        """Return the schemas of an error's body."""
        lines = [f"- `{name}` ({error.http}): {self._comment(name)}" for name, error in self._known.items()]
        return {
            "Error": {
                "type": "object",
                "description": "An error.",
                "properties": {
                    "error": {"type": "string", "description": "The reason, for people."},
                    "code": {"$ref": "#/components/schemas/ErrorCode", "description": "The reason, for programs."},
                    "details": {
                        "type": "array",
                        "description": "The fields that break a bound, with INVALID_ARGUMENT; 50 at most.",
                        "items": {"$ref": "#/components/schemas/Violation"},
                        "maxItems": 50,
                    },
                    "confirmation": {
                        "$ref": "#/components/schemas/Confirmation",
                        "description": "With PAYMENT_ACTION_REQUIRED, when the request had an idempotency key.",
                    },
                    "price": {
                        "type": "number",
                        "format": "double",
                        "description": "The price as it is now, with PRICE_CHANGED.",
                    },
                },
                "required": ["error", "code"],
            },
            "ErrorCode": {
                "type": "string",
                "description": "\n".join(["The catalogue of errors.", "", *lines]),
                "enum": list(self._known),
            },
            "Violation": {
                "type": "object",
                "description": "A field that breaks a bound.",
                "properties": {
                    "field": {"type": "string", "description": "The field: `packages[0].price`."},
                    "message": {"type": "string", "description": "The bound."},
                },
                "required": ["field", "message"],
            },
            "Confirmation": {
                "type": "object",
                "description": "What the buyer needs to confirm a payment.",
                "properties": {
                    "clientSecret": {
                        "type": "string",
                        "description": "The secret for the payment provider's own client.",
                    },
                    "expiresAt": {
                        "type": "string",
                        "format": "date-time",
                        "description": "The end of the time for it.",
                    },
                },
                "required": ["clientSecret", "expiresAt"],
            },
        }

    def _comment(self, code: str) -> str:
        return self._schemas.comment(f"{_CATALOGUE}.{code}")

    def _response(self, errors: list[ErrorCode]) -> dict[str, Any]:
        """Return a response that is one of the errors, all of one status."""
        self._in_examples |= {error.name for error in errors}
        status = errors[0].http
        if len(errors) == 1:
            description = f"`{errors[0].name}`: {self._comment(errors[0].name)}"
        else:
            lines = [f"- `{error.name}`: {self._comment(error.name)}" for error in errors]
            description = "\n".join([f"{HTTPStatus(status).phrase}: one of", "", *lines])
        return {
            "description": description,
            **headers(*ERROR_HEADERS.get(status, ())),
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Error"},
                    "examples": {error.name: {"$ref": f"#/components/examples/{error.name}"} for error in errors},
                }
            },
        }


def headers(*names: str) -> Mapping[str, Any]:
    """Return the part of a response with its headers; nothing when there is none."""
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}} if names else {}


def _title(code: str) -> str:
    """Return the name of an error's response: `NotFound` for `NOT_FOUND`."""
    return "".join(word.capitalize() for word in code.split("_"))
