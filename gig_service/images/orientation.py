"""The orientation in a picture's EXIF."""

from __future__ import annotations

import struct

_ORIENTATION, _SHORT = 0x0112, 3
# More than any camera writes; a directory could have 65,535.
_MAX_ENTRIES = 1_000


def orientation_of(exif: bytes) -> int:
    """Return EXIF's orientation, 1 (upright) to 8. `exif` is a TIFF file; what cannot be read is upright."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for entry in range(at + 2, at + 2 + 12 * min(count, _MAX_ENTRIES), 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
