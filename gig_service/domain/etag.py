"""A gig's `ETag`, and how an `If-Match` header is compared with it.

The tag reads `"<gig>-<rating>-<seller>"`: three versions. The first grows with the owner's edits, the second with
reviews, the third with the seller's name and badges. Each of them makes a cached copy stale; an `If-Match` is compared
with the first one alone, so that a new review does not fail an edit.
"""

import re

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_VERSIONS = re.compile(r"([0-9]+)-[0-9]+-[0-9]+")


def etag(gig_version: int, rating_version: int, seller_version: int) -> str:
    """Return the tag of a gig at these versions: a strong one, quotes included."""
    return f'"{gig_version}-{rating_version}-{seller_version}"'


def matches(if_match: str | None, gig_version: int) -> bool:
    """Return whether the header allows a change of a gig at this version.

    No header allows everything, and so does `*`. One matching tag of a list is enough. A weak tag counts, since
    compressors on the way make tags weak. A tag of another form matches nothing.
    """
    if if_match is None or if_match.strip() == "*":
        return True
    tags = (_VERSIONS.fullmatch(tag) for tag in _TAG.findall(if_match))
    return any(tag is not None and tag[1] == str(gig_version) for tag in tags)
