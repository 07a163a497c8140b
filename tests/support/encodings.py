"""Values of Accept-Encoding, and the encoding that each asks for."""

from __future__ import annotations

ENCODINGS: list[tuple[str, str | None]] = [
    ("gzip", "gzip"),
    ("br", "br"),
    ("gzip, deflate, br, zstd", "br"),
    ("gzip, deflate", "gzip"),
    ("br;q=0.1, gzip;q=0.9", "gzip"),
    ("*", "br"),
    ("gzip;q=0", None),
    ("identity", None),
    ("zstd, deflate", None),
    ("", None),
]
