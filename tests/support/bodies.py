"""The RPCs that take a JSON body, read from the protos, and bodies for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from servicekit.methods import PATH_FIELD
from tests.support.protos import METHODS

NUMBERS = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_DOUBLE,
    FieldDescriptor.CPPTYPE_FLOAT,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
)
# The id of nothing.
NO_ID = "3fa85f64-0000-4000-8000-2c963f66afa6"
# Makes the text of a field from its full name.
Texts = Callable[[str], str]


@dataclass(frozen=True)
class BodyRoute:
    """An RPC with a JSON body: its HTTP method and path, and its request."""

    name: str
    method: str
    path: str
    request: Descriptor

    def path_with(self, ids: Mapping[str, str], other: str = NO_ID) -> str:
        """Return the path with the ids of its fields, and with `other` in place of those without one."""
        return PATH_FIELD.sub(lambda field: ids.get(field[1], other), self.path)

    def body(self, texts: Texts, items: int = 1) -> dict[str, Any]:
        """Return a body with all fields, and so many items in each list; numbers are 1, enums are not set."""
        in_path = set(PATH_FIELD.findall(self.path))
        return {
            field.json_name: _value(field, texts, items)
            for field in self.request.fields
            if field.name not in in_path and field.enum_type is None
        }

    def text_fields(self) -> list[str]:
        """Return the full name of each text in the body."""
        names: list[str] = []
        self.body(lambda name: names.append(name) or "")  # type: ignore[func-returns-value]
        return names

    def lists(self) -> list[tuple[str, ...]]:
        """Return the path of each list in the body."""
        return _lists(self.request)


def body_routes() -> list[BodyRoute]:
    """Return the RPCs of the public API that take a JSON body."""
    routes = []
    for rpc in METHODS.values():
        rule = rpc.GetOptions().Extensions[annotations_pb2.http]
        if rule.body == "*":
            verb = rule.WhichOneof("pattern")
            routes.append(BodyRoute(rpc.name, verb.upper(), getattr(rule, verb), rpc.input_type))
    return routes


def _value(field: FieldDescriptor, texts: Texts, items: int) -> Any:
    if field.is_repeated:
        return [_single(field, texts, items) for _ in range(items)]
    return _single(field, texts, items)


def _single(field: FieldDescriptor, texts: Texts, items: int) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return texts(field.full_name)
    if field.message_type is not None:
        return {child.json_name: _value(child, texts, items) for child in field.message_type.fields}
    return 1 if field.cpp_type in NUMBERS else False


def _lists(message: Descriptor) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    for field in message.fields:
        if field.is_repeated:
            paths.append((field.json_name,))
        if field.message_type is not None:
            paths += [(field.json_name, *path) for path in _lists(field.message_type)]
    return paths
