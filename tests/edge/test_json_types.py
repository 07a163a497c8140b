"""The check of JSON types against Python's `json`, in LuaJIT as in Envoy, with generated texts."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.scripts import Scripts

MAX_DEPTH = 100
MAX_INT = 2**31 - 1

Type = dict[str, Any]
VALUES: Type = {"kind": "enum", "values": {"ON": True, "OFF": True}, "expected": "ON, OFF"}
# The second name of a field, as in a proto, is told by the first.
MESSAGES: dict[str, dict[str, Type]] = {
    "Parent": {
        "text": {"kind": "string"},
        "whole": {"kind": "int"},
        "deliveryDays": {"kind": "int"},
        "delivery_days": {"kind": "int", "camel_case": "deliveryDays"},
        "number": {"kind": "number"},
        "flag": {"kind": "bool"},
        "choice": VALUES,
        "texts": {"kind": "list", "item": {"kind": "string"}},
        "wholes": {"kind": "list", "item": {"kind": "int"}},
        "choices": {"kind": "list", "item": VALUES},
        "child": {"kind": "object", "message": "Child"},
        "children": {"kind": "list", "item": {"kind": "object", "message": "Child"}},
        "more_children": {"kind": "list", "item": {"kind": "object", "message": "Child"}, "camel_case": "moreChildren"},
    },
    "Child": {
        "text": {"kind": "string"},
        "number": {"kind": "number"},
        "child": {"kind": "object", "message": "Child"},
        "max_price": {"kind": "number", "camel_case": "maxPrice"},
    },
}
EXPECTED = {
    "string": "must be a string",
    "int": "must be a whole number",
    "number": "must be a number",
    "bool": "must be true or false",
    "enum": "must be one of ON, OFF",
    "list": "must be a list",
    "object": "must be an object",
}
JSON_KINDS = {"int": "number", "enum": "string"}


NOT_JSON = ("", "The request body is not valid JSON")
TOO_DEEP = ("", "The request body is nested too deeply")
NOT_AN_OBJECT = ("", "The request body must be a JSON object")


class NotJson(Exception):
    """A text that is not JSON."""


class TooDeep(Exception):
    """A text that is nested too deeply."""


class Members(list[tuple[str, Any]]):
    """The members of an object, those with the same name included."""


def parse(text: bytes) -> Any:
    """Return what Python reads. All numbers are floats. Raises NotJson."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)  # NaN and infinities are not JSON

    try:
        return json.loads(
            text.decode(), object_pairs_hook=Members, parse_int=float, parse_float=float, parse_constant=refuse
        )
    except (ValueError, RecursionError) as error:
        raise NotJson from error


def kind_of(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {str: "string", float: "number", bool: "bool", Members: "object", list: "list"}
    return kinds[type(value)]


def first_violation(value: Any, type_: Type | None, path: str, depth: int = 0) -> tuple[str, str] | None:
    """Return path and message of the first value of a wrong type, in the order of the text. Raises TooDeep."""
    if depth > MAX_DEPTH:
        raise TooDeep
    found: tuple[str, str] | None = None
    kind = kind_of(value)
    if type_ is not None and kind != "null" and not is_right(value, kind, type_):
        found = (path, EXPECTED[type_["kind"]])
    if type_ is not None and kind != JSON_KINDS.get(type_["kind"], type_["kind"]):
        type_ = None
    if isinstance(value, Members):
        for name, member in value:
            field = MESSAGES[type_["message"]].get(name) if type_ else None
            shown = field.get("camel_case", name) if field else name
            inner = first_violation(member, field, f"{path}.{shown}" if path else shown, depth + 1)
            found = found or inner
    elif isinstance(value, list):
        for index, item in enumerate(value):
            inner = first_violation(item, type_["item"] if type_ else None, f"{path}[{index}]", depth + 1)
            found = found or inner
    return found


def is_right(value: Any, kind: str, type_: Type) -> bool:
    if type_["kind"] == "enum":
        return kind == "string" and value in type_["values"]
    if type_["kind"] == "int":
        return kind == "number" and value % 1 == 0 and -MAX_INT - 1 <= value <= MAX_INT
    if type_["kind"] == "number":
        return kind == "number" and math.isfinite(value)
    return kind == str(type_["kind"])


def expected(text: bytes) -> tuple[str, str] | None:
    """Return the violation that Python's reading leads to: path and message, or no path and the whole error."""
    try:
        found = first_violation(parse(text), {"kind": "object", "message": "Parent"}, "")
    except NotJson:
        return NOT_JSON
    except TooDeep:
        return TOO_DEEP
    return NOT_AN_OBJECT if found and not found[0] else found


def as_bytes(value: Any) -> Any:
    """Return a table with bytes instead of texts, as Lua has them."""
    if isinstance(value, dict):
        return {as_bytes(name): as_bytes(each) for name, each in value.items()}
    return value.encode() if isinstance(value, str) else value


SCRIPTS = Scripts()
SCRIPTS.set_messages(as_bytes(MESSAGES))
CHECK = SCRIPTS.module("json_types")[b"check"]


def checked(text: bytes) -> tuple[str, str] | None:
    """Return path and message of the script's violation, or no path and its whole text."""
    violation = CHECK(text, b"Parent")
    if violation is None:
        return None
    if violation[b"text"]:
        return "", violation[b"text"].decode()
    return violation[b"field"].decode(), violation[b"message"].decode()


@st.composite
def spellings(draw: st.DrawFn, text: str) -> str:
    """Draw a JSON string of this text, with any of its characters escaped."""
    pieces = []
    for character in text:
        code = ord(character)
        escapes = [f"\\u{code:04x}", f"\\u{code:04X}"] if code < 0x10000 else [character]
        plain = [] if code < 0x20 or character in '"\\' or 0xD800 <= code < 0xE000 else [character] * 4
        short = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\n": "\\n", "\t": "\\t", "\b": "\\b", "\f": "\\f", "\r": "\\r"}
        pieces.append(draw(st.sampled_from(plain + escapes + ([short[character]] if character in short else []))))
    return f'"{"".join(pieces)}"'


SPACE = st.sampled_from(["", "", "", " ", "\n", "\t\r "])
NAMES = sorted({name for fields in MESSAGES.values() for name in fields})
CHARACTERS = st.one_of(
    st.characters(exclude_categories=()), st.sampled_from('\0\x1f\x7f"\\/\ud800\udfff\ufeff😀é\u2028')
)
STRINGS = st.one_of(
    st.sampled_from(["ON", "OFF", "on", "", "5", "true", "NaN", *NAMES]), st.text(CHARACTERS, max_size=8)
).flatmap(spellings)
NUMBERS = st.one_of(
    st.sampled_from(["0", "-0", "5", "5.0", "1e1", "1E+2", "1.5", "10e-1", "1e308", "1e309", "-1e309", "1e-999"]),
    st.sampled_from(["2147483647", "2147483648", "-2147483648", "-2147483649", "2147483647.0000001"]),
    st.sampled_from(["1e9999999999", "1e-9999999999", "0.0e9999999999", "1" * 900, "1" + "0" * 300 + "e-300"]),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,6})?\Z"),
)
SCALARS = st.one_of(st.sampled_from(["null", "true", "false"]), NUMBERS, STRINGS)
MEMBER_NAMES = st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES), st.text(max_size=3)).flatmap(spellings)


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    items = st.lists(st.tuples(SPACE, inner, SPACE).map("".join), max_size=4)
    members = st.lists(
        st.tuples(SPACE, MEMBER_NAMES, SPACE, st.just(":"), SPACE, inner, SPACE).map("".join), max_size=6
    )
    return st.one_of(
        st.tuples(SPACE, items).map(lambda each: f"[{','.join(each[1]) or each[0]}]"),
        st.tuples(SPACE, members).map(lambda each: f"{{{','.join(each[1]) or each[0]}}}"),
    )


VALUE = st.recursive(SCALARS, containers, max_leaves=12)
OBJECTS = containers(VALUE)
TEXTS = st.tuples(SPACE, st.one_of(OBJECTS, OBJECTS, VALUE), SPACE).map("".join)


@settings(max_examples=250, deadline=None)
@given(TEXTS)
@example('{"text": "a", "text": 5}')
@example('{"text": 5, "text": "a"}')
@example('{"\\u0074ext": 5}')
@example('{"choice": "\\u004fN"}')
@example('{"delivery_days": "7"}')
@example('{"delivery\\u005fdays": "7"}')
@example('{"delivery\\u0044ays": "7"}')
@example('{"deliveryDays": 7, "delivery_days": "7"}')
@example('{"delivery_days": "7", "deliveryDays": 7}')
@example('{"more_children": [{}, {"max\\u005Fprice": "5"}]}')
@example('{"whole": 2147483647, "wholes": [-2147483648, 2147483648]}')
@example('{"whole": -2147483649}')
@example('{"x": 1e9999999999, "text": 5}')
@example('{"number": 1e9999999999}')
@example('{"number": 1e-9999999999, "whole": 0e9999999999}')
@example('{"text": "\\ud800", "flag": 1}')
@example('{"children": [{}, {"child": {"number": "1"}}]}')
def test_json_gets_the_violation_that_its_types_have(text: str) -> None:
    content = text.encode()
    parse(content)  # it is JSON

    assert checked(content) == expected(content)


PIECES = st.one_of(
    st.sampled_from(
        [b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"}}", b"'", b"/*", b" ", b"\0", b"\x0b", b"\x1f"]
    ),
    st.sampled_from([b"0", b"01", b"-", b".", b"e", b"tru", b"nul", b"NaN", b"Infinity", b"\\u", b"\\x", b"\\ud800"]),
    st.sampled_from([b"\xff", b"\xc3", b"\xa9", b"\xc2\xa0", b"\xed\xa0\x80", b"\xef\xbb\xbf"]),
    st.sampled_from([b'"text":5', b'"choice":"ON"', b'{"text":']),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw JSON in which pieces are replaced, inserted or cut out."""
    content = draw(TEXTS).encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(len(content), start + 3)))
        content = content[:start] + draw(st.one_of(PIECES, st.binary(max_size=2))) + content[stop:]
    return content


@settings(max_examples=250, deadline=None)
@given(st.one_of(damaged(), st.lists(PIECES, max_size=12).map(b"".join), st.binary(max_size=20)))
@example(b"")
@example(b" ")
@example(b'{"text": 5')
@example(b'{"text": 5} x')
@example(b'{"text": 05}')
@example(b'{"text": 5, "x": "\xff"}')
@example(b'{"text": 5, "x": "\t"}')
@example(b'{"text": 5, "x": "\\u12"}')
@example(b'{"text": 5, "x": "\\')
@example(b'{"text": 5, "x": 1.}')
@example(b'{"text": 5, "x": 1e}')
@example(b'{"text": 5, "x": -}')
@example(b'{"text": 5, "x": [1,]}')
@example(b'{"text": 5,}')
@example(b'\xef\xbb\xbf{"text": 5}')
@example(b"{'text': 5}")
@example(b"{text: 5}")
@example(b'{"text": "\\x41"}')
@example(b'\x0c{"text": "a"}')
def test_a_text_that_python_refuses_is_not_json(content: bytes) -> None:
    assert checked(content) == expected(content)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"child":', "}")])
@pytest.mark.parametrize("depth", [1, 98, 99, 100, 101, 250])
def test_json_is_read_as_deep_as_the_transcoder_does(opening: str, closing: str, depth: int) -> None:
    content = f'{{"x": {opening * depth}1{closing * depth}, "text": 5}}'.encode()

    assert checked(content) == expected(content) == (("text", EXPECTED["string"]) if depth < MAX_DEPTH else TOO_DEEP)


def test_deeper_json_is_refused_however_deep() -> None:
    assert checked(b'{"text": 5, "x": ' + b"[" * 500_000 + b"]" * 500_000 + b"}") == TOO_DEEP
