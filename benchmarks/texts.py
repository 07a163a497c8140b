"""`python -m benchmarks.texts`: the cost of hostile texts.

First the normal form of 20,000 code points, the longest text that is given to NFC, beside `unicodedata` alone; then
searches with a `q` of 500 code points, among the words of 200 gigs, 73,000 by default, and of 200 gigs that repeat six
words.
"""

from __future__ import annotations

import argparse
import time
import unicodedata
from collections.abc import Callable
from random import Random
from statistics import median

from servicekit import logs, text
from servicekit.database import Database
from tests.support.gigs import Gigs
from tests.support.postgres import PostgresServer

GIGS = 200
MAX_Q = 500
LONGEST = 20_000
# Six words, each 270 times in a description of 4,860 characters; others gigs have none of them.
REPEATED = ("qa", "qe", "qi", "qo", "qu", "qy")
# Two marks of different classes, in the order that Unicode's canonical order reverses.
MARKS = "\u0301\u0323"
# A Tibetan vowel sign that becomes two marks.
VOWEL_SIGN = "\u0f73"
TEXTS = {
    "marks": "e" + MARKS * (LONGEST // 2),
    "vowel signs that become two marks": "e" + VOWEL_SIGN * LONGEST,
    "letters with 30 marks": ("e" + MARKS * 15) * (LONGEST // 31),
    "zero-width spaces": "\u200b" * LONGEST,
    "Hangul": "\u1100\u1161\u11a8" * (LONGEST // 3),
}


def milliseconds(work: Callable[[], object], times: int = 5) -> float:
    """Return the median time of some runs."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken)


def normal_forms() -> None:
    """Print the time of each text's normal form."""
    print(f"{'a text of 20,000 code points':40} {'NFC alone':>10} {'normalize':>10}   ms")
    for name, value in TEXTS.items():
        alone = milliseconds(lambda value=value: unicodedata.normalize("NFC", value), 1)  # type: ignore[misc]
        ours = milliseconds(lambda value=value: text.normalize(value))  # type: ignore[misc]
        print(f"{name:40} {alone:10.2f} {ours:10.2f}")


def a_word(random: Random, length: int) -> str:
    """Return a word of consonants and vowels in turn."""
    return "".join(random.choice("bcdfghklmnprstvz" if place % 2 else "aeiou") for place in range(length))


def fill(database: Database, count: int) -> list[str]:
    """Create gigs with so many different words; return the words."""
    random = Random(1)
    words: dict[str, None] = {}
    while len(words) < count:
        words[a_word(random, random.randint(6, 9))] = None
    known = list(words)
    gigs = Gigs(database)
    for number in range(GIGS):
        gigs.create(title=f"Gig {number}", description=" ".join(known[number::GIGS]), tags=[])
    for number in range(GIGS):
        gigs.create(title=f"Gig {number}", description=(" ".join(REPEATED) + " ") * 270, tags=[])
    database.execute("ANALYZE")
    return known


def first_words(words: list[str]) -> str:
    """Return as many of the words as a `q` can have."""
    return " ".join(words)[:MAX_Q].rpartition(" ")[0]


def searches(count: int) -> None:
    """Print the time of a search by each kind of `q`."""
    random = Random(2)
    server = PostgresServer()
    server.start()
    try:
        database = Database(server.fresh("gig"))
        known = fill(database, count)
        gigs = Gigs(database)
        first = known[::GIGS]
        queries = {
            "one word": first[0],
            "one word with a typing error": first[0][:-1] + "q",
            "100 nonsense words": first_words(["".join(random.choices("qwxyj", k=4)) for _ in range(120)]),
            "some known words, then nonsense": first_words([*first[:40], *(["qwxyjq"] * 2), *first[40:]]),
            "words with typing errors": first_words([word[:-1] + "q" for word in first]),
            "words of one gig": first_words(first),
            "words of many gigs": first_words(known),
            "words of two letters": first_words([a + b for a in "aeiouybcd" for b in "abcdefghijklmnopqrstuvwxyz"]),
            "six words 270 times in each of 200 gigs": " ".join(REPEATED),
            "one word of 500 letters": "q" * MAX_Q,
        }
        print(f"\n{'a search among ' + format(count, ',') + ' words, by':40} {'words':>6} {'found':>6} {'ms':>9}")
        for name, q in queries.items():
            found = len(gigs.found(q=q))
            taken = milliseconds(lambda q=q: gigs.search(q=q))  # type: ignore[misc]
            print(f"{name:40} {len(q.split()):6} {found:6} {taken:9.1f}", flush=True)
        database.close()
    finally:
        server.stop()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="make benchmark NAME=texts", description=__doc__)
    logs.configure("WARNING", "console")
    parser.add_argument("--words", type=int, default=73_000, help="the known words (default: 73,000)")
    arguments = parser.parse_args()
    normal_forms()
    searches(arguments.words)


if __name__ == "__main__":
    main()
