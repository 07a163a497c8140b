"""The names of people, as access tokens have them: they follow the rules of texts, on one line."""

import unicodedata

from servicekit.text import is_invisible

# The longest name, and the longest one with the white space around it. Characters.
MAX_LENGTH = 50
MAX_LENGTH_SPACED = 1000
# Control characters, format characters (invisible ones, and those that change the direction of a text, such as U+202E),
# lone surrogates, line and paragraph separators: a name stands among other texts, and must not pass for another name.
HIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def normalize(name: object) -> str:
    """Return a name in its normal form: trimmed, NFC, 1 to 50 shown characters.

    The length is checked before and after NFC, which can make a text longer. Raises TypeError when the name is no text,
    ValueError when it breaks a rule.
    """
    if not isinstance(name, str):
        raise TypeError("a name is a text")
    if len(name) > MAX_LENGTH_SPACED or any(unicodedata.category(char) in HIDDEN_CATEGORIES for char in name):
        raise ValueError("a name is one line of shown characters")
    name = name.strip()
    if len(name) <= MAX_LENGTH and not is_invisible(name):
        name = unicodedata.normalize("NFC", name)
        if len(name) <= MAX_LENGTH:
            return name
    raise ValueError(f"a name has 1 to {MAX_LENGTH} characters")
