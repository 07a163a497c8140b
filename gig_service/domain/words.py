"""How the words of a search are understood: which of them count, and what a misspelt one was meant to be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# The most words that stand for one misspelt word.
MAX_CORRECTIONS = 5


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was typed, in lower case and without accents.

    `stem` is what it is found by, in PostgreSQL's `tsquery` syntax. `common` says that it stands in nearly every text
    ("the", "for"), `known` that some gig has it.
    """

    text: str
    stem: str
    common: bool
    known: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that gigs have, with its stem, and in how many gigs it was seen (counted up to some bound)."""

    text: str
    stem: str
    gigs: int


# For each misspelt word the stems that it may stand for.
Corrections = Mapping[str, tuple[str, ...]]


def that_count(words: Iterable[Word]) -> list[Word]:
    """The words to search by: all but the common ones, or the common ones when there are no others."""
    every = list(words)
    return [word for word in every if not word.common] or every


def allowed_errors(word: str) -> int:
    """How many typing errors are forgiven: none in two letters, one in up to five, two in longer words.

    The steps are those of Elasticsearch's `fuzziness: AUTO`. A number is never mistyped: 2019 is not 2020.
    """
    if len(word) < 3 or word.isdecimal():
        return 0
    return 1 if len(word) <= 5 else 2


def is_near(word: str, other: str) -> bool:
    """Whether `word` may have been meant to be `other`."""
    return distance(word, other) <= allowed_errors(word)


def corrections(word: str, candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """The stems of the candidates that are nearest to the word, the more frequent first; none when all are too far."""
    near = [candidate for candidate in candidates if candidate.gigs and is_near(word, candidate.text)]
    distances = {candidate.text: distance(word, candidate.text) for candidate in near}
    least = min(distances.values(), default=0)
    nearest = sorted((c for c in near if distances[c.text] == least), key=lambda c: (-c.gigs, c.text))
    return tuple(dict.fromkeys(candidate.stem for candidate in nearest))[:MAX_CORRECTIONS]


def distance(left: str, right: str) -> int:
    """How many typing errors lie between two words: letters missing, added, wrong, or two neighbours swapped.

    The optimal string alignment distance: Wagner and Fischer's rows with Damerau's transposition.
    """
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, letter in enumerate(left, start=1):
        here = [row]
        for column, other in enumerate(right, start=1):
            cost = min(above[column] + 1, here[-1] + 1, above[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == right[column - 2] and left[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            here.append(cost)
        before, above = above, here
    return above[-1]


def query(words: Iterable[Word], corrected: Corrections) -> str | None:
    """The words as one `tsquery`: all must be there, of a corrected one any of its corrections.

    Empty without words. None when a word is unknown and nothing is near: then nothing can be found.
    """
    parts = []
    for word in words:
        # A correction stands even when a new gig has made the word known, or the next page would be of another search.
        stems = corrected.get(word.text) or ((word.stem,) if word.known else ())
        if not stems:
            return None
        parts.append("(" + " | ".join(f"({stem})" for stem in stems) + ")")
    return " & ".join(parts)
