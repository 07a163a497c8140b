"""The parts of an uploaded file that its picture needs. Runs in a decoder process, before Pillow sees the file.

A file is read once, part by part: a JPEG's segments, a PNG's chunks, a GIF's blocks, a WebP's chunks. What is left
has one part of each kind that matters, so that a decoder's work follows from the number of pixels alone. Comments,
texts, previews, further frames and anything behind the picture are gone before they cost anything.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, field

from gig_service.media.decoded_picture import GIF, JPEG, PNG

# Real files have some hundred parts: a PNG of ten megabytes in chunks of 8 KiB has 1,280.
MAX_PARTS = 50_000
# Encoders make up to 14 scans of a progressive JPEG.
MAX_SCANS = 100
# Decoding a scan costs about as much as its pixels. 20 scans of 50 megapixels, 83 of a phone's 12.
MAX_SCANNED_PIXELS = 1_000_000_000
# A printer's profile has up to 3 MiB.
MAX_PROFILE = 4 * 2**20


class DamagedPicture(Exception):
    """The file breaks its format, or a bound of this module. The message is for the uploader."""


@dataclass(frozen=True)
class Essentials:
    """A file without all that its picture does not need, and what was read from the parts that are gone."""

    data: bytes
    # EXIF as a TIFF file, and an ICC profile; empty for none.
    exif: bytes = b""
    profile: bytes = b""
    # Of a PNG: bits a channel, the file's gamma (1 / 2.2 is usual), and white, red, green and blue as x, y each.
    depth: int = 8
    gamma: float | None = None
    chromaticities: tuple[float, ...] | None = field(default=None)
    # Of a WebP: without loss.
    is_lossless: bool = False


def essentials(data: bytes, media_type: str) -> Essentials:
    """Return the essential parts of a file of this type. Raises DamagedPicture."""
    try:
        if media_type == JPEG:
            return _jpeg(data)
        if media_type == PNG:
            return _png(data)
        if media_type == GIF:
            return _gif(data)
        return _webp(data)
    except (struct.error, IndexError) as error:
        raise DamagedPicture("cannot be decoded: it is damaged or cut off") from error


def _cut_off() -> DamagedPicture:
    return DamagedPicture("cannot be decoded: it is damaged or cut off")


class _Counter:
    """Counts the parts of a file up to the bound."""

    def __init__(self) -> None:
        self._parts = 0

    def one_more(self) -> None:
        """Count a part. Raises DamagedPicture for one too many."""
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise DamagedPicture(f"has more than {MAX_PARTS} parts")


# JPEG (ITU-T T.81). SOF: the size; TEM, RST and SOI have no length.

_SOI, _EOI, _SOS, _APP1, _APP2, _APP14 = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xEE
_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD8)))
_TABLES = frozenset((0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xE0, _APP14))
# Within a scan 0xFF and 0 stand for the byte 0xFF. Restart markers belong to the pixels.
_NEXT_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_EXIF, _ICC = b"Exif\0\0", b"ICC_PROFILE\0"


def _jpeg(data: bytes) -> Essentials:
    kept, at, counter = [data[:2]], 2, _Counter()
    scans, pixels = 0, 0
    exif, profile = b"", list[tuple[int, bytes]]()
    while True:
        match = _NEXT_MARKER.search(data, at)
        if match is None:
            raise _cut_off()
        if scans:
            # The pixels of a scan stand before the next marker.
            kept.append(data[at : match.start()])
        marker, at = match[1][0], match.end()
        counter.one_more()
        if marker == _EOI:
            break
        if marker in _WITHOUT_LENGTH:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        segment = data[at + 2 : at + length]
        if length < 2 or marker == _SOI or len(segment) != length - 2:
            raise _cut_off()
        at += length
        if marker == _APP1 and segment.startswith(_EXIF):
            exif = exif or segment[len(_EXIF) :]
        elif marker == _APP2 and segment.startswith(_ICC):
            profile.append((segment[len(_ICC)], segment[len(_ICC) + 2 :]))
        elif marker in _SIZES or marker in _TABLES or marker == _SOS:
            kept.append(bytes((0xFF, marker)) + data[at - length : at])
        if marker in _SIZES:
            height, width = struct.unpack_from(">HH", segment, 1)
            pixels = max(pixels, width * height)
        scans += marker == _SOS
        if scans > MAX_SCANS or scans * pixels > max(MAX_SCANNED_PIXELS, pixels):
            raise DamagedPicture(f"has too many scans: at most {MAX_SCANS}, and fewer in a large picture")
    kept.append(b"\xff\xd9")
    parts = [part for _, part in sorted(profile, key=lambda numbered: numbered[0])]
    return Essentials(b"".join(kept), exif=exif, profile=b"".join(parts))


# PNG (W3C). The first chunk of each of these kinds counts.

_PNG_START = b"\x89PNG\r\n\x1a\n"
_ONCE = frozenset((b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP"))
_SRGB_PRIMARIES, _SRGB_TRANSFER = 1, 13


def _png(data: bytes) -> Essentials:
    view, at, counter = memoryview(data), len(_PNG_START), _Counter()
    found: dict[bytes, bytes] = {}
    pixels = []
    name = b""
    while name != b"IEND":
        counter.one_more()
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(view[at + 4 : end]) != checksum:
            raise _cut_off()
        if not found and name != b"IHDR":
            raise _cut_off()
        if name == b"IDAT":
            pixels.append(view[at + 8 : end])
        elif name in _ONCE and name not in found and not (pixels and name != b"eXIf"):
            found[name] = data[at + 8 : end]
        at = end + 4
    header = found[b"IHDR"]
    kept = [_chunk(kind, found[kind]) for kind in (b"IHDR", b"PLTE", b"tRNS") if kind in found]
    kept += [_chunk(b"IDAT", b"".join(pixels)), _chunk(b"IEND", b"")]
    gamma, chromaticities = _gamma(found)
    profile = b"" if _is_named(found) else _unpacked_profile(found.get(b"iCCP", b""))
    return Essentials(
        b"".join((_PNG_START, *kept)),
        exif=found.get(b"eXIf", b""),
        profile=profile,
        depth=header[8],
        gamma=gamma,
        chromaticities=chromaticities,
    )


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _is_named(found: dict[bytes, bytes]) -> bool:
    """Return whether the chunks say that the colours are sRGB's; a profile beside them does not count."""
    return found.get(b"cICP", b"")[:2] == bytes((_SRGB_PRIMARIES, _SRGB_TRANSFER))


def _gamma(found: dict[bytes, bytes]) -> tuple[float | None, tuple[float, ...] | None]:
    """Return gamma and chromaticities. A chunk that says more about the colours takes precedence."""
    if found.keys() & {b"cICP", b"iCCP", b"sRGB"} or b"gAMA" not in found:
        return None, None
    (gamma,) = struct.unpack_from(">I", found[b"gAMA"])
    chromaticities = found.get(b"cHRM", b"")
    if len(chromaticities) != 32:
        return gamma / 100_000 or None, None
    return gamma / 100_000 or None, tuple(value / 100_000 for value in struct.unpack(">8I", chromaticities))


def _unpacked_profile(content: bytes) -> bytes:
    """Return the profile of an iCCP chunk; nothing when it is damaged. Raises DamagedPicture when it is too large."""
    _, _, packed = content.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(packed[1:], MAX_PROFILE)
    except zlib.error:
        return b""
    if inflate.unconsumed_tail:
        raise DamagedPicture(f"has a colour profile of more than {MAX_PROFILE >> 20} MiB")
    return profile


# GIF (89a). Blocks before the first frame: extensions; its graphic control says which colour is transparent.

_EXTENSION, _FRAME, _TRAILER, _CONTROL = 0x21, 0x2C, 0x3B, b"\xf9\4"


def _gif(data: bytes) -> Essentials:
    counter = _Counter()
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    head, control = data[:at], b""
    while data[at] != _FRAME:
        counter.one_more()
        if data[at] == _TRAILER:
            raise _cut_off()
        if data[at] != _EXTENSION:
            # Some writers leave a byte between two blocks.
            at += 1
            continue
        if data[at + 1 : at + 3] == _CONTROL:
            control = data[at : at + 7] + b"\0"
        at += 2
        while data[at]:
            counter.one_more()
            at += 1 + data[at]
        at += 1
    # Pillow stops after the first frame.
    return Essentials(head + control + data[at:])


# WebP (RIFF). Pillow's library reads it in one pass and stops after the first frame.


def _webp(data: bytes) -> Essentials:
    counter = _Counter()
    at, end = 12, min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    exif, profile, first = b"", b"", b""
    while at + 8 <= end:
        counter.one_more()
        name, length = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"EXIF":
            exif = exif or data[at : at + length]
        elif name == b"ICCP":
            profile = profile or data[at : at + length]
        elif name == b"ANMF" and not first:
            # The frame's own chunks stand behind its place and size.
            first = _first_pixels(data, at + 16, at + length)
        elif name in (b"VP8 ", b"VP8L") and not first:
            first = name
        at += length + length % 2
    return Essentials(data, exif=exif.removeprefix(_EXIF), profile=profile, is_lossless=first == b"VP8L")


def _first_pixels(data: bytes, at: int, end: int) -> bytes:
    for _ in range(MAX_PARTS):
        if at + 8 > min(end, len(data)):
            return b""
        name, length = struct.unpack_from("<4sI", data, at)
        if name in (b"VP8 ", b"VP8L"):
            return bytes(name)
        at += 8 + length + length % 2
    return b""
