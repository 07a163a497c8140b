"""The rules of buf.validate as keywords of JSON Schema.

A request is checked after its texts are normalized: they are trimmed and put into NFC, and duplicates go where the
proto says so. So a bound here is the bound of what is stored.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

Schema = dict[str, Any]

# The services refuse these characters in every text; CR becomes a newline.
NO_CONTROLS = r"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]*$"

# Rules in CEL that JSON Schema can say, by their id.
_CEL: dict[str, Schema] = {
    "money.decimals": {"multipleOf": 0.01},
    "money.not_zero": {"not": {"const": 0}},
}
_IGNORE_IF_ZERO_VALUE, _IGNORE_ALWAYS = 1, 3


def items_of(rules: Any) -> Any:
    """Return the rules of a list's items, or None."""
    return rules.repeated.items if rules is not None and rules.repeated.HasField("items") else None


def schema_of_rules(field: FieldDescriptor, rules: Any, *, patterns: bool = True) -> Schema:
    """Return the keywords for the rules (a buf.validate.FieldRules) of a field or of an item of a list."""
    kind = rules.WhichOneof("type")
    schema: Schema = {}
    if kind == "string":
        schema |= _string(rules.string, patterns)
    elif kind == "repeated":
        schema |= _present(rules.repeated, min_items="minItems", max_items="maxItems")
        if rules.repeated.unique:
            schema["uniqueItems"] = True
    elif kind in ("int32", "double"):
        schema |= _number(getattr(rules, kind))
    elif kind == "bool" and rules.bool.HasField("const"):
        schema["const"] = rules.bool.const
    for rule in rules.cel:
        schema |= _CEL.get(rule.id, {})
    return schema


def has_empty_value(field: FieldDescriptor, rules: Any) -> bool:
    """Return whether a field without presence may be empty: whether its rules take the zero value of its type."""
    if rules.ignore in (_IGNORE_IF_ZERO_VALUE, _IGNORE_ALWAYS):
        return True
    if any(rule.id == "money.not_zero" for rule in rules.cel):
        return False
    kind = rules.WhichOneof("type")
    of_kind: Any = getattr(rules, kind) if kind else None
    if kind == "string":
        schema = _string(of_kind, patterns=False)
        return (
            schema.get("minLength", 0) == 0
            and not {"format", "pattern"} & set(schema)
            and "" in schema.get("enum", [""])
        )
    if kind == "repeated":
        return bool(of_kind.min_items == 0)
    if kind in ("int32", "double"):
        schema = _number(of_kind)
        return (
            schema.get("minimum", 0) <= 0 <= schema.get("maximum", 0)
            and schema.get("exclusiveMinimum", -1) < 0 < schema.get("exclusiveMaximum", 1)
            and 0 in schema.get("enum", [0])
        )
    if kind == "enum":
        return 0 not in of_kind.not_in
    return not (kind == "bool" and of_kind.const)


def _string(rules: Any, patterns: bool) -> Schema:
    if allowed := list(getattr(rules, "in")):
        return {"enum": allowed}
    if rules.HasField("const"):
        return {"const": rules.const}
    for name, json_format in (("uuid", "uuid"), ("uri", "uri"), ("email", "email"), ("hostname", "hostname")):
        if getattr(rules, name):
            return {"format": json_format}
    schema = _present(rules, min_len="minLength", max_len="maxLength")
    if rules.HasField("pattern"):
        schema["pattern"] = rules.pattern
    elif patterns:
        schema["pattern"] = NO_CONTROLS
    return schema


def _number(rules: Any) -> Schema:
    schema = _present(rules, gte="minimum", gt="exclusiveMinimum", lte="maximum", lt="exclusiveMaximum", const="const")
    if allowed := list(getattr(rules, "in")):
        schema["enum"] = allowed
    # `500`, not `500.0`, where a bound is a whole number.
    return {name: _whole(value) for name, value in schema.items()}


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _present(rules: Any, **names: str) -> Schema:
    """Return the fields that are set, under their names in JSON Schema."""
    return {keyword: getattr(rules, name) for name, keyword in names.items() if rules.HasField(name)}
