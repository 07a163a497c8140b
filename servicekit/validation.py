"""Validation of requests: normalizes their texts, then checks the bounds that the protos declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from buf.validate.validate_pb2 import field as field_rules
from marketplace.common.v1.options_pb2 import Normalize
from marketplace.common.v1.options_pb2 import normalize as normalize_option
from servicekit import text
from servicekit.errors import InvalidArgument, NotFound, Violation

MAX_VIOLATIONS = 50
CONTROLS_MESSAGE = "must not contain control characters other than newline and tab"

_validator = protovalidate.Validator()


def check(request: Message, path_fields: frozenset[str] = frozenset()) -> None:
    """Normalize a request in place, then validate it.

    `path_fields` are the fields that the RPC's path contains; all of them are ids. Raises InvalidArgument with the
    violations of all other fields. When there are none, raises NotFound, named after the field, for an id in the path
    that is not a UUID, whatever characters it consists of.
    """
    ids = {request.DESCRIPTOR.fields_by_name[name]: getattr(request, name) for name in path_fields}
    violations = list(_normalize(request, ""))
    for collected in _validator.collect_violations(request):
        violation = collected.proto
        violations.append(Violation(_json_path(request.DESCRIPTOR, violation), violation.message))
    # Normalization has trimmed the ids; what it has changed was not a UUID.
    malformed = {field.json_name for field, sent in ids.items() if getattr(request, field.name) != sent.lower()}
    malformed |= {violation.field for violation in violations} & {field.json_name for field in ids}
    others = [violation for violation in violations if violation.field not in malformed]
    if others:
        raise InvalidArgument(others[:MAX_VIOLATIONS])
    for field in request.DESCRIPTOR.fields:
        if field.json_name in malformed:
            raise NotFound(field.name.removesuffix("_id").capitalize())


def _json_path(descriptor: Any, violation: Any) -> str:
    """Return the path of the violated field as a client writes it: `packages[0].deliveryDays`.

    For a rule on a whole message it is the field that the rule's id begins with: `min_price.at_most_max_price`.
    """
    if not violation.field or not violation.field.elements:
        named = descriptor.fields_by_name.get(violation.rule_id.partition(".")[0])
        return named.json_name if named else ""
    path = ""
    for element in violation.field.elements:
        field = descriptor.fields_by_name[element.field_name]
        path += ("." if path else "") + field.json_name
        if element.subscript:
            path += f"[{element.subscript.value}]"
        descriptor = field.message_type
    return path


# Normalizes one field of a message in place, given the path of the message; yields the violations of its texts.
_Step = Callable[[Message, str], Iterator[Violation]]


def _normalize(message: Message, path: str) -> Iterator[Violation]:
    for step in _steps(message.DESCRIPTOR):
        yield from step(message, path)


@cache
def _steps(descriptor: Descriptor) -> tuple[_Step, ...]:
    """Return the steps that normalize a message of this type."""
    steps: list[_Step] = []
    for field in descriptor.fields:
        child = field.message_type
        if field.type == FieldDescriptor.TYPE_STRING:
            steps.append(_texts(field) if field.is_repeated else _text(field))
        elif child is not None and child.file.package.startswith("marketplace."):
            steps.append(_messages(field))
    return tuple(steps)


def _text(field: FieldDescriptor) -> _Step:
    options = field.GetOptions()
    # Ids are matched in any letter case, so they become lower case.
    lower = options.Extensions[normalize_option].lower_case or options.Extensions[field_rules].string.uuid

    def step(message: Message, path: str) -> Iterator[Violation]:
        value = getattr(message, field.name)
        if not value:
            return
        if text.has_controls(value):
            yield Violation(path + field.json_name, CONTROLS_MESSAGE)
        changed = text.normalize(value)
        setattr(message, field.name, changed.lower() if lower else changed)

    return step


def _texts(field: FieldDescriptor) -> _Step:
    option: Normalize = field.GetOptions().Extensions[normalize_option]

    def step(message: Message, path: str) -> Iterator[Violation]:
        values = getattr(message, field.name)
        changed: Iterable[str] = [text.normalize(value) for value in values]
        for index, value in enumerate(values):
            if text.has_controls(value):
                yield Violation(f"{path}{field.json_name}[{index}]", CONTROLS_MESSAGE)
        if option.lower_case:
            changed = [value.lower() for value in changed]
        values[:] = dict.fromkeys(changed) if option.unique else changed

    return step


def _messages(field: FieldDescriptor) -> _Step:
    def step(message: Message, path: str) -> Iterator[Violation]:
        if field.is_repeated:
            for index, child in enumerate(getattr(message, field.name)):
                yield from _normalize(child, f"{path}{field.json_name}[{index}].")
        elif message.HasField(field.name):
            yield from _normalize(getattr(message, field.name), f"{path}{field.json_name}.")

    return step
