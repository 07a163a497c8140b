"""The normal form of texts: Unicode in NFC, without surrounding white space, without control characters."""

import unicodedata

ALLOWED_CONTROLS = "\n\t"
# Invisible characters whose category is that of letters, marks or symbols.
BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u2800\u3164\uffa0")
INVISIBLE_CATEGORIES = frozenset(("Cf", "Zs", "Zl", "Zp", "Cc"))


def has_controls(text: str) -> bool:
    """Return whether the text contains a control character other than newline and tab."""
    return not text.isprintable() and any(
        unicodedata.category(char) == "Cc" and char not in ALLOWED_CONTROLS for char in text
    )


def is_invisible(text: str) -> bool:
    """Return whether every character is invisible: white space, zero-width, fillers, variation selectors."""
    return all(
        unicodedata.category(char) in INVISIBLE_CATEGORIES
        or char in BLANK_LETTERS
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
        for char in text
    )


def normalize(text: str) -> str:
    """Return the text in NFC without surrounding white space; empty when nothing in it is visible."""
    text = text.strip()
    if text.isascii():
        return text
    return "" if is_invisible(text) else unicodedata.normalize("NFC", text).strip()
