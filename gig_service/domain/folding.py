"""Texts without what makes no difference to a search: upper case, accents and marks, invisible characters.

Each character is folded by itself, in time that grows with the length of the text alone: a normal form of a whole text
would take quadratic time for many marks in a row.
"""

import re
import unicodedata

from servicekit.text import is_invisible_character

# The characters between letters and digits that can belong to a word.
SIGNS = frozenset("+#.-'")
# Letters that Unicode does not decompose, as PostgreSQL's `unaccent` writes them.
_PLAIN = {
    "\u00f8": "o", "\u0142": "l", "\u0111": "d", "\u00f0": "d", "\u00fe": "th", "\u00e6": "ae", "\u0153": "oe",
    "\u0131": "i", "\u0127": "h", "\u0167": "t", "\u014b": "n", "\u0138": "k", "\u0140": "l", "\u0192": "f",
    "\u0253": "b", "\u0257": "d", "\u0199": "k", "\u0259": "e",
}  # fmt: skip
_APOSTROPHES = frozenset("'`\u00b4\u02bc\u2018\u2019\u2032\uff07")
_HYPHENS = frozenset("-_\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d")
# Marks of these classes are parts of letters: those without a class, such as vowel signs of Indian scripts, the voicing
# of kana (8), and the virama, which joins consonants (9). All other marks are accents, points and tones.
_PARTS_OF_LETTERS = frozenset((0, 8, 9))
_VOICED = re.compile("[\u3040-\u30ff][\u3099\u309a]")
# The characters that are kept folded; beyond it they are folded anew each time.
_MAX_KEPT = 20_000


class _Folded(dict[int, str]):
    def __missing__(self, code: int) -> str:
        folded = _fold(chr(code))
        if len(self) < _MAX_KEPT:
            self[code] = folded
        return folded


def fold(text: str) -> str:
    """Return the text in lower case, without accents, marks and invisible characters; other characters become spaces.

    Letters, digits and SIGNS remain.
    """
    folded = text.translate(_FOLDED)
    # A half-width kana and its voicing are two characters.
    return folded if folded.isascii() else _VOICED.sub(lambda kana: unicodedata.normalize("NFC", kana[0]), folded)


def _fold(char: str) -> str:
    if char in _APOSTROPHES:
        return "'"
    if char in _HYPHENS:
        return "-"
    if char in SIGNS:
        return char
    category = unicodedata.category(char)
    if category[0] == "Z" or category == "Cc":
        return " "
    if is_invisible_character(char):
        return ""
    if category == "Nd":
        return str(unicodedata.digit(char))
    if category[0] not in "LNM":
        return " "
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    return unicodedata.normalize("NFC", "".join(map(_letter, decomposed)))


def _letter(char: str) -> str:
    category = unicodedata.category(char)
    if category[0] == "M":
        return char if category == "Mc" or unicodedata.combining(char) in _PARTS_OF_LETTERS else ""
    return _PLAIN.get(char, char) if category[0] in "LN" else " "


_FOLDED = _Folded()
