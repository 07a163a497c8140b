"""The names of people that `servicekit.usernames` takes, as two regular expressions for Envoy.

Envoy's regular expressions match bytes, so a character beyond ASCII is written as its bytes in UTF-8. The services
check the rules that are left out: a name of invisible characters alone, and one that is too long only in NFC.
"""

import unicodedata
from collections import defaultdict
from itertools import chain

from servicekit.usernames import HIDDEN_CATEGORIES, MAX_LENGTH

# Unicode has hidden characters in these planes alone; to look at all code points takes 0.3 s at each start.
_PLANES = (range(0x20000), range(0xE0000, 0xE1000))


def _byte(number: int) -> str:
    return f"\\x{number:02x}"


def _hidden() -> str:
    """Return an expression for one hidden character: the first bytes, then the class of last bytes behind them."""
    # A lone surrogate has no UTF-8; Envoy refuses it in the token's JSON.
    categories = HIDDEN_CATEGORIES - {"Cs"}
    last_bytes: defaultdict[bytes, list[int]] = defaultdict(list)
    for char in (char for char in map(chr, chain(*_PLANES)) if unicodedata.category(char) in categories):
        *first, last = char.encode()
        last_bytes[bytes(first)].append(last)
    return "|".join(
        "".join(map(_byte, first)) + "[" + "".join(map(_byte, last)) + "]" for first, last in last_bytes.items()
    )


_BEYOND_ASCII = r"[\xc2-\xf4][\x80-\xbf]+"
_SHOWN = rf"(?:[!-~]|{_BEYOND_ASCII})"
_ANY = rf"(?:[ -~]|{_BEYOND_ASCII})"

SHAPE = rf" *{_SHOWN}(?:{_ANY}{{0,{MAX_LENGTH - 2}}}{_SHOWN})? *"
"""The whole of a name: its length, spaces around it, no ASCII control character."""

HIDDEN = rf"(?s).*(?:{_hidden()}).*"
"""A text with a hidden character: a control character, or one that is invisible or changes the direction."""
