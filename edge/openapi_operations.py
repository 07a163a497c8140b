"""The operations of the OpenAPI document: one a route."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from edge.contract import Contract, Route, short_name
from edge.json_schema import Schema, Schemas
from edge.openapi_errors import Errors, headers
from edge.openapi_examples import BODIES, PARAMETER_VALUES, RESPONSES

# What is no entity tag matches none, and is not refused.
PARAMETERS: dict[str, Any] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": (
            "Makes a repetition harmless: for 48 hours the same request with the same key by the same caller gets the "
            "first response again. Another request with it is IDEMPOTENCY_KEY_REUSED."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": (
            "An `ETag` of the gig, a list of them, or `*`. PRECONDITION_FAILED when the gig has been edited since."
        ),
        "schema": {"type": "string"},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "An `ETag`, a list of them, or `*`. The response is 304 when one is still right.",
        "schema": {"type": "string"},
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that the client has got; an `EventSource` sends it by itself.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[ -~]*$"},
    },
    "Range": {
        "name": "Range",
        "in": "header",
        "description": "One part of the file: `bytes=0-1023`. Several, and what is no range, are ignored.",
        "schema": {"type": "string"},
    },
    "StripeSignature": {
        "name": "Stripe-Signature",
        "in": "header",
        "required": True,
        "description": "Stripe's signature of the body.",
        "schema": {"type": "string"},
    },
}

HEADERS: dict[str, Any] = {
    "Accept-Ranges": {"description": "`bytes`.", "schema": {"type": "string"}},
    "Content-Disposition": {"description": "An attachment, with the file's name.", "schema": {"type": "string"}},
    "Content-Range": {"description": "Which part of the file it is.", "schema": {"type": "string"}},
    "ETag": {
        "description": "The state of the gig, for `If-Match` and `If-None-Match`.",
        "schema": {"type": "string"},
    },
    "Location": {"description": "The path of what was created.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "The seconds until another attempt makes sense.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}},
}

_PICTURE = {
    "type": "string",
    "format": "binary",
    "description": "A JPEG, PNG, WebP or GIF.",
}

_FILE = {"type": "string", "format": "binary", "description": "The bytes of the file."}


class Operations:
    """The operations of all routes of a contract."""

    def __init__(self, protos: Contract, schemas: Schemas, errors: Errors) -> None:
        self._routes = protos.routes
        self._schemas = schemas
        self._errors = errors
        self._seen: Counter[str] = Counter()

    def path_of(self, route: Route) -> str:
        """Return the path with the names of its fields in camelCase: `/api/gigs/{gigId}`."""
        return re.sub(r"\{(\w+)\}", lambda match: f"{{{self._json_name(route, match[1])}}}", route.path)

    def operation(self, route: Route) -> dict[str, Any]:
        """Return the operation of a route."""
        comment = self._comment(route)
        self._seen[route.rpc] += 1
        number = self._seen[route.rpc]
        operation: dict[str, Any] = {
            # A further route of the same RPC has a number.
            "operationId": route.rpc + (str(number) if number > 1 else ""),
            "tags": [short_name(route.service)],
            "summary": _summary(comment),
            "description": f"{comment}\n\n{_who(route)}",
            "security": _security(route),
        }
        if parameters := [*self._path_parameters(route), *self._query_parameters(route), *_headers(route, comment)]:
            operation["parameters"] = parameters
        if body := self._request_body(route):
            operation["requestBody"] = body
        operation["responses"] = dict(sorted([*self._successes(route, comment), *self._errors.of_route(route)]))
        return operation

    def _comment(self, route: Route) -> str:
        return self._schemas.comment(f"{route.service}.{route.rpc}")

    def _json_name(self, route: Route, field: str) -> str:
        return self._schemas.json_name(f"{route.request}.{field}")

    def _path_parameters(self, route: Route) -> Iterator[dict[str, Any]]:
        for field in route.path_fields:
            yield {**self._parameter(route, field, "path"), "required": True}

    def _query_parameters(self, route: Route) -> Iterator[dict[str, Any]]:
        for field in route.query:
            parameter = self._parameter(route, field.proto_name, "query")
            if self._schemas.is_required(f"{route.request}.{field.proto_name}", "request"):
                parameter["required"] = True
            yield parameter

    def _parameter(self, route: Route, field: str, place: str) -> dict[str, Any]:
        schema = self._schemas.field(f"{route.request}.{field}", "request")
        name = self._json_name(route, field)
        parameter = {"name": name, "in": place, "description": schema.pop("description", ""), "schema": schema}
        if (example := PARAMETER_VALUES.get(route.rpc, {}).get(name) or PARAMETER_VALUES["*"].get(name)) is not None:
            parameter["example"] = example
        return parameter

    def _request_body(self, route: Route) -> dict[str, Any] | None:
        if route.rpc == "UploadFile":
            form = {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
            return {
                "required": True,
                "description": "A form with one part `file`, or the file itself.",
                "content": {"multipart/form-data": {"schema": form}, "*/*": {"schema": _FILE}},
            }
        if route.upload:
            form = {
                "type": "object",
                "properties": {"file": {"type": "array", "items": _PICTURE, "minItems": 1, "maxItems": 20}},
                "required": ["file"],
            }
            return {
                "required": True,
                "description": "A form with one or more parts `file`, or a file itself.",
                "content": {"multipart/form-data": {"schema": form}, "image/*": {"schema": _PICTURE}},
            }
        if route.raw:
            # What is in it is the provider's to say.
            return {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
        if not route.body:
            return None
        schema = self._schemas.message(route.body, "request", without=route.path_fields)
        content: dict[str, Any] = {"schema": schema}
        if example := BODIES.get(route.rpc):
            content["examples"] = {"example": {"value": example}}
        body: dict[str, Any] = {"content": {"application/json": content}}
        if schema.get("required"):
            body["required"] = True
        return body

    def _successes(self, route: Route, comment: str) -> Iterator[tuple[str, dict[str, Any]]]:
        names = []
        if ("`If-Match`" in comment and route.method != "DELETE") or "`If-None-Match`" in comment:
            names.append("ETag")
        if route.location:
            names.append("Location")
        response: dict[str, Any] = {"description": HTTPStatus(route.status).phrase, **headers(*names)}
        if route.download:
            content = {"*/*": {"schema": _FILE}}
            shown = ("Content-Disposition", "Accept-Ranges")
            yield "200", {**response, **headers(*shown), "content": content}
            yield "206", {"description": "A part of the file.", **headers(*shown, "Content-Range"), "content": content}
            yield "302", {"description": "Where the file is for a minute.", **headers("Location")}
            return
        if route.stream:
            response["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
            if "204" in comment:
                yield "204", {"description": "There is nothing more to come."}
        elif route.status != HTTPStatus.NO_CONTENT:
            response["content"] = {"application/json": self._response_content(route)}
        if links := dict(self._links(route)):
            response["links"] = links
        yield str(route.status), response
        if route.created:
            yield "200", {**response, "description": "It was there already."}
        if "`If-None-Match`" in comment:
            yield "304", {"description": "What the client has is still right.", **headers("ETag")}

    def _links(self, route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what can be done with what a route has created: the operations that take its id alone."""
        created = re.sub(r"\{[\w.]+\}", "{}", route.location)
        for other in self._routes if created else ():
            path = re.sub(r"\{\w+\}", "{}", other.path)
            if (path == created or path.startswith(f"{created}/")) and path.count("{}") == 1:
                [theirs], [ours] = other.path_fields, re.findall(r"\{([\w.]+)\}", route.location)
                value = f"$response.body#/{self._name_in_body(route, ours)}"
                yield other.rpc, {"operationId": other.rpc, "parameters": {self._json_name(other, theirs): value}}

    def _name_in_body(self, route: Route, ours: str) -> str:
        """Return the JSON name of a field of the response, or of the message in it that is the body."""
        unwrapped, _, name = ours.rpartition(".")
        message = self._schemas.message_of(f"{route.response}.{unwrapped}") if unwrapped else route.response
        return self._schemas.json_name(f"{message}.{name}")

    def _response_content(self, route: Route) -> dict[str, Any]:
        schema: Schema
        if route.unwrap:
            field = self._schemas.fields(route.response)[0]
            schema = self._schemas.field(field, "response")
            del schema["description"]
        else:
            schema = self._schemas.reference(route.response, "response")
        content: dict[str, Any] = {"schema": schema}
        if example := RESPONSES.get(route.rpc):
            content["examples"] = {"example": {"value": example}}
        return content


def _headers(route: Route, comment: str) -> Iterator[dict[str, str]]:
    """Yield references to the headers that a route takes."""
    wanted = {
        "IdempotencyKey": route.takes_key,
        "IfMatch": "`If-Match`" in comment,
        "IfNoneMatch": "`If-None-Match`" in comment,
        "LastEventId": route.stream and not route.download,
        "Range": route.download,
        "StripeSignature": "`stripe-signature`" in comment,
    }
    yield from ({"$ref": f"#/components/parameters/{name}"} for name, is_taken in wanted.items() if is_taken)


def _summary(comment: str) -> str:
    """Return the first sentence of a comment, without its full stop; readers show it as it is, so without backticks."""
    return re.split(r"(?<=[^.]\.)\s|[;:]\s", comment, maxsplit=1)[0].rstrip(".").replace("`", "")


def _who(route: Route) -> str:
    if not route.needs_token:
        return "Callers: anyone."
    if not route.roles:
        return "Callers: anyone who is signed in."
    return f"Callers: {' or '.join(route.roles)}."


def _security(route: Route) -> list[dict[str, list[str]]]:
    """Return the ways to call: with a token, and where it is optional without one. Spectral takes no roles here."""
    with_token: dict[str, list[str]] = {"accessToken": []}
    return [with_token] if route.needs_token else [{}, with_token]
