"""English words that are one to a reader: irregular plurals, British and American spelling, names with signs.

Gigs and searches go through the same functions, so a wrong form harms nothing as long as no other word has it.
"""

import re
from pathlib import Path

_FACTS = Path(__file__).parent / "spelling_facts"

# "-ise" and "-yse" with their endings. It turns "exercise" into "exercize" as well, in gigs and in searches alike.
_BRITISH_IZE = re.compile(r"(?<=...)is(?=(?:e|ed|es|er|ers|ing|ation|ations|ational)$)")
_BRITISH_YZE = re.compile(r"(?<=..)ys(?=(?:e|ed|er|ers|ing)$)")
# Names that are also typed without their signs.
_NAMES = {"csharp": "c#", "fsharp": "f#", "cpp": "c++", "dotnet": ".net"}


def _read(name: str) -> str:
    lines = (_FACTS / name).read_text("utf-8").splitlines()
    return " ".join(line for line in lines if not line.startswith("#"))


def _pairs(name: str) -> dict[str, str]:
    return dict(pair.split(" ", 1) for pair in _read(name).split(", "))


_SINGULARS = _pairs("irregular_plurals.txt")
_AMERICAN = _pairs("american_spellings.txt")
# Words of nearly every text.
COMMON = frozenset(_read("common_words.txt").split())


def unify(word: str) -> str:
    """Return the form that the word has in common with its other spellings; a regular plural is left to the stemmer."""
    word = _NAMES.get(word, word)
    word = _SINGULARS.get(word, word)
    word = _AMERICAN.get(word, word)
    return _BRITISH_YZE.sub("yz", _BRITISH_IZE.sub("iz", word))


def singular(word: str) -> str:
    """Return a unified word without the ending of a regular plural."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word[:-1]
