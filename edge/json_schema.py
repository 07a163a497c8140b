"""JSON Schema (2020-12) of the protos' messages, as the API's JSON shows them.

    schemas = Schemas()                                   # nested messages are `$ref`s into `#/components/schemas/`
    schemas.message("marketplace.gig.v1.Gig", "response")  # the schema of an object
    schemas.components                                    # the schemas that the `$ref`s so far lead to, by their name

`Schemas(base="")` writes nested messages out in place instead. Descriptions are the protos' comments, bounds are
buf.validate's rules. What a bound of JSON Schema cannot say stands in the comments.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from edge.contract import DESCRIPTOR_SET, ContractError, pool_of
from edge.proto_comments import read_comments
from edge.rule_schema import has_empty_value, items_of, schema_of_rules

Schema = dict[str, Any]
Direction = Literal["request", "response"]

_SCALARS: dict[int, Schema] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
}
_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Struct": {"type": "object"},
}
# Values of google.api.FieldBehavior.
_REQUIRED, _OUTPUT_ONLY, _INPUT_ONLY = 2, 3, 4


class Schemas:
    """The schemas of one descriptor set.

    `base` is the beginning of each `$ref`; when it is empty, nested messages and enums are written out in place.
    `patterns` says whether the texts of requests have a pattern that excludes control characters.
    """

    def __init__(
        self, descriptor_set: Path = DESCRIPTOR_SET, *, base: str = "#/components/schemas/", patterns: bool = True
    ) -> None:
        files = FileDescriptorSet.FromString(descriptor_set.read_bytes())
        self._pool = pool_of(files)
        self._comments = read_comments(files)
        self._base = base
        self._patterns = patterns
        self._open: list[str] = []
        self.components: dict[str, Schema] = {}
        """The schemas that the `$ref`s so far lead to, by their name."""

    def message(self, full_name: str, direction: Direction, *, without: Collection[str] = ()) -> Schema:
        """Return the schema of a message's JSON object.

        `without` has the proto names of the fields to leave out, such as those of the path. Raises ContractError for
        a field whose type the API's JSON does not have.
        """
        return self._message(self._pool.FindMessageTypeByName(full_name), direction, without)

    def reference(self, full_name: str, direction: Direction) -> Schema:
        """Return a `$ref` to the schema of a message, which becomes a component; without a base the schema itself."""
        return self._message_value(self._pool.FindMessageTypeByName(full_name), direction)

    def fields(self, full_name: str) -> list[str]:
        """Return the full names of the fields of a message."""
        return [field.full_name for field in self._pool.FindMessageTypeByName(full_name).fields]

    def json_name(self, full_name: str) -> str:
        """Return the name of a field in JSON: `pageSize`."""
        return self._pool.FindFieldByName(full_name).json_name

    def message_of(self, full_name: str) -> str:
        """Return the full name of the message that is the value of a field."""
        message = self._pool.FindFieldByName(full_name).message_type
        assert message is not None
        return message.full_name

    def field(self, full_name: str, direction: Direction) -> Schema:
        """Return the schema of one field, `marketplace.gig.v1.SearchGigsRequest.page_size`, with its description."""
        return self._field(self._pool.FindFieldByName(full_name), direction)

    def is_required(self, full_name: str, direction: Direction) -> bool:
        """Return whether a request must have the field, or every response has it."""
        return self._is_required(self._pool.FindFieldByName(full_name), direction)

    def comment(self, full_name: str) -> str:
        """Return the comment of a message, field, enum, value, service or RPC; field names are those of the JSON."""
        return self._comments.get(full_name, "")

    def _message(self, message: Descriptor, direction: Direction, without: Collection[str] = ()) -> Schema:
        if message.full_name in self._open:
            raise ContractError(f"{message.full_name} contains itself")
        self._open.append(message.full_name)
        hidden = _INPUT_ONLY if direction == "response" else _OUTPUT_ONLY
        fields = [
            field
            for field in message.fields
            if field.name not in without and hidden not in self._behavior(field)
        ]  # fmt: skip
        schema: Schema = {"type": "object"}
        if comment := self.comment(message.full_name):
            schema["description"] = comment
        schema["properties"] = {field.json_name: self._field(field, direction) for field in fields}
        if required := [field.json_name for field in fields if self._is_required(field, direction)]:
            schema["required"] = required
        self._open.pop()
        return schema

    def _field(self, field: FieldDescriptor, direction: Direction) -> Schema:
        rules = self._rules(field) if direction == "request" else None
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name
            schema: Schema = {"type": "object"}
            if entry["key"].type == FieldDescriptor.TYPE_INT32:
                schema["propertyNames"] = {"pattern": "^-?[0-9]+$"}
            schema["additionalProperties"] = self._value(entry["value"], direction, None)
        elif field.is_repeated:
            items = self._value(field, direction, items_of(rules))
            schema = {"type": "array", "items": items, **(schema_of_rules(field, rules) if rules else {})}
        else:
            schema = self._value(field, direction, rules)
        if comment := self.comment(field.full_name):
            schema["description"] = comment
        if field.GetOptions().deprecated:
            schema["deprecated"] = True
        return schema

    def _value(self, field: FieldDescriptor, direction: Direction, rules: Any) -> Schema:
        """Return the schema of one value of a field; the rules are those of the value."""
        if field.message_type is not None:
            return self._message_value(field.message_type, direction)
        if field.enum_type is not None:
            return self._refer(field.enum_type, _enum_schema(field.enum_type, self._comments))
        if field.type not in _SCALARS:
            raise ContractError(f"{field.full_name}: is of a type that the API's JSON does not have")
        schema = dict(_SCALARS[field.type])
        if field.type == FieldDescriptor.TYPE_STRING:
            schema |= self._format(field)
        if direction == "request" and field.type == FieldDescriptor.TYPE_INT32:
            schema |= {"minimum": -(2**31), "maximum": 2**31 - 1}
        if rules is not None:
            schema |= schema_of_rules(field, rules, patterns=self._patterns)
        normalize = self._extension(field, "marketplace.common.v1.normalize")
        if normalize is not None and normalize.HasField("default_value"):
            schema["default"] = normalize.default_value
        return schema

    def _message_value(self, message: Descriptor, direction: Direction) -> Schema:
        if message.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[message.full_name])
        if message.full_name.startswith("google."):
            raise ContractError(f"{message.full_name} has no form in the API's JSON")
        return self._refer(message, self._message(message, direction))

    def _refer(self, target: Descriptor | EnumDescriptor, schema: Schema) -> Schema:
        """Return a `$ref` to a schema, which becomes a component, or the schema itself."""
        if not self._base:
            return schema
        name = component_name(target)
        if self.components.setdefault(name, schema) != schema:
            raise ContractError(f"{target.full_name}: there is another {name}, with another schema")
        return {"$ref": self._base + name}

    def _format(self, field: FieldDescriptor) -> Schema:
        """Return the format that a text has by the API's conventions of names and comments."""
        name = field.name
        if name == "id" or name.endswith("_id"):
            return {"format": "uuid"}
        if name == "url" or name.endswith("_url"):
            return {"format": "uri"}
        return {"format": "date-time"} if "RFC 3339" in self.comment(field.full_name) else {}

    def _is_required(self, field: FieldDescriptor, direction: Direction) -> bool:
        if _REQUIRED in self._behavior(field):
            return True
        is_optional = _is_optional(field)
        if direction == "response":
            # The edge prints the empty value of every field that is not `optional`.
            return not is_optional
        rules = self._rules(field)
        return rules is not None and (bool(rules.required) or not (is_optional or has_empty_value(field, rules)))

    def _rules(self, field: FieldDescriptor) -> Any:
        """Return the field's buf.validate.FieldRules, or None without any."""
        return self._extension(field, "buf.validate.field")

    def _behavior(self, field: FieldDescriptor) -> Collection[int]:
        """Return the values of google.api.field_behavior."""
        return self._extension(field, "google.api.field_behavior") or ()

    def _extension(self, field: FieldDescriptor, name: str) -> Any:
        try:
            extension: Any = self._pool.FindExtensionByName(name)
        except KeyError:  # no proto of the set uses it
            return None
        options: Any = message_factory.GetMessageClass(
            self._pool.FindMessageTypeByName("google.protobuf.FieldOptions")
        )()
        options.ParseFromString(field.GetOptions().SerializeToString())
        if extension.is_repeated:
            return list(options.Extensions[extension])
        return options.Extensions[extension] if options.HasExtension(extension) else None


def component_name(target: Descriptor | EnumDescriptor) -> str:
    """Return the name of a message or an enum without its package: `OrderPayment` for `…v1.Order.Payment`."""
    return target.full_name.removeprefix(target.file.package + ".").replace(".", "")


def _is_optional(field: FieldDescriptor) -> bool:
    """Return whether a message may be without the field: it is `optional`, or one of several."""
    return field.containing_oneof is not None


def _enum_schema(enum: EnumDescriptor, comments: dict[str, str]) -> Schema:
    """Return the schema of an enum by the names of its values; the zero value is never written."""

    def lines() -> Iterator[str]:
        for value in values:
            # The full name of a value has the enum's own scope, not the enum.
            if comment := comments.get(f"{enum.full_name}.{value.name}"):
                yield f"- `{value.name}`: {comment}"

    values = [value for value in enum.values if value.number]
    schema: Schema = {"type": "string", "enum": [value.name for value in values]}
    description = "\n".join([*filter(None, [comments.get(enum.full_name)]), "", *lines()]).strip()
    if description:
        schema["description"] = re.sub(r"\n{3,}", "\n\n", description)
    return schema
