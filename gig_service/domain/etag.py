"""A gig's `ETag`, and what `If-Match` asks of it.

The tag reads `"<gig>-<rating>-<seller>"`, three versions: the first grows with what the owner edits, the others with
reviews and with the seller's name and badges. All three make a copy stale; an `If-Match` asks for the first alone.
"""

import re

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_VERSIONS = re.compile(r"([0-9]+)-[0-9]+-[0-9]+")


def etag(gig: int, rating: int, seller: int) -> str:
    """The tag of a gig at these versions: a strong one, quotes included."""
    return f'"{gig}-{rating}-{seller}"'


def matches(if_match: str | None, gig: int) -> bool:
    """Whether the header allows a change of a gig at this version.

    Without a header everything goes, as with `*`. Of a list any one will do. A tag that was made weak on its way counts
    (a compressor does that); what is no tag of ours matches nothing.
    """
    if if_match is None or if_match.strip() == "*":
        return True
    versions = (_VERSIONS.fullmatch(tag) for tag in _TAG.findall(if_match))
    return any(found is not None and found[1] == str(gig) for found in versions)
