"""The words of a search: which of them count, and how typing errors are corrected."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# The most words that replace one misspelt word.
MAX_CORRECTIONS = 5
# The most misspelt words of one search: each is looked up among all words.
MAX_MISSPELT = 8
# The most letters of a candidate: longer words of gigs are not stored for corrections.
MAX_CANDIDATE_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was typed, in lower case and without accents.

    `stem` is its search term, in PostgreSQL's `tsquery` syntax. `is_common` marks a word of nearly every text ("the",
    "for"), `is_known` a word that some visible gig has.
    """

    text: str
    stem: str
    is_common: bool
    is_known: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible correction: a word of some gig, its stem, and the number of gigs with it (counted up to a bound)."""

    text: str
    stem: str
    gigs: int


# The stems that replace each misspelt word.
Corrections = Mapping[str, tuple[str, ...]]


def significant_words(words: Iterable[Word]) -> list[Word]:
    """Return the words to search by: all but the common ones, or the common ones when there are no others."""
    all_words = list(words)
    return [word for word in all_words if not word.is_common] or all_words


def allowed_errors(word: str) -> int:
    """Return how many typing errors are forgiven: none in two letters, one in up to five, two in longer words.

    The steps are those of Elasticsearch's `fuzziness: AUTO`. A number has no typing errors: 2019 is not 2020.
    """
    if len(word) < 3 or word.isdecimal():
        return 0
    return 1 if len(word) <= 5 else 2


def is_correctable(word: str) -> bool:
    """Return whether any candidate can be near to the word, whatever the candidates are."""
    return allowed_errors(word) > 0 and len(word) <= MAX_CANDIDATE_LENGTH + allowed_errors(word)


def is_near(word: str, other: str) -> bool:
    """Return whether `word` can be a misspelt `other`."""
    errors = allowed_errors(word)
    return abs(len(word) - len(other)) <= errors and distance(word, other) <= errors


def nearest_stems(word: str, candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """Return the stems of the candidates nearest to the word, the more frequent first; none when all are too far."""
    near = [candidate for candidate in candidates if candidate.gigs and is_near(word, candidate.text)]
    distances = {candidate.text: distance(word, candidate.text) for candidate in near}
    least = min(distances.values(), default=0)
    nearest = sorted((c for c in near if distances[c.text] == least), key=lambda c: (-c.gigs, c.text))
    return tuple(dict.fromkeys(candidate.stem for candidate in nearest))[:MAX_CORRECTIONS]


def distance(left: str, right: str) -> int:
    """Return the number of typing errors between two words: letters missing, added, wrong, or two neighbours swapped.

    This is the optimal string alignment distance: Wagner and Fischer's rows with Damerau's transposition.
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


def build_query(words: Iterable[Word], corrections: Corrections) -> str | None:
    """Return one `tsquery` for all the words: each must be there, or one of its corrections.

    It is empty without words, and None when an unknown word has no correction: then no gig can match.
    """
    parts = []
    for word in words:
        # Corrections win over a word that a new gig has made known meanwhile: all pages run the same query.
        stems = corrections.get(word.text) or ((word.stem,) if word.is_known else ())
        if not stems:
            return None
        parts.append("(" + " | ".join(f"({stem})" for stem in stems) + ")")
    return " & ".join(parts)
