"""The analysis of texts for searches: the words of a text, and the lexemes that a gig is found by.

Gigs and searches are analysed by the same rules. A word is found by its stem. Its exact form, of titles and tags only,
decides the rank. Words that are joined by a hyphen, a dot or an apostrophe are words by themselves and joined; so are
letters and digits side by side.
"""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import Stemmer

from gig_service.domain.folding import fold
from gig_service.domain.spelling import COMMON, singular, unify

# Of a longer word the beginning counts.
MAX_WORD_LENGTH = 100
# The lengths of the words that can be corrections of others.
MIN_CANDIDATE_LENGTH, MAX_CANDIDATE_LENGTH = 3, 40
# The prefixes of lexemes that are no stems: the exact form of a word, and that of a whole title.
EXACT, WHOLE = "=", "=="
# The most words of a title that is a lexeme of its own, and the most parts of a word that are joined.
MAX_WHOLE, MAX_PARTS = 12, 4
# The analysed words that are kept, by their text.
_MAX_KEPT = 100_000


# Letters that are words of their own before a word.
_ARTICLES = frozenset(("a", "i"))

_CONTRACTION = re.compile(r"'(?:s|t|d|m|ll|re|ve)(?![^ +#.\-'])")
# C++, C#, .NET; then letters and digits, with single signs between them.
_TOKEN = re.compile(
    r"(?<![^ .\-'])[a-z](?:\+\+|#)(?![^ .\-'])|(?<![^ ])\.net(?![^ .\-'+])|[^ +#.\-']+(?:[.\-'][^ +#.\-']+)*"
)
_SIGN = re.compile(r"[.\-']")
_DIGITS = re.compile(r"(\d+)")


class Token(NamedTuple):
    """A word as it stands in a text, folded.

    `words` are the words that it consists of: one, or the joined one and then its parts.
    """

    words: tuple[str, ...]
    stems: tuple[str, ...]
    exact: tuple[str, ...]


class Document(NamedTuple):
    """A gig as searches see it: `lexemes` is the text of a `tsvector`, `words` are those that correct others."""

    lexemes: str
    words: frozenset[str]


class Part(NamedTuple):
    """A description, or some of its sentences: the entry of each lexeme in a `tsvector`, by lexeme, and the words."""

    entries: Mapping[str, str]
    words: frozenset[str]


_local = threading.local()
_stems: dict[str, str] = {}
_tokens: dict[str, Token] = {}


def stem(word: str) -> str:
    """Return the stem of a folded word."""
    known = _stems.get(word)
    if known is None:
        unified = unify(word)
        known = unified if not unified.isalpha() else _stemmer().stemWord(unified)
        if len(_stems) < _MAX_KEPT:
            _stems[word] = known
    return known


def exact(word: str) -> str:
    """Return the exact form of a folded word: neither its number nor British spelling makes a difference."""
    return singular(unify(word))


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text in their order."""
    folded = fold(text)
    if "'" in folded:
        folded = _CONTRACTION.sub(" ", folded)
    for token in _TOKEN.findall(folded):
        yield _tokens.get(token) or _analyse(token)


def document(title: str, tags: Sequence[str], description: str) -> Document:
    """Return what a gig is found by. A word counts once, where it weighs most: A in the title, B in tags, C else."""
    return document_of_parts(title, tags, (part(description),))


def part(text: str) -> Part:
    """Return what a description gives to its document."""
    entries: dict[str, str] = {}
    words: set[str] = set()
    for token in _with_pairs(tokens(text)):
        for lexeme in token.stems:
            entries[lexeme] = f"'{lexeme}':1C"
        words.update(token.words)
    return Part(entries, _candidates(words))


def document_of_parts(title: str, tags: Sequence[str], description: Iterable[Part]) -> Document:
    """Do as `document`, with a description of sentences that are analysed already.

    It is the same where no sentence ends with a single letter, which would be joined to the next word.
    """
    entries: dict[str, str] = {}
    words: set[str] = set()
    for some in description:
        entries.update(some.entries)
        words.update(some.words)
    of_title = list(tokens(title))
    typed: set[str] = set()
    for weight, of_text in (("1B", [token for tag in tags for token in tokens(tag)]), ("1A", of_title)):
        for token in _with_pairs(iter(of_text), numbers=True):
            for lexeme in (*token.stems, *token.exact):
                entries[lexeme] = f"'{lexeme}':{weight}"
            typed.update(token.words)
    whole = whole_title([token.exact[0] for token in of_title if token.words[0] not in COMMON])
    if whole:
        entries[whole] = f"'{whole}':1A"
    return Document(" ".join(entries.values()), _candidates(typed).union(words))


def _candidates(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word for word in words if MIN_CANDIDATE_LENGTH <= len(word) <= MAX_CANDIDATE_LENGTH)


def whole_title(exact_words: Sequence[str]) -> str:
    """Return the lexeme of a title that consists of these words; empty for one word and for very many."""
    if not 2 <= len(exact_words) <= MAX_WHOLE:
        return ""
    return WHOLE + "_".join(word.removeprefix(EXACT) for word in exact_words)


def join(before: Token, after: Token, *, numbers: bool) -> Token | None:
    """Return the joined word of two tokens that are often written as one: "e commerce", and "gpt 4" with `numbers`."""
    if len(before.words) > 1 or len(after.words) > 1:
        return None
    left, right = before.words[0], after.words[0]
    is_letter = len(left) == 1 and left.isalpha() and left not in _ARTICLES and len(right) > 1 and right.isalpha()
    is_number = numbers and right.isdecimal() and left.isalpha() and left not in COMMON
    return _token(((left + right)[:MAX_WORD_LENGTH],)) if is_letter or is_number else None


def _with_pairs(some: Iterator[Token], *, numbers: bool = False) -> Iterator[Token]:
    before = None
    for token in some:
        yield token
        if before is not None and (len(before.words[0]) == 1 or (numbers and token.words[0].isdecimal())):
            joined = join(before, token, numbers=numbers)
            if joined is not None:
                yield joined
        before = token


def _analyse(text: str) -> Token:
    if text[0] == "." or text[-1] in "+#":
        words: tuple[str, ...] = (text,)
    else:
        parts = [part[:MAX_WORD_LENGTH] for part in _SIGN.split(text)]
        if len(parts) == 1:
            pieces = [piece for piece in _DIGITS.split(parts[0]) if piece] if not parts[0].isdecimal() else parts
            words = (parts[0],) if len(pieces) == 1 or len(pieces) > MAX_PARTS else (parts[0], *pieces)
        elif _are_joined(text, parts):
            names = (".net",) if text.endswith(".net") else ()
            words = ("".join(parts)[:MAX_WORD_LENGTH], *parts, *names)
        else:
            words = tuple(parts)
    token = _token(words)
    if len(_tokens) < _MAX_KEPT:
        _tokens[text] = token
    return token


def _are_joined(text: str, parts: Sequence[str]) -> bool:
    """Whether the parts are one word as well; a dot before a long word is the end of a sentence."""
    return len(parts) <= MAX_PARTS and ("." not in text or len(parts[-1]) <= 3)


def _token(words: tuple[str, ...]) -> Token:
    stems = tuple(dict.fromkeys(map(stem, words)))
    return Token(words, stems, tuple(dict.fromkeys(EXACT + exact(word) for word in words)))


def _stemmer() -> Stemmer.Stemmer:
    # A stemmer must not be used by two threads at once.
    if not hasattr(_local, "stemmer"):
        _local.stemmer = Stemmer.Stemmer("english", 0)
    stemmer: Stemmer.Stemmer = _local.stemmer
    return stemmer
