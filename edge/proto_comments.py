"""The comments of a descriptor set, as texts for readers of the API's JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

# Field numbers in FileDescriptorProto, DescriptorProto, EnumDescriptorProto and ServiceDescriptorProto, for the paths
# of SourceCodeInfo.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
_FIELD, _NESTED, _NESTED_ENUM = 2, 3, 4
_VALUE, _METHOD = 2, 2


def read_comments(files: FileDescriptorSet) -> dict[str, str]:
    """Return the leading comments by full name; a value of an enum has the enum's name in its own.

    A paragraph is one line. Names of fields in backticks become camelCase, as in the API's JSON.
    """
    names = {field.name: field.json_name for file in files.file for field in _fields(file.message_type)}
    found: dict[str, str] = {}
    for file in files.file:
        comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        for name, path in _paths(file):
            if text := comments.get(path, "").strip():
                found[name] = _in_camel_case(_paragraphs(text), names)
    return found


def _fields(messages: Sequence[DescriptorProto]) -> Iterator[Any]:
    for message in messages:
        yield from message.field
        yield from _fields(message.nested_type)


def _paths(file: FileDescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the full name and the path of everything in a file that can have a comment."""
    package = f"{file.package}."
    for index, message in enumerate(file.message_type):
        yield from _paths_of_message(message, package, (_MESSAGE, index))
    for index, enum in enumerate(file.enum_type):
        yield from _paths_of_parts(enum.value, package + enum.name, (_ENUM, index), _VALUE)
    for index, service in enumerate(file.service):
        yield from _paths_of_parts(service.method, package + service.name, (_SERVICE, index), _METHOD)


def _paths_of_message(
    message: DescriptorProto, scope: str, path: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    name = scope + message.name
    yield from _paths_of_parts(message.field, name, path, _FIELD)
    for index, nested in enumerate(message.nested_type):
        yield from _paths_of_message(nested, f"{name}.", (*path, _NESTED, index))
    for index, enum in enumerate(message.enum_type):
        yield from _paths_of_parts(enum.value, f"{name}.{enum.name}", (*path, _NESTED_ENUM, index), _VALUE)


def _paths_of_parts(
    parts: Sequence[Any], name: str, path: tuple[int, ...], number: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield name, path
    for index, part in enumerate(parts):
        yield f"{name}.{part.name}", (*path, number, index)


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))


def _in_camel_case(text: str, names: dict[str, str]) -> str:
    return re.sub(r"`([a-z]+(?:_[a-z]+)+)`", lambda match: f"`{names.get(match[1], match[1])}`", text)
