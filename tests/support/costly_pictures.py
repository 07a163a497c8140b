"""Pictures that cost a decoder more than their pixels do: many scans, chunks, blocks, or entries of metadata."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.support import pictures
from tests.support.pictures import GIF, GREY, JPEG, PNG, TRUE, WEBP, a_gif, a_jpeg, a_png, a_webp, chunk, encoded, png

LARGEST_FILE = 10 * 2**20
END_OF_JPEG = b"\xff\xd9"


@dataclass(frozen=True)
class Costly:
    """A file that is costly without bounds. `is_picture`: whether it is accepted, at the cost of an honest one."""

    name: str
    make: Callable[[], bytes]
    declared: str = JPEG
    is_picture: bool = False


def scans(count: int, side: int = 7000) -> bytes:
    """Return a black progressive JPEG of side by side pixels, whose scans visit each block for a few bytes."""
    blocks = (-(-side // 8)) ** 2
    # One code of one bit in each table: no difference of brightness; 16,384 blocks and more without a coefficient.
    tables = _segment(0xC4, b"\0\1" + bytes(15) + b"\0") + _segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0")
    size = struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0"
    head = b"\xff\xd8" + _segment(0xDB, b"\0" + b"\1" * 64) + _segment(0xC2, size) + tables
    first = _segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    bits = ("0" + "1" * 14) * -(-blocks // 32_767) + "0" * 8
    bands = int(bits[: len(bits) // 8 * 8], 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    scan = _segment(0xDA, b"\1\1\0\1\x3f\0") + bands
    return head + first + scan * (count - 1) + END_OF_JPEG


def segments(segment: bytes, count: int | None = None) -> bytes:
    """Return the flag as a JPEG with this segment many times; by default as often as fits into an upload."""
    count = (LARGEST_FILE - 5_000) // len(segment) if count is None else count
    data = a_jpeg()
    return data[:2] + segment * count + data[2:]


def chunks(one: bytes, count: int | None = None) -> bytes:
    """Return the flag as a PNG with this chunk many times before its pixels."""
    count = (LARGEST_FILE - 5_000) // len(one) if count is None else count
    data = a_png()
    at = data.index(b"IDAT") - 4
    return data[:at] + one * count + data[at:]


def crumbs(side: int = 900) -> bytes:
    """Return a PNG whose pixels come in chunks of a byte each."""
    data = encoded(pictures.noise(side, side).convert("L"), "PNG", compress_level=1)
    at, stream = 33, b""
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            stream += data[at + 8 : at + 8 + size]
        at += 12 + size
    stream = stream[: LARGEST_FILE // 13 - 100]
    return data[:33] + b"".join(chunk(b"IDAT", bytes((byte,))) for byte in stream) + chunk(b"IEND", b"")


def interlaced(side: int = 7000) -> bytes:
    """Return a grey interlaced PNG of side by side pixels, all black."""
    rows = b""
    for left, top, right, down in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)):
        rows += (b"\0" + bytes(-(-(side - left) // right))) * -(-(side - top) // down)
    rows += (b"\0" + bytes(side)) * (side // 2)
    header = struct.pack(">IIBBBBB", side, side, 8, GREY, 0, 0, 1)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def extensions(one: bytes) -> bytes:
    """Return the flag as a GIF with this extension before its frame as often as fits into an upload."""
    gif = a_gif()
    at = gif.index(b"\x2c", 13 + 3 * 4)
    return gif[:at] + one * ((LARGEST_FILE - 5_000) // len(one)) + gif[at:]


def riff(one: bytes) -> bytes:
    """Return the flag as a WebP with this chunk after its pixels as often as fits into an upload."""
    data = a_webp(exif=pictures.exif(1))
    body = data[8:] + one * ((LARGEST_FILE - 5_000) // len(one))
    return data[:4] + struct.pack("<I", len(body)) + body


def exif_entries(size: int) -> bytes:
    """Return EXIF of `size` bytes with as many entries as fit, each of which refers to all of it."""
    count = min(65_000, (size - 20) // 12)
    entries = b"".join(struct.pack("<HHII", 0x9000 + number % 0x6000, 7, size - 8, 0) for number in range(count))
    return (b"II*\0" + struct.pack("<IH", 8, count) + entries).ljust(size, b"\0")


def _tall(width: int, height: int) -> bytes:
    return png((width, height), 8, GREY, b"\0" * ((width + 1) * height))


def profile_of_stages(stages: int) -> bytes:
    """Return an RGB profile whose transform is a chain of this many matrices (`mpet`)."""
    one = struct.pack(">9f3f", 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    matrix = b"matf" + bytes(4) + struct.pack(">HH", 3, 3) + one
    table = b"".join(struct.pack(">II", 16 + 8 * stages, len(matrix)) for _ in range(stages))
    chain = b"mpet" + bytes(4) + struct.pack(">HHI", 3, 3, stages) + table + matrix
    srgb = pictures.srgb_profile()
    count = int.from_bytes(srgb[128:132], "big")
    tags = [srgb[132 + 12 * at : 144 + 12 * at] for at in range(count)]
    moved = [tag[:4] + struct.pack(">I", int.from_bytes(tag[4:8], "big") + 12) + tag[8:] for tag in tags]
    body = srgb[132 + 12 * count :]
    at = 132 + 12 * (count + 1) + len(body)
    at += -at % 4
    moved.append(b"D2B0" + struct.pack(">II", at, len(chain)))
    whole = srgb[:128] + struct.pack(">I", count + 1) + b"".join(moved) + body
    whole = whole.ljust(at, b"\0") + chain
    return struct.pack(">I", len(whole)) + whole[4:8] + struct.pack(">I", 0x04300000) + whole[12:]


def _segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


# 4 KiB that grow to 4 MiB.
GROWING = zlib.compress(bytes(4 * 2**20 - 10), 9)


def _with_stages() -> bytes:
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(profile_of_stages(400_000)))
    return png((7000, 7000), 8, TRUE, (b"\0" + bytes(21_000)) * 7000, profile)


def _exif_on_itself() -> bytes:
    return segments(_segment(0xE1, b"Exif\0\0" + exif_entries(65_000)), 1)


COSTLY: tuple[Costly, ...] = (
    Costly("jpeg of 400 scans", lambda: scans(400)),
    Costly("jpeg of 4,000 scans", lambda: scans(4_000)),
    Costly("jpeg of empty comments", lambda: segments(_segment(0xFE, b""))),
    Costly("jpeg of EXIF in pieces", lambda: segments(_segment(0xE1, b"Exif\0\0M"))),
    Costly("jpeg of quantization tables", lambda: segments(_segment(0xDB, b"\0" + b"\1" * 64))),
    Costly("jpeg of EXIF on itself", _exif_on_itself, JPEG, is_picture=True),
    Costly("jpeg of fill bytes", lambda: segments(b"\xff"), JPEG, is_picture=True),
    Costly("png of pixels in crumbs", crumbs, PNG),
    Costly("png of empty chunks", lambda: chunks(chunk(b"teSt", b"")), PNG),
    Costly("png of empty texts", lambda: chunks(chunk(b"tEXt", b"")), PNG),
    Costly("png of texts that grow", lambda: chunks(chunk(b"zTXt", b"x\0\0" + GROWING)), PNG, is_picture=True),
    Costly("png of profiles that grow", lambda: chunks(chunk(b"iCCP", b"x\0\0" + GROWING)), PNG, is_picture=True),
    Costly("png of EXIF on itself", lambda: chunks(chunk(b"eXIf", exif_entries(5_000_000)), 1), PNG, is_picture=True),
    Costly("png in seven passes", interlaced, PNG, is_picture=True),
    Costly("png of a pixel's width", lambda: _tall(1, 49_000_000), PNG),
    Costly("png with a profile of stages", _with_stages, PNG, is_picture=True),
    Costly("gif of empty extensions", lambda: extensions(b"\x21\xfe\0"), GIF),
    Costly("gif of small comments", lambda: extensions(b"\x21\xfe\1x\0"), GIF),
    Costly("gif of a comment in crumbs", lambda: extensions(b"\x21\xfe" + b"\1x" * 5_000_000 + b"\0"), GIF),
    Costly("webp of empty chunks", lambda: riff(b"teSt\0\0\0\0"), WEBP),
    Costly("webp of EXIF", lambda: riff(b"EXIF\0\0\0\0"), WEBP),
)
