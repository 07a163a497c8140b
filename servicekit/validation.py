"""Validation of requests: cuts and normalizes their contents, then checks the bounds that the protos declare.

Counts and lengths come first. A list with too many items, and a text that is much too long, are cut before anything
looks at their contents: enough is left to break the same bound, so the violation is the same. What follows costs as
much as the largest valid request does, not as much as the largest body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, MutableSequence
from functools import cache
from typing import Any

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from buf.validate.validate_pb2 import FieldRules, StringRules
from buf.validate.validate_pb2 import field as field_rules
from marketplace.common.v1.options_pb2 import normalize as normalize_option
from servicekit import text
from servicekit.errors import InvalidArgument, NotFound, Violation

MAX_VIOLATIONS = 50
UUID_LENGTH = 36
# The most spellings of each text of a list without duplicates, such as `SEO` and `seo`. Equal ones count once.
MAX_SPELLINGS = 10
CONTROLS_MESSAGE = "must not contain control characters other than newline and tab"

_validator = protovalidate.Validator()
_UUID_RULES = FieldRules(string=StringRules(uuid=True))
# As normalization leaves it.
_NORMAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def check(request: Message, path_fields: frozenset[str] = frozenset()) -> None:
    """Cut and normalize a request in place, then validate it. Unknown fields are removed.

    `path_fields` are the fields that the RPC's path contains; all of them are ids. Raises InvalidArgument with the
    violations of all other fields. When there are none, raises NotFound, named after the field, for an id in the path
    that is not a UUID, whatever characters it consists of.
    """
    ids_alone = _ids_alone(request.DESCRIPTOR)
    if ids_alone and all(_NORMAL_UUID.fullmatch(getattr(request, name)) for name in ids_alone):
        # Nothing else could break a bound.
        request.DiscardUnknownFields()
        return
    sent = [(name, getattr(request, name)) for name in path_fields]
    violations = list(_normalize(request, ""))
    request.DiscardUnknownFields()
    collected = _validator.collect_violations(request)
    # Normalization has trimmed the ids; what it has changed was not a UUID.
    changed = {name for name, value in sent if getattr(request, name) != value.lower()}
    if not (violations or collected or changed):
        return
    violations += [Violation(_json_path(request.DESCRIPTOR, each.proto), each.proto.message) for each in collected]
    ids = {request.DESCRIPTOR.fields_by_name[name].json_name for name in path_fields}
    malformed = {request.DESCRIPTOR.fields_by_name[name].json_name for name in changed}
    malformed |= {violation.field for violation in violations} & ids
    others = [violation for violation in violations if violation.field not in malformed]
    if others:
        raise InvalidArgument(others[:MAX_VIOLATIONS])
    for field in request.DESCRIPTOR.fields:
        if field.json_name in malformed:
            raise NotFound(field.name.removesuffix("_id").capitalize())


@cache
def _ids_alone(descriptor: Descriptor) -> tuple[str, ...]:
    """Return the fields of a type of request that has only ids; none for any other type."""
    if descriptor.GetOptions().ListFields():
        return ()
    fields: list[FieldDescriptor] = list(descriptor.fields)
    is_alone = all(not field.is_repeated and _rules(field) == _UUID_RULES for field in fields)
    return tuple(field.name for field in fields) if is_alone else ()


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


def without_defaults(request: Message) -> Message:
    """Return the request without the numbers that mean the same as none: what an idempotency key is bound to."""
    defaults = _defaults(request.DESCRIPTOR)
    names = [name for name, value in defaults if request.HasField(name) and getattr(request, name) == value]
    if not names:
        return request
    copy = type(request)()
    copy.CopyFrom(request)
    for name in names:
        copy.ClearField(name)
    return copy


@cache
def _defaults(descriptor: Descriptor) -> tuple[tuple[str, int], ...]:
    """Return the names of the fields that have a default, and the defaults."""
    options = ((field.name, field.GetOptions().Extensions[normalize_option]) for field in descriptor.fields)
    return tuple((name, each.default_value) for name, each in options if each.HasField("default_value"))


# Normalizes one field of a message in place, given the path of the message; yields the violations of its texts.
_Step = Callable[[Message, str], Iterator[Violation]]


def _normalize(message: Message, path: str) -> Iterator[Violation]:
    present = {field.number for field, _ in message.ListFields()}
    for number, step in _steps(message.DESCRIPTOR):
        if number in present:
            yield from step(message, path)


def require_bounds(request: Descriptor) -> None:
    """Raise ValueError, with the field's name, when a text or a list of this type of request has no bound."""
    for field in request.fields if _is_own(request) else ():
        if field.is_repeated:
            _max_items(field)
        if field.type == FieldDescriptor.TYPE_STRING:
            _max_length(field)
        if field.type == FieldDescriptor.TYPE_BYTES and not _rules(field).bytes.HasField("max_len"):
            raise ValueError(f"{field.full_name} needs bytes.max_len")
        if field.message_type is not None:
            require_bounds(field.message_type)


def _is_own(descriptor: Descriptor) -> bool:
    return descriptor.file.package.startswith("marketplace.")


def _rules(field: FieldDescriptor) -> FieldRules:
    return field.GetOptions().Extensions[field_rules]


def _max_items(field: FieldDescriptor) -> int:
    """Return the most items of a valid list. Raises ValueError when its field declares none."""
    rules = _rules(field).repeated
    if not rules.HasField("max_items"):
        raise ValueError(f"{field.full_name} needs repeated.max_items")
    return rules.max_items


def _text_rules(field: FieldDescriptor) -> StringRules:
    rules = _rules(field)
    return rules.repeated.items.string if field.is_repeated else rules.string


def _max_length(field: FieldDescriptor) -> int:
    """Return the most code points of a valid text. Raises ValueError when its field declares none."""
    rules = _text_rules(field)
    if rules.HasField("max_len"):
        return rules.max_len
    if rules.uuid:
        return UUID_LENGTH
    allowed = getattr(rules, "in")
    if not allowed:
        raise ValueError(f"{field.full_name} needs string.max_len")
    return max(map(len, allowed))


@cache
def _steps(descriptor: Descriptor) -> tuple[tuple[int, _Step], ...]:
    """Return the steps that normalize a message of this type, with the numbers of their fields."""
    steps: list[tuple[int, _Step]] = []
    for field in descriptor.fields:
        if field.is_repeated and not _is_own(descriptor):
            steps.append((field.number, _unread_list(field)))
        elif field.type == FieldDescriptor.TYPE_STRING and _is_own(descriptor):
            steps.append((field.number, _texts(field) if field.is_repeated else _text(field)))
        elif field.message_type is not None:
            steps.append((field.number, _messages(field) if field.is_repeated else _message(field)))
    return tuple(steps)


def _normalizer(field: FieldDescriptor) -> Callable[[str], str]:
    """Return the function that normalizes a text of this field; one that is too long becomes a short one, too long."""
    max_length = _max_length(field)
    too_long = "x" * (max_length + 1)
    # Ids are matched in any letter case, so they become lower case.
    lower = field.GetOptions().Extensions[normalize_option].lower_case or _text_rules(field).uuid

    def normalize(value: str) -> str:
        changed = text.normalize(value, max_length)
        if len(changed) > max_length:
            return too_long
        return changed.lower() if lower else changed

    return normalize


def _text(field: FieldDescriptor) -> _Step:
    normalize = _normalizer(field)

    def step(message: Message, path: str) -> Iterator[Violation]:
        value = text.unify_line_ends(getattr(message, field.name))
        if not value:
            return
        if text.has_controls(value):
            yield Violation(path + field.json_name, CONTROLS_MESSAGE)
        setattr(message, field.name, normalize(value))

    return step


def _texts(field: FieldDescriptor) -> _Step:
    normalize = _normalizer(field)
    max_items = _max_items(field)
    unique: bool = field.GetOptions().Extensions[normalize_option].unique

    def step(message: Message, path: str) -> Iterator[Violation]:
        values = getattr(message, field.name)
        if unique:
            _keep_distinct(values, max_items)
        else:
            del values[max_items + 1 :]
        unified = [text.unify_line_ends(value) for value in values]
        for index, value in enumerate(unified):
            if text.has_controls(value):
                yield Violation(f"{path}{field.json_name}[{index}]", CONTROLS_MESSAGE)
        changed = [normalize(value) for value in unified]
        values[:] = dict.fromkeys(changed) if unique else changed

    return step


def _keep_distinct(values: MutableSequence[str], max_items: int) -> None:
    """Remove repeated texts. Too many different ones are replaced by short texts, one more than the list may have."""
    distinct: dict[str, None] = {}
    for value in values:
        distinct[value] = None
        if len(distinct) > max_items * MAX_SPELLINGS:
            values[:] = [str(number) for number in range(max_items + 1)]
            return
    if len(distinct) < len(values):
        values[:] = distinct


def _messages(field: FieldDescriptor) -> _Step:
    max_items = _max_items(field)

    def step(message: Message, path: str) -> Iterator[Violation]:
        children = getattr(message, field.name)
        del children[max_items + 1 :]
        for index, child in enumerate(children):
            yield from _normalize(child, f"{path}{field.json_name}[{index}].")

    return step


def _message(field: FieldDescriptor) -> _Step:
    def step(message: Message, path: str) -> Iterator[Violation]:
        if message.HasField(field.name):
            yield from _normalize(getattr(message, field.name), f"{path}{field.json_name}.")

    return step


def _unread_list(field: FieldDescriptor) -> _Step:
    """Empty a list of a message that is not ours, such as `HttpBody.extensions`: nothing here reads it."""

    def step(message: Message, path: str) -> Iterator[Violation]:
        message.ClearField(field.name)
        yield from ()

    return step
