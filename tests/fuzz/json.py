"""Mutated JSON bodies for every RPC that takes one, through the real edge.

Names are escaped in all ways and stand in both spellings, camelCase and the proto's own; values have wrong types;
members stand twice; there are huge numbers, surrogates, unknown members, deep nesting, and texts that are not JSON. The
oracle reads the text with Python's `json` and the types from the protos' Python classes, and shares nothing with the
edge.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from edge import contract
from tests.fuzz import Options, Result
from tests.support.protos import MESSAGES
from tests.support.stack import Stack
from tests.support.story import a_gig, a_name

MAX_DEPTH = 100
MAX_INT = 2**31 - 1
# Inputs between two looks at the gig.
LOOK_EVERY = 20

Violation = tuple[str, str]


class Members(list[tuple[str, Any]]):
    """The members of an object, those with the same name included."""


def fuzz(stack: Stack, options: Options) -> Result:
    """Send bodies until the end of the options. A fault: a 5xx, a wrong type that is no 400, a 400 that has written."""
    result, chance = Result(), random.Random(options.seed)
    routes = [route for route in contract.load().routes if route.body]
    with stack.client(a_name("json"), "seller", "buyer", "admin") as client:
        created = client.post("/api/gigs", json=a_gig())
        assert created.status_code == 201, created.text
        gig, known = created.json()["id"], ""
        sellers = f"/api/gigs?sellerId={_subject(client)}"
        gigs = 1
        while not options.is_over(result.inputs):
            route = chance.choice(routes)
            body = _body(chance, MESSAGES[route.body])
            path = _path(chance, route.path, gig)
            try:
                response = client.request(
                    route.method, path, content=body, headers={"content-type": "application/json"}
                )
            except httpx.HTTPError as error:
                result.count("closed")
                result.faults.append(f"{route.name}: {error!r} to {body!r}")
                continue
            result.count(response.status_code)
            gigs += route.name == "POST /api/gigs" and response.is_success
            if fault := _fault(response, body, route.body):
                result.faults.append(f"{route.name}: {fault}: {response.status_code} {response.text} to {body!r}")
            if response.is_success or not known:
                known = client.get(f"/api/gigs/{gig}").text
            elif result.inputs % LOOK_EVERY == 0 and client.get(f"/api/gigs/{gig}").text != known:
                result.faults.append(f"a refused body has changed the gig, before {body!r}")
        statuses = ("ACTIVE", "PAUSED", "SUSPENDED")
        found = sum(client.get(f"{sellers}&status={status}").json()["total"] for status in statuses)
        if found != gigs <= 1000:
            result.faults.append(f"{gigs} gigs were created, and there are {found}")
    return result


def expected(body: bytes, message: str) -> Violation | None:
    """Return field and message of the violation of a body; no field for the whole text; None without a violation."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=Members, parse_int=float, parse_float=float, parse_constant=_refuse
        )
        depth = _depth(value)
    except (ValueError, RecursionError):
        # Nesting may be what stops either reader first.
        return "", ""
    if depth > MAX_DEPTH:
        return "", "The request body is nested too deeply"
    if not isinstance(value, Members):
        return "", "The request body must be a JSON object"
    return _of_object(value, MESSAGES[message], "")


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _depth(value: Any) -> int:
    if isinstance(value, Members):
        return max((_depth(each) + 1 for _, each in value), default=0)
    return max((_depth(each) + 1 for each in value), default=0) if isinstance(value, list) else 0


def _of_object(members: Members, message: Descriptor, path: str) -> Violation | None:
    for name, value in members:
        field = next((each for each in message.fields if name in (each.name, each.json_name)), None)
        if field is None or value is None:
            continue
        shown = f"{path}.{field.json_name}" if path else field.json_name
        found = _of_list(value, field, shown) if field.is_repeated else _of_value(value, field, shown)
        if found:
            return found
    return None


def _of_list(value: Any, field: FieldDescriptor, path: str) -> Violation | None:
    if isinstance(value, Members) or not isinstance(value, list):
        return path, "must be a list"
    found = (_of_value(each, field, f"{path}[{index}]") for index, each in enumerate(value) if each is not None)
    return next((each for each in found if each), None)


def _of_value(value: Any, field: FieldDescriptor, path: str) -> Violation | None:
    number = isinstance(value, float)
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE if field.message_type is not None:
            if not isinstance(value, Members):
                return path, "must be an object"
            return _of_object(value, field.message_type, path)
        case FieldDescriptor.TYPE_STRING:
            return None if isinstance(value, str) else (path, "must be a string")
        case FieldDescriptor.TYPE_BOOL:
            return None if isinstance(value, bool) else (path, "must be true or false")
        case FieldDescriptor.TYPE_DOUBLE:
            return None if number and abs(value) != float("inf") else (path, "must be a number")
        case FieldDescriptor.TYPE_INT32:
            good = number and abs(value) != float("inf") and value % 1 == 0 and -MAX_INT - 1 <= value <= MAX_INT
            return None if good else (path, "must be a whole number")
        case _:
            assert field.enum_type is not None
            names = [each.name for each in field.enum_type.values if each.number]
            return None if isinstance(value, str) and value in names else (path, "must be one of " + ", ".join(names))


def _fault(response: httpx.Response, body: bytes, message: str) -> str | None:
    """Return the fault of a response, or None."""
    if response.status_code >= 500:
        return "a 5xx"
    violation = expected(body, message)
    if violation is None:
        return None
    if response.status_code != 400:
        return f"{violation} is no 400"
    error, (field, text) = response.json(), violation
    if field and error.get("details") != [{"field": field, "message": text}]:
        return f"{violation} is not named"
    return None if field or error["error"].startswith(text) else f"{violation} is not told"


def _subject(client: httpx.Client) -> UUID:
    """Return the `sub` of the client's token."""
    claims = client.headers["authorization"].split(".")[1]
    return UUID(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])


def _path(chance: random.Random, template: str, gig: str) -> str:
    """Return a path of a template: the fuzzer's own gig, and other things that do not exist."""
    segments = []
    for segment in template.split("/"):
        if segment == "{gig_id}" and chance.random() < 0.8:
            segments.append(gig)
        elif segment.startswith("{"):
            segments.append(str(UUID(int=chance.getrandbits(128))))
        else:
            segments.append(segment)
    return "/".join(segments)


def _body(chance: random.Random, message: Descriptor) -> bytes:
    text = _object(chance, message, 0)
    if chance.random() < 0.1:
        depth = chance.choice([90, 98, 99, 100, 101, 150, 2000])
        opening, closing = chance.choice([("[", "]"), ('{"a":', "}")])
        text = f'{{"x":{opening * depth}1{closing * depth},{text[1:]}' if len(text) > 2 else text
    body = text.encode("utf-8", "surrogatepass")
    while chance.random() < 0.07:
        start = chance.randrange(len(body) + 1)
        stop = min(len(body), start + chance.randrange(3))
        piece = chance.choice(
            [b"'", b'"', b",", b":", b"{", b"}", b"]", b"\\", b"\\u00", b"\0", b"\x0c", b"\xff", b"\xef\xbb\xbf", b"//"]
        )
        body = body[:start] + piece + body[stop:]
    return body


def _object(chance: random.Random, message: Descriptor, depth: int) -> str:
    members = []
    for field in message.fields:
        for _ in range(chance.choice([0, 1, 1, 1, 1, 2])):
            name = _string(chance, chance.choice([field.name, field.json_name]), escaped=chance.random() < 0.3)
            members.append(f"{name}{_space(chance)}:{_space(chance)}{_value(chance, field, depth)}")
    if chance.random() < 0.3:
        members.append(f"{_string(chance, chance.choice(['x', '', '@type', 'é', 'Price']))}:{_junk(chance, 3)}")
    if chance.random() < 0.3:
        chance.shuffle(members)
    if chance.random() < 0.03:
        # Beyond JSON: what some parsers take.
        members = [member.replace('"', "'", 2) for member in members]
    return "{" + f"{_space(chance)},".join(members) + _space(chance) + "}"


def _value(chance: random.Random, field: FieldDescriptor, depth: int) -> str:
    if chance.random() < 0.05:
        return _junk(chance, 3)
    if field.is_repeated:
        items = [_item(chance, field, depth) for _ in range(chance.choice([0, 1, 1, 2, 3]))]
        return f"[{','.join(items)}]"
    return _item(chance, field, depth)


def _item(chance: random.Random, field: FieldDescriptor, depth: int) -> str:
    if chance.random() < 0.05:
        return _junk(chance, 2)
    if field.message_type is not None:
        return _object(chance, field.message_type, depth + 1)
    if field.enum_type is not None:
        return _string(chance, chance.choice(field.enum_type.values).name, escaped=chance.random() < 0.3)
    makers: dict[int, Callable[[], str]] = {
        FieldDescriptor.TYPE_STRING: lambda: _string(chance, chance.choice(["a text", str(UUID(int=5)), "", "é😀"])),
        FieldDescriptor.TYPE_BOOL: lambda: chance.choice(["true", "false"]),
        FieldDescriptor.TYPE_DOUBLE: lambda: chance.choice(["5", "5.0", "19.99", "-1", "1e2", "0"]),
        FieldDescriptor.TYPE_INT32: lambda: chance.choice(["5", "5.0", "1e1", "-1", "2147483647"]),
    }
    return makers[field.type]()


def _junk(chance: random.Random, depth: int) -> str:
    """Return any JSON value."""
    kind = chance.randrange(7 if depth else 5)
    if kind == 0:
        return chance.choice(["null", "true", "false"])
    if kind == 1:
        numbers = ["0", "-0", "1.5", "1e309", "-1e309", "1e-999", "2147483648", "1e9999999999", "9" * 400, "0e99"]
        return chance.choice(numbers)
    if kind in (2, 3):
        return _string(chance, chance.choice(["5", "7", "true", "ACTIVE", "NaN", "a\x00b", "\u202e", "x" * 300, ""]))
    if kind == 4:
        return chance.choice(['"\\ud800"', '"\\udfff\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"'])
    if kind == 5:
        return f"[{','.join(_junk(chance, depth - 1) for _ in range(chance.randrange(3)))}]"
    members = (f"{_string(chance, 'price')}:{_junk(chance, depth - 1)}" for _ in range(chance.randrange(3)))
    return "{" + ",".join(members) + "}"


def _string(chance: random.Random, text: str, *, escaped: bool = False) -> str:
    """Return a JSON string; with `escaped`, some of its characters are escaped."""
    pieces = []
    for character in text:
        if escaped and chance.random() < 0.4 and ord(character) < 0x10000:
            digits = f"{ord(character):04x}"
            pieces.append("\\u" + "".join(chance.choice([digit, digit.upper()]) for digit in digits))
        else:
            pieces.append(json.dumps(character, ensure_ascii=False)[1:-1])
    return f'"{"".join(pieces)}"'


def _space(chance: random.Random) -> str:
    return chance.choice(["", "", "", "", " ", "\n\t", "\r"])
