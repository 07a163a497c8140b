"""The words of a search: which of them count, how typing errors are corrected, and the query of all of them.

A query is the text of a `tsquery`: `('logo' | '=logo') & (('dese' | '=desing') | 'design')`. Each word is a group of
alternatives in parentheses. Alternatives in parentheses of their own are a rare word itself, beside its corrections.
Lexemes with a `=` are exact forms, which decide the rank: they match nothing that the stem does not.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gig_service.domain.analysis import (
    EXACT,
    MAX_CANDIDATE_LENGTH,
    Token,
    exact,
    join,
    stem,
    tokens,
    whole_title,
)
from gig_service.domain.spelling import COMMON

# The most words that replace one misspelt word.
MAX_CORRECTIONS = 5
# The most misspelt words of one search: each is looked up among all words.
MAX_MISSPELT = 8
# A word that so few gigs have may be misspelt as well, if it is long enough, and a word with one error has so many
# times as many gigs.
RARE_GIGS = 10
RARE_LENGTH = 5
FAR_MORE = 10

_LEXEME = re.compile(r"'([^']+)'")
_ALL_OF = re.compile(r"'[^']+'(?: & '[^']+')*")
_EXACT_ALTERNATIVE = re.compile(r" \| '=[^']*'")


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was typed, folded.

    `stem` is its search term: alternatives in `tsquery` syntax. `exact` is the lexeme of its exact form, or empty.
    `gigs` is the number of visible gigs with it, counted up to a bound.
    """

    text: str
    stem: str
    exact: str = ""
    gigs: int = 0

    @property
    def is_common(self) -> bool:
        """Whether nearly every text has the word ("the", "for")."""
        return self.text in COMMON

    @property
    def is_known(self) -> bool:
        """Whether some visible gig has the word."""
        return self.gigs > 0

    @property
    def may_be_misspelt(self) -> bool:
        """Whether gigs have the word, but so few that it may be a typing error."""
        return 0 < self.gigs <= RARE_GIGS and len(self.text) >= RARE_LENGTH and self.stem.count("'") == 2

    @property
    def alternatives(self) -> str:
        """The search term with the exact form."""
        return f"{self.stem} | '{self.exact}'" if self.exact else self.stem


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible correction: a word of some gig, its stem as a `tsquery`, and about how many gigs have it."""

    text: str
    stem: str
    gigs: int


# The stems that replace each misspelt word; the word's own stem is the first of them when it is merely rare.
Corrections = Mapping[str, tuple[str, ...]]


def typed_words(q: str) -> list[Word]:
    """Return the words of `q`, each once, in their order. No gig is known to have them yet."""
    typed: list[Word] = []
    before: Token | None = None
    for token in tokens(q):
        pair = join(before, token, numbers=False) if before is not None else None
        if before is not None and pair is not None:
            # "e commerce": gigs may have it as one word.
            typed[-1] = _joined(pair.words[0], (*before.words, *token.words), are_parts_enough=True)
            before = None
            continue
        before = token
        typed += _of_token(token)
    return list({word.text: word for word in typed}.values())


def _of_token(token: Token) -> list[Word]:
    joined, *parts = token.words
    if not parts:
        return [Word(joined, f"'{stem(joined)}'", EXACT + exact(joined))]
    if joined == "".join(parts):
        # Gigs with both parts of "t-shirt" somewhere are no shirts, and each way to write it has the joined word.
        return [_joined(joined, parts, are_parts_enough=all(len(part) > 1 or part.isdecimal() for part in parts))]
    if parts[-1].startswith("."):
        return [_joined(joined, parts[:-1], are_parts_enough=True)]
    return [Word(part, f"'{stem(part)}'", EXACT + exact(part)) for part in token.words]


def _joined(joined: str, parts: Iterable[str], *, are_parts_enough: bool) -> Word:
    split = " & ".join(f"'{stem(part)}'" for part in parts)
    return Word(joined, f"'{stem(joined)}'" + (f" | {split}" if are_parts_enough else ""), EXACT + exact(joined))


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


def correct_rare(word: Word, candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """Return the word's own stem and those of far more frequent words with one typing error less; none without them."""
    likely = [
        candidate
        for candidate in candidates
        if candidate.gigs >= FAR_MORE * word.gigs
        and candidate.stem != word.stem
        and candidate.text not in COMMON
        and abs(len(candidate.text) - len(word.text)) <= 1
        and distance(word.text, candidate.text) == 1
    ]
    stems = nearest_stems(word.text, likely)
    return (word.stem, *stems)[:MAX_CORRECTIONS] if stems else ()


def deletions(word: str) -> list[str]:
    """Return the word, and the word without each of its letters."""
    return list(dict.fromkeys((word, *(word[:place] + word[place + 1 :] for place in range(len(word))))))


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
    groups = []
    for word in words:
        # Corrections win over a word that a new gig has made known meanwhile: all pages run the same query.
        stems = corrections.get(word.text)
        if stems:
            own = f"({word.alternatives})" if stems[0] == word.stem else stems[0]
            groups.append(" | ".join((own, *stems[1:])))
        elif word.is_known:
            groups.append(word.alternatives)
        else:
            return None
    return " & ".join(f"({group})" for group in groups)


def match_query(query: str) -> str:
    """Return the query that gigs must match: without exact forms, whose stems are in it anyway."""
    return _EXACT_ALTERNATIVE.sub("", query)


def required_stems(query: str) -> list[str]:
    """Return the lexemes that a gig must have to match: those without alternatives."""
    query = match_query(query)
    groups = query[1:-1].split(") & (") if query.startswith("(") else [query]
    return [lexeme for group in groups if _ALL_OF.fullmatch(group) for lexeme in _LEXEME.findall(group)]


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the gigs that match a query are ranked.

    `lexemes` is a `tsquery` of "any of them". `own` is one for rare words themselves, or empty: gigs that match it come
    first.
    """

    lexemes: str
    own: str


def ranking(query: str) -> Ranking:
    """Return how the gigs that match a query are ranked: by all its lexemes, and by the title that is made of them."""
    groups = query[1:-1].split(") & (")
    own = [group[1 : group.index(")")] for group in groups if group.startswith("(")]
    lexemes = dict.fromkeys(_LEXEME.findall(query))
    whole = whole_title([lexeme for lexeme in lexemes if lexeme.startswith(EXACT)])
    return Ranking(" | ".join(f"'{lexeme}'" for lexeme in (*lexemes, *([whole] if whole else []))), " | ".join(own))
