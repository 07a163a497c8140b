"""What the edge compresses, and how. docs/edge.md has the measurements."""

from __future__ import annotations

from typing import Any

_LIBRARIES = "type.googleapis.com/envoy.extensions.compression"

# The content types that compression makes smaller. Pictures are compressed already; a stream of events would wait in the
# compressor.
TYPES = (
    "application/json",
    "application/javascript",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/javascript",
)

# The libraries of Envoy by their name in `Accept-Encoding`, the preferred one first.
COMPRESSORS: dict[str, dict[str, Any]] = {
    "br": {"@type": f"{_LIBRARIES}.brotli.compressor.v3.Brotli", "quality": 1, "window_bits": 16, "chunk_size": 4096},
    "gzip": {
        "@type": f"{_LIBRARIES}.gzip.compressor.v3.Gzip",
        "compression_level": "COMPRESSION_LEVEL_1",
        "memory_level": 6,
        "window_bits": 14,
        "chunk_size": 4096,
    },
}
