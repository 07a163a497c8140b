"""The HTTP side of the protos: routes, access, query parameters, success codes and the error catalogue.

The tables for Envoy's scripts (`edge.generate`), Envoy's routes (`edge.bootstrap`) and the tests all come from this one
reading of the descriptor set. The set has its own copy of our options, so it is read without generated code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

DESCRIPTOR_SET = Path(__file__).resolve().parent.parent / "generated" / "descriptors.binpb"

Kind = Literal["string", "int", "number", "bool", "enum", "object"]

_KINDS: dict[int, Kind] = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_INT32: "int",
    FieldDescriptor.TYPE_DOUBLE: "number",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_MESSAGE: "object",
}

_HTTP_BODY = "google.api.HttpBody"
# The end of the name of an RPC whose response is server-sent events.
SSE = "Sse"


class ContractError(Exception):
    """An RPC that the edge cannot serve; the text names it."""


@dataclass(frozen=True)
class Field:
    """One field of a request, as a query parameter or in a JSON body."""

    name: str
    """As clients write it, in camelCase."""
    kind: Kind
    repeated: bool
    """Whether it is a list; in a query: whether it may stand there more than once."""
    values: tuple[str, ...] = ()
    """The values of an enum, without its zero value."""
    message: str = ""
    """The full name of the message that is its value."""
    proto_name: str = ""
    """As the proto has it, in snake_case; the transcoder takes this name in a JSON body, too."""

    @property
    def value_type(self) -> dict[str, Any]:
        """Return the type of one value as a table for the edge's scripts."""
        table: dict[str, Any] = {"kind": self.kind}
        if self.message:
            table["message"] = self.message
        if self.values:
            table["values"] = dict.fromkeys(self.values, True)
            table["expected"] = ", ".join(self.values)
        return table


@dataclass(frozen=True)
class Route:
    """One HTTP method of one path, and the RPC behind it."""

    method: str
    path: str
    """A template: `/api/gigs/{gig_id}`."""
    service: str
    """The full name of the gRPC service: `marketplace.gig.v1.GigService`."""
    rpc: str
    """The name of the RPC: `GetGig`."""
    needs_token: bool
    status: int
    """The HTTP status of success."""
    body: str = ""
    """The full name of the JSON body's message; empty: no body is read."""
    upload: bool = False
    """Whether the body is a file, or a form with files, that streams to the service unchanged."""
    raw: bool = False
    """Whether the body goes to the service byte by byte, unchecked."""
    takes_key: bool = False
    """Whether the RPC takes an idempotency key, so that a request with one can be sent again."""
    stream: bool = False
    """Whether the response is a stream: of server-sent events, which has no end of its own, or the bytes of a file."""
    download: bool = False
    """Whether that stream is the bytes of a file."""
    wait_seconds: int = 0
    """The longest wait that a caller may ask for, above the time that every response has."""
    unwrap: str = ""
    """The one field of the response, in camelCase, that is the body; empty: the whole response is."""
    query: tuple[Field, ...] = ()
    request: str = ""
    response: str = ""
    """The full names of the RPC's messages."""
    roles: tuple[str, ...] = ()
    """The roles of which a caller needs one, in lower case; empty: any caller, or any with a token."""
    location: str = ""
    """The path of the created resource, with fields of the response in braces; empty: no `Location`."""
    created: str = ""
    """The field of the response, in camelCase, that says whether `status` holds, not 200; empty: it always does."""

    @property
    def name(self) -> str:
        """Return the route's name in Envoy."""
        return f"{self.method} {self.path}"

    @property
    def path_fields(self) -> list[str]:
        """Return the fields of the path, by their names in the proto."""
        return re.findall(r"\{(\w+)\}", self.path)


@dataclass(frozen=True)
class ErrorCode:
    """One value of the error catalogue."""

    name: str
    grpc: int
    http: int
    text: str

    @property
    def body(self) -> str:
        """Return the JSON body with the catalogue's own text."""
        return json.dumps({"error": self.text, "code": self.name})


@dataclass(frozen=True)
class Contract:
    """Routes, messages and errors, in the order of the protos."""

    routes: tuple[Route, ...]
    messages: dict[str, tuple[Field, ...]]
    """The fields of each message of a JSON body, by the message's full name."""
    errors: tuple[ErrorCode, ...]

    def services(self) -> list[str]:
        """Return the full names of the services that have routes."""
        return list(dict.fromkeys(route.service for route in self.routes))

    def paths(self) -> dict[str, list[str]]:
        """Return the methods of each path template, for `Allow`: HEAD beside every GET, and OPTIONS always."""
        paths: dict[str, list[str]] = {}
        for route in self.routes:
            methods = paths.setdefault(route.path, [])
            methods += ["GET", "HEAD"] if route.method == "GET" else [route.method]
        return {path: [*methods, "OPTIONS"] for path, methods in paths.items()}


def short_name(full_name: str) -> str:
    """Return the last part of a full name: `GigService` for `marketplace.gig.v1.GigService`."""
    return full_name.rpartition(".")[2]


def load(descriptor_set: Path = DESCRIPTOR_SET) -> Contract:
    """Read a descriptor set with its imports. Raises ContractError for an RPC that the edge cannot serve."""
    files = FileDescriptorSet.FromString(descriptor_set.read_bytes())
    pool = pool_of(files)
    reader = _Reader(pool)
    methods = [
        method
        for file in files.file
        for service in pool.FindFileByName(file.name).services_by_name.values()
        for method in service.methods
    ]
    routes = tuple(reader.routes(methods))
    return Contract(routes=routes, messages=reader.messages(routes), errors=tuple(reader.errors()))


def pool_of(files: FileDescriptorSet) -> DescriptorPool:
    """Return a pool with these files only, independent of the modules that this process has imported."""
    pool = DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


class _Reader:
    """A reader of our options, by the pool that defines them."""

    def __init__(self, pool: DescriptorPool) -> None:
        self.pool = pool

    def _option(self, kind: str, options: Any, extension: str) -> Any:
        """Return the value of one extension of `options` (a `google.protobuf.{kind}`), or None when it is not set."""
        parsed = message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"google.protobuf.{kind}"))()
        parsed.ParseFromString(options.SerializeToString())
        field = self.pool.FindExtensionByName(extension)
        return parsed.Extensions[field] if parsed.HasExtension(field) else None  # type: ignore[arg-type, index]

    def routes(self, methods: list[MethodDescriptor]) -> Iterator[Route]:
        for method in methods:
            rule = self._option("MethodOptions", method.GetOptions(), "google.api.http")
            if rule is None:
                continue
            access = self._option("MethodOptions", method.GetOptions(), "marketplace.common.v1.access")
            success = self._option("MethodOptions", method.GetOptions(), "marketplace.common.v1.success")
            takes_key = self._option("MethodOptions", method.GetOptions(), "marketplace.common.v1.takes_key")
            created_field = success.created_field if success is not None else ""
            if access is None:
                raise ContractError(f"{method.full_name} has a route but no access option")
            for binding in [rule, *rule.additional_bindings]:
                verb = binding.WhichOneof("pattern")
                path = getattr(binding, verb)
                any_bytes = _is_any_bytes(method, binding.body)
                if method.server_streaming and (verb != "get" or method.output_type.full_name != _HTTP_BODY):
                    raise ContractError(f"{method.full_name}: a stream is a GET that returns google.api.HttpBody")
                if not any_bytes and binding.body not in ("", "*"):
                    raise ContractError(f"{method.full_name}: a body is '*', a google.api.HttpBody, or there is none")
                yield Route(
                    method=verb.upper(),
                    path=path,
                    service=method.containing_service.full_name,
                    rpc=method.name,
                    needs_token=not access.anyone,
                    status=success.http_status if success is not None else 200,
                    body=method.input_type.full_name if binding.body == "*" else "",
                    upload=any_bytes and method.client_streaming,
                    raw=any_bytes and not method.client_streaming,
                    takes_key=takes_key is True,
                    stream=method.server_streaming,
                    download=method.server_streaming and not method.name.endswith(SSE),
                    wait_seconds=self._wait_seconds(method),
                    unwrap=_unwrapped(method, binding.response_body, created_field),
                    query=() if binding.body == "*" else tuple(_query(method, path, binding.body)),
                    request=method.input_type.full_name,
                    response=method.output_type.full_name,
                    roles=tuple(self._role(number) for number in access.roles),
                    location=success.location if success is not None else "",
                    created=_created(method, created_field),
                )

    def _role(self, number: int) -> str:
        name: str = self.pool.FindEnumTypeByName("marketplace.common.v1.Role").values_by_number[number].name
        return name.lower()

    def _wait_seconds(self, method: MethodDescriptor) -> int:
        """Return the bound of the field `wait` of an RPC that waits; 0 for all others. Raises ContractError."""
        if not self._option("MethodOptions", method.GetOptions(), "marketplace.common.v1.waits"):
            return 0
        field = method.input_type.fields_by_name.get("wait")
        rules = field and self._option("FieldOptions", field.GetOptions(), "buf.validate.field")
        if not rules or rules.int32.lte <= 0:
            raise ContractError(f"{method.full_name}: an RPC that waits has a field `wait` with an upper bound")
        return int(rules.int32.lte)

    def messages(self, routes: tuple[Route, ...]) -> dict[str, tuple[Field, ...]]:
        """Return the fields of the messages of all JSON bodies, and of the messages in them. Raises ContractError."""
        messages: dict[str, tuple[Field, ...]] = {}
        open_names = [route.body for route in routes if route.body]
        while open_names:
            name = open_names.pop(0)
            if name not in messages:
                messages[name] = tuple(_body_fields(self.pool.FindMessageTypeByName(name)))
                open_names += [field.message for field in messages[name] if field.message]
        return messages

    def errors(self) -> Iterator[ErrorCode]:
        catalogue = self.pool.FindEnumTypeByName("marketplace.common.v1.Error.Code")
        for value in catalogue.values:
            spec = self._option("EnumValueOptions", value.GetOptions(), "marketplace.common.v1.spec")
            if spec is not None:
                yield ErrorCode(name=value.name, grpc=spec.grpc, http=spec.http, text=spec.text)


def _unwrapped(method: MethodDescriptor, response_body: str, created_field: str) -> str:
    """Return the JSON name of the field that `response_body` names.

    It is the only field but the one that becomes the status, which is the last: others would be lost.
    """
    if not response_body:
        return ""
    fields = _fields(method)
    if [field.name for field in fields] != [name for name in (response_body, created_field) if name]:
        raise ContractError(f"{method.full_name}: response_body must name the response's only field")
    return fields[0].json_name


def _created(method: MethodDescriptor, created_field: str) -> str:
    """Return the JSON name of the field that says whether something was created, beside the one that is the body."""
    if not created_field:
        return ""
    field = method.output_type.fields_by_name.get(created_field)
    if field is None or field.type != FieldDescriptor.TYPE_BOOL or field.has_presence or len(_fields(method)) != 2:
        raise ContractError(f"{method.full_name}: created_field must name a bool beside the field of response_body")
    return field.json_name


def _fields(method: MethodDescriptor) -> list[FieldDescriptor]:
    return list(method.output_type.fields)


def _is_any_bytes(method: MethodDescriptor, body: str) -> bool:
    """Return whether the body's field is a `google.api.HttpBody`, which takes any bytes."""
    field = method.input_type.fields_by_name.get(body)
    message = field.message_type if field is not None else None
    return message is not None and message.full_name == _HTTP_BODY


def _query(method: MethodDescriptor, path: str, body: str) -> Iterator[Field]:
    """Yield the query parameters: the fields of the request that are neither in the path nor the body."""
    request: Descriptor = method.input_type
    for each in request.fields:
        if f"{{{each.name}}}" in path or each.name == body:
            continue
        field = _field(each)
        if field is None or field.kind == "object":
            raise ContractError(f"{method.full_name}: {each.name} is of a type that a query cannot hold")
        yield field


def _body_fields(message: Descriptor) -> Iterator[Field]:
    """Yield the fields of a message of a JSON body. Raises ContractError for one whose type the edge cannot check."""
    for each in message.fields:
        field = _field(each)
        if field is None:
            raise ContractError(f"{each.full_name}: is of a type that the edge cannot check in a JSON body")
        yield field


def _field(field: FieldDescriptor) -> Field | None:
    """Return a field, or None when its JSON has a form of its own (maps, 64 bits, google.protobuf)."""
    kind, message = _KINDS.get(field.type), field.message_type
    if kind is None:
        return None
    if message is not None and (message.GetOptions().map_entry or message.full_name.startswith("google.protobuf.")):
        return None
    values = tuple(value.name for value in field.enum_type.values if value.number) if field.enum_type else ()
    message_name = message.full_name if message else ""
    return Field(field.json_name, kind, field.is_repeated, values, message_name, field.name)
