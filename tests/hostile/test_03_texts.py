"""Texts: none costs more than its length, in any field of any request, and `q` ends at its first impossible word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest

from deploy.local.postgres import database_url
from servicekit.database import Database
from tests.fuzz import Options
from tests.fuzz.texts import fuzz
from tests.support.bodies import BodyRoute, body_routes
from tests.support.bystanders import bystanders
from tests.support.memory import peak_mib, reset_peaks, resident_mib
from tests.support.stack import Stack
from tests.support.story import a_gig, a_name, ok

pytestmark = pytest.mark.alone

# A little less than a JSON body may have.
MANY_BYTES = 1_040_000
CLIENTS = 4
# Each client has one text on its way, of which a process has some copies for a moment.
MAX_GROWTH_MIB = 100
KNOWN_WORDS = 73_000
# Half of the letters are vowels, as in words. The end is that of no other word.
FILL = """
    INSERT INTO words (word)
    SELECT DISTINCT translate(substr(md5(n::text), 1, 6 + n %% 3), '0123456789', 'aeiouaeiou') || 'zzq'
    FROM generate_series(1, %s) AS n
"""
FORGET = "DELETE FROM words WHERE word LIKE '%%zzq'"


def marks(count: int) -> str:
    """Return a letter and so many marks, in the order that takes longest to sort."""
    return "e" + "\u0301\u0323" * (count // 2)


def route_named(name: str) -> BodyRoute:
    return next(route for route in body_routes() if route.name == name)


TEXTS = [(route.name, field) for route in body_routes() for field in route.text_fields()]


def test_a_million_bytes_of_marks_in_any_text_are_refused_and_nobody_else_notices(stack: Stack) -> None:
    def send(attack: tuple[str, str]) -> httpx.Response:
        route, field = route_named(attack[0]), attack[1]
        body = route.body(lambda name: marks(MANY_BYTES // 2 - 1000) if name == field else "Some text")
        content = json.dumps(body, ensure_ascii=False).encode()
        return client.request(route.method, route.path_with({}), content=content)

    headers = {"content-type": "application/json"}
    before = resident_mib(stack)
    reset_peaks(stack)
    with (
        stack.client(a_name("attacker"), "seller", "buyer", "admin") as client,
        bystanders(stack) as others,
        ThreadPoolExecutor(CLIENTS) as attackers,
    ):
        client.headers.update(headers)
        answers = list(attackers.map(send, TEXTS))
    others.require_served()
    assert len(answers) > 20
    for (name, field), answer in zip(TEXTS, answers, strict=True):
        assert answer.status_code == 400, f"{name}, {field}: {answer.status_code} {answer.text}"
        refused = {detail["field"].rpartition(".")[2].partition("[")[0] for detail in answer.json()["details"]}
        assert field.rpartition(".")[2].replace("_", "") in {name.lower() for name in refused}
    grown = {name: size - before.get(name, size) for name, size in peak_mib(stack).items()}
    assert max(grown.values()) < MAX_GROWTH_MIB, grown


@pytest.fixture
def many_words(stack: Stack) -> Iterator[None]:
    """Give the stack as many words as a large marketplace has, for the time of a test."""
    with closing(Database(database_url(stack.layout, "gigs"), statement_timeout_ms=60_000)) as database:
        database.execute(FILL, (KNOWN_WORDS,))
        # As autovacuum does a minute later. Until then a worker that searched among few words reads the whole table.
        database.execute("ANALYZE words")
        yield
        database.execute(FORGET, ())


@pytest.mark.usefixtures("many_words")
def test_searches_by_a_hundred_nonsense_words_are_answered_beside_others(stack: Stack) -> None:
    nonsense = " ".join(f"{a}{b}{c}{d}" for a in "qw" for b in "xyj" for c in "qwv" for d in "xyzjkv")[:499]
    misspelt = " ".join(["wbsite", "respnsive", "buld", "yuo"] * 30)[:499]
    stuffed = a_gig(description=("qa qe qi qo qu qy " * 280)[:5000], tags=[])

    def search(q: str) -> httpx.Response:
        return client.get("/api/gigs", params={"q": q})

    with stack.client(a_name("attacker"), "seller") as client:
        for _ in range(20):
            ok(client.post("/api/gigs", json=stuffed), 201)
        with bystanders(stack) as others, ThreadPoolExecutor(8) as attackers:
            searches = [nonsense, misspelt, "qa qe qi qo qu qy", "q" * 500] * 12
            answers = list(attackers.map(search, searches))
        # A machine that is busy with other tests may have had no time for the attacker.
        answers = [
            search(q) if answer.status_code == 504 else answer for q, answer in zip(searches, answers, strict=True)
        ]
    others.require_served()
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["total"] for answer in answers[:4]] == [0, answers[1].json()["total"], 20, 0]


def test_hostile_texts_find_no_fault(stack: Stack) -> None:
    with bystanders(stack) as others:
        result = fuzz(stack, Options(seed=3, seconds=10, inputs=300))
    others.require_served()
    assert not result.faults, result.faults[:5]
    assert "400" in result.answers
