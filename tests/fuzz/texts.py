"""Hostile texts in every text of every request: each JSON body, and the query of a search.

A fault is an answer of 500 or more, an answer that takes longer than five seconds, a connection without an answer, or
a worker that grows by more than 100 MiB: one client has one request of 1 MiB on its way, which takes 40 MiB.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from random import Random
from typing import Any

import httpx

from tests.fuzz import Options, Result
from tests.support.bodies import BodyRoute, body_routes
from tests.support.memory import peak_mib, reset_peaks, resident_mib
from tests.support.stack import Stack
from tests.support.story import Market, a_gig, a_name, ok

LONGEST_ANSWER_SECONDS = 5.0
PATIENCE_SECONDS = 30.0
MAX_GROWTH_MIB = 100
WORKERS = ("gig-", "order-", "review-")
# Of 1 MiB; a larger one would only be refused as a whole.
MAX_BODY = 1_040_000
# The lengths of texts: around the bounds of fields, around four times the longest one, and as long as a body can be.
LENGTHS = (0, 1, 2, 31, 100, 101, 500, 5_000, 5_001, 20_000, 20_001, 60_000, 340_000)
MAX_QUERY = 1_500

Kind = Callable[[Random, int], str]


def repeated(*units: str) -> Kind:
    """Return a kind of text that repeats some of the units, in turn or at random."""

    def make(random: Random, length: int) -> str:
        some = random.sample(units, random.randint(1, len(units)))
        if random.random() < 0.5:
            random.shuffle(some)
            return ("".join(some) * length)[:length]
        return "".join(random.choices(some, k=min(length, 20_000)))[:length]

    return make


def any_characters(random: Random, length: int) -> str:
    """Return code points of all planes, lone surrogates among them."""
    return "".join(chr(random.randrange(0x110000)) for _ in range(min(length, 20_000)))


def words(random: Random, length: int) -> str:
    """Return as many nonsense words as fit."""
    letters = random.choice(("abcdefghijklmnopqrstuvwxyz", "qwx", "aeiouáéíóúäöü", "0123456789", "абвгд"))
    made: list[str] = []
    size = 0
    while size < min(length, 20_000):
        made.append("".join(random.choices(letters, k=random.choice((1, 2, 3, 4, 5, 8, 41)))))
        size += len(made[-1]) + 1
    return " ".join(made)[:length]


KINDS: dict[str, Kind] = {
    "marks": repeated("\u0301", "\u0323", "\u0334", "\u0f73", "\u0344", "\u3099"),
    "marks on letters": repeated("e\u0301\u0323", "\u1e9b\u0323", "\u0f71\u0f72", "각\u11a8", "\u1100\u1161"),
    "joined": repeated("👩\u200d", "❤\ufe0f", "🇩", "\U000e0067", "👍🏽"),
    "directions": repeated("\u202e", "\u2066", "\u200f", "\u202c", "a"),
    "blanks": repeated(" ", "\u200b", "\u3164", "\u2028", "\u0085", "\t", "\n"),
    "line ends": repeated("\r\n", "\r", "\n", "a"),
    "controls": repeated("\x00", "\x1b[2J", "\x7f", "\x9f", "a"),
    "surrogates": repeated("\ud800", "\udc00", "a"),
    "letters that grow": repeated("İ", "ß", "ﷺ", "℡", "Σ", "ŉ", "ﬃ"),
    "syntax": repeated(
        "'", '"', "\\", "%s", "$1", "&", "|", "!", "(", ")", ":*", "<->", "{", "}", "\\u0000", "((a+)+)+$"
    ),
    "one letter": repeated("a", "é", "\U00010348"),
    "digits": repeated("9", "-", ".", "e", "٣"),
    "words": words,
    "any characters": any_characters,
}


def a_text(random: Random, longest: int) -> str:
    """Return a hostile text of at most so many code points."""
    kind = random.choice(list(KINDS.values()))
    made = kind(random, min(random.choice(LENGTHS), longest))
    return f"Logo {made} logo"[:longest] if random.random() < 0.3 else made


def fuzz(stack: Stack, options: Options) -> Result:
    """Send bodies and searches with hostile texts."""
    random = Random(options.seed)  # no secret
    result = Result()
    routes = body_routes()
    with stack.client(a_name("fuzz"), "seller", "buyer", "admin") as client:
        client.timeout = httpx.Timeout(PATIENCE_SECONDS)
        ids = _things(stack, client)
        before = resident_mib(stack)
        reset_peaks(stack)
        while not options.is_over(result.inputs):
            route = random.choice([None, *routes])
            name = "SearchGigs" if route is None else route.name
            began = time.monotonic()
            try:
                answer = _search(client, random) if route is None else _send(client, random, route, ids)
            except httpx.HTTPError as error:
                result.count("no answer")
                result.faults.append(f"{name}, input {result.inputs}: {error!r}")
                continue
            seconds = time.monotonic() - began
            result.count(answer.status_code)
            if answer.status_code >= 500:
                result.faults.append(f"{name}, input {result.inputs}: {answer.status_code} {answer.text}")
            if seconds > LONGEST_ANSWER_SECONDS:
                result.faults.append(f"{name}, input {result.inputs}: {answer.status_code} after {seconds:.1f} s")
    grown = {name: size - before.get(name, size) for name, size in peak_mib(stack).items() if name.startswith(WORKERS)}
    result.faults += [f"{name} grew by {size} MiB" for name, size in grown.items() if size > MAX_GROWTH_MIB]
    return result


def _things(stack: Stack, client: httpx.Client) -> dict[str, str]:
    """Create a gig of the client and an order of theirs; return the ids for paths."""
    gig = ok(client.post("/api/gigs", json=a_gig()), 201)
    (package,) = ok(client.get(f"/api/gigs/{gig['id']}/packages"))["packages"]
    other = Market.of(stack).gig()["packages"][0]["id"]
    order = ok(client.post("/api/orders", json={"packageId": other, "paymentMethod": "sandbox"}), 201)
    return {"gig_id": gig["id"], "package_id": package["id"], "order_id": order["orderId"]}


def _send(client: httpx.Client, random: Random, route: BodyRoute, ids: dict[str, str]) -> httpx.Response:
    """Send a body with one long hostile text; the others are short, or valid."""
    names = route.text_fields()
    long = random.choice(names) if names else ""

    def text(name: str) -> str:
        if name == long:
            return a_text(random, random.choice((5_000, 340_000)))
        if name.endswith("category_id"):
            return str(a_gig()["categoryId"])
        return a_text(random, 100) if random.random() < 0.1 else "Some text"

    body = json.dumps(route.body(text)).encode()
    if random.random() < 0.5:
        # Letters as they are, as far as UTF-8 has them: three times as many fit into a body.
        shown = json.dumps(route.body(text), ensure_ascii=False).encode("utf-8", "surrogatepass")
        body = shown if b"\xed\xa0" not in shown and b"\xed\xb0" not in shown else body
    headers = {"content-type": "application/json"}
    if random.random() < 0.3:
        headers["idempotency-key"] = random.choice("abc")
    path = route.path_with({} if random.random() < 0.2 else ids)
    return client.request(route.method, path, content=body[:MAX_BODY], headers=headers)


def _search(client: httpx.Client, random: Random) -> httpx.Response:
    """Search with a hostile `q`, tags and category."""
    params: dict[str, Any] = {"q": _encodable(a_text(random, random.choice((60, 500, MAX_QUERY))))}
    if random.random() < 0.3:
        params["tags"] = [_encodable(a_text(random, 41)) for _ in range(random.randint(1, 21))]
    if random.random() < 0.1:
        params["category"] = _encodable(a_text(random, 101))
    return client.get("/api/gigs", params=params)


def _encodable(value: str) -> str:
    return value.encode("utf-8", "replace").decode()
