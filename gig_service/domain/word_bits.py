"""The bits of a gig's words, as the database's function `word_bits` makes them.

Each stem of more than two letters sets three of 256 bits, by its hash. A gig that lacks one of a stem's bits does not
have the stem; one that has them all probably does. This is a Bloom filter.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from gig_service.domain.analysis import EXACT

BITS = 256
_HASHES = 3
_MIN_LENGTH = 3


def word_bits(lexemes: Iterable[str]) -> str:
    """Return the bits of a document with these lexemes, the first one first."""
    bits = 0
    for lexeme in lexemes:
        bits |= _bits_of(lexeme)
    return f"{bits:0{BITS}b}"


@lru_cache(100_000)
def _bits_of(lexeme: str) -> int:
    if len(lexeme) < _MIN_LENGTH or lexeme.startswith(EXACT):
        return 0
    bits = 0
    for place in hashlib.md5(lexeme.encode(), usedforsecurity=False).digest()[:_HASHES]:
        bits |= 1 << (BITS - 1 - place)
    return bits
