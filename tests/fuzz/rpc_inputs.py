"""Values that have broken programs, and mutations of good ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

VALUES = (
    "",
    " ",
    "0",
    "-1",
    "1.5",
    "NaN",
    "Infinity",
    "1e999",
    "9" * 30,
    "9" * 5000,
    str(2**63),
    str(2**31),
    "null",
    "true",
    "\0",
    "a\0b",
    "a\tb",
    "a\nb",
    "\u202e",
    "\u00e9",
    "\u0661",
    "\U0001f600",
    "e" + "\u0301" * 300,
    "x" * 5000,
    "'",
    "' OR 1=1 --",
    "'a':*",
    "\\",
    "%",
    "%00",
    "{}",
    "[" * 900,
    "../..",
    "newest",
    "ACTIVE",
    "buyer",
    "seller",
    "admin",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31 23:59:59.999999+00:00",
    "2026-02-30T10:00:00Z",
    "550e8400-e29b-41d4-a716-446655440000",
    "550E8400-E29B-41D4-A716-446655440000",
    "{550e8400-e29b-41d4-a716-446655440000}",
    "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
)
HEADERS = {
    "idempotency-key": ("key-1", "x" * 255, "x" * 256, " ", "\u00e9"),
    "if-match": ('"1-0-1"', 'W/"1-0-1"', '"1-0-1", "2-0-1"', "*", '"', '""', '"9' + "9" * 5000 + '-0-1"'),
    "if-none-match": ('"1-0-1"', "*", '"'),
    "traceparent": ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "\t", "00-" + "0" * 32),
    "tracestate": ("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "=", "a=\t"),
    "x-request-id": ("abc", "x" * 64, "x" * 65, "a b"),
    "x-forwarded-for": ("1.2.3.4", "\u00e9", ","),
    "stripe-signature": ("t=1,v1=00", "t=x", "t=" + "9" * 400 + ",v1=00", "\u00e9"),
    "last-event-id": ("1", "-1", "x"),
    "grpc-timeout": ("10S", "99999999H"),
    "content-language": ("en",),
}
_PIECES = ("\0", "\t", "\n", "\r", " ", "\u00e9", "\x7f", "\u202e", "%", "'", '"', "\\", ",", "-", "9" * 30, "\ufffd")


def sometimes(random: Random, chance: float, change: Callable[[], T], value: T) -> T:
    """Return the changed value with this chance, else the value."""
    return change() if random.random() < chance else value


def mutate(random: Random, text: str) -> str:
    """Return the text with one to three changes, or a value of VALUES."""
    if random.random() < 0.2:
        return random.choice(VALUES)
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(text) + 1)
        match random.randrange(5):
            case 0:
                text = text[:at] + random.choice(_PIECES) + text[at:]
            case 1:
                text = text[:at] + text[at + 1 :]
            case 2:
                text = text[:at] + chr(random.randrange(1, 256)) + text[at + 1 :]
            case 3:
                text = text[:at]
            case _:
                text = text.swapcase() if random.random() < 0.5 else text + text
    return text


def mutate_token(random: Random, payload: bytes) -> bytes:
    """Return the payload of a page token as it is, or with other bytes or other parts."""
    match random.randrange(4):
        case 0:
            return payload
        case 1:
            changed = bytearray(payload)
            for _ in range(random.choice((1, 2, 5))):
                changed[random.randrange(len(changed))] = random.randrange(256)
            return bytes(changed)
        case 2:
            return random.choice((b"", b"[]", b"{}", b"null", b"NaN", b"[" * 700, b"\xff", b'"x"', b"[[]]"))
    parts: list[Any] = json.loads(payload)
    for _ in range(random.choice((1, 1, 2))):
        if parts:
            parts[random.randrange(len(parts))] = _part(random, random.choice(parts))
    if random.random() < 0.1:
        parts.append("x")
    return json.dumps(parts).encode()


def _part(random: Random, part: Any) -> Any:
    """Return another part of a sort key."""
    odd: tuple[Any, ...] = (None, True, 5, 10**30, float("nan"), [], {}, ["x"], "\ud800", '{"a": []}', '{"a": ["\'b"]}')
    if random.random() < 0.3:
        return random.choice(odd)
    return random.choice(VALUES)[:200] if random.random() < 0.5 else mutate(random, str(part))[:200]
