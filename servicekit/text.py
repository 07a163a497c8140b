"""The normal form of texts: newlines as line ends, Unicode in NFC, no surrounding white space, no control characters.

Everything here takes time in proportion to the length of the text.
"""

import re
import sys
import unicodedata
from collections.abc import Callable

# Control characters (Unicode's category Cc) other than newline and tab.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# NFC composes at most this many code points into one.
MAX_COMPOSED = 4
# More marks in a row are put in order before NFC. It is the bound of Unicode's Stream-Safe Text Format.
MAX_MARKS = 30

# Invisible characters whose category is that of letters, marks or symbols.
BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u2800\u3164\uffa0")
INVISIBLE_CATEGORIES = frozenset(("Cf", "Zs", "Zl", "Zp", "Cc"))
# There are no marks and no invisible characters elsewhere. It leaves out what would make a start of a process slower:
# Chinese, Korean, private use, Tangut, pictures.
_BLOCKS = ((0, 0x3400), (0xA000, 0xAC00), (0xF900, 0x13500), (0x16000, 0x17000), (0x1BC00, 0x1F000), (0xE0000, 0xE0200))


def is_invisible_character(char: str) -> bool:
    """Return whether the character shows nothing: white space, zero-width, a filler, a variation selector."""
    return (
        unicodedata.category(char) in INVISIBLE_CATEGORIES
        or char in BLANK_LETTERS
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
    )


def is_mark(char: str) -> bool:
    """Return whether the character, decomposed, begins with a combining mark: a "non-starter" of Unicode's NFC."""
    if unicodedata.combining(char):
        return True
    return bool(unicodedata.decomposition(char)) and unicodedata.combining(unicodedata.normalize("NFD", char)[0]) > 0


def _class_of(belongs: Callable[[str], bool]) -> str:
    """Return the characters that belong to a class, as a character class of a regular expression."""
    ranges: list[list[int]] = []
    # One after the other: 60,000 characters in a row would keep 5 MB.
    for code in (code for first, end in _BLOCKS for code in range(first, end) if belongs(chr(code))):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges) + "]"


_INVISIBLE = re.compile(_class_of(is_invisible_character) + "*")
_MANY_MARKS = re.compile(f"{_class_of(is_mark)}{{{MAX_MARKS + 1},}}")


def has_controls(text: str) -> bool:
    """Return whether the text contains a control character other than newline and tab."""
    return not text.isprintable() and CONTROLS.search(text) is not None


def is_invisible(text: str) -> bool:
    """Return whether every character is invisible."""
    return _INVISIBLE.fullmatch(text) is not None


def unify_line_ends(text: str) -> str:
    """Return the text with a newline for each CR LF and each CR."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def normalize(text: str, max_length: int = sys.maxsize) -> str:
    """Return the normal form of the text; empty when nothing in it is visible.

    A text whose normal form is certainly longer than `max_length` code points is returned without NFC, at its length:
    NFC costs more than a look at the length.
    """
    text = unify_line_ends(text).strip()
    if text.isascii():
        return text
    if is_invisible(text):
        return ""
    if len(text) // MAX_COMPOSED > max_length:
        return text
    return unicodedata.normalize("NFC", _MANY_MARKS.sub(_put_in_order, text)).strip()


def _put_in_order(marks: re.Match[str]) -> str:
    """Return the marks in Unicode's canonical order.

    `unicodedata` inserts each mark into the sorted ones before it, in quadratic time; here they are sorted.
    """
    decomposed = "".join(unicodedata.normalize("NFD", char) for char in marks[0])
    return "".join(sorted(decomposed, key=unicodedata.combining))
