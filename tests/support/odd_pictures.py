"""Unusual files that are pictures all the same."""

from __future__ import annotations

import struct
import zlib

from tests.support.pictures import GIF, JPEG, PNG, QUARTERS, Kind, a_gif, a_jpeg, a_png, a_webp, chunk, exif, opaque


def a_png_with(chunks: bytes) -> bytes:
    """Return the flag as a PNG with these chunks before its pixels."""
    data = a_png()
    at = data.index(b"IDAT") - 4
    return data[:at] + chunks + data[at:]


def flickering_gif(frames: int = 30_000) -> bytes:
    """Return an animation: the flag, then this number of frames of one pixel."""
    frame = b"\x21\xf9\x04\0\1\0\0\0" + b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    return a_gif()[:-1] + frame * frames + b"\x3b"


def chattering_gif() -> bytes:
    """Return the flag with nine megabytes of comments."""
    gif = a_gif()
    at = gif.index(b"\x2c", 13 + 3 * 4)
    return gif[:at] + b"\x21\xfe" + (b"\xff" + b"x" * 255) * 36_000 + b"\0" + gif[at:]


def looping_exif() -> bytes:
    """Return EXIF whose directories refer to one another in a circle."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 8)


def odd() -> list[Kind]:
    """Return unusual files that are pictures all the same."""
    plain, lossy = opaque(QUARTERS), 8
    return [
        Kind("an orientation that is none", a_jpeg(exif=exif(9)), JPEG, plain, lossy),
        Kind("EXIF in a circle", a_jpeg(exif=looping_exif()), JPEG, plain, lossy),
        Kind("EXIF of noise", a_jpeg(exif=b"Exif\0\0" + bytes(range(256)) * 99), JPEG, plain, lossy),
        Kind("thirty thousand frames", flickering_gif(), GIF, plain),
        Kind("nine megabytes of comments", chattering_gif(), GIF, plain),
        Kind("a text of 100 MB", a_png_with(chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(10**8)))), PNG, plain),
        Kind("a png said to be a jpeg", a_png(), JPEG, plain),
        Kind("a jpeg said to be a png", a_jpeg(), PNG, plain, lossy),
        Kind("a webp said to be a gif", a_webp(), GIF, plain, lossy),
        Kind("a gif that says image/jpg", a_gif(), "image/jpg", plain),
        Kind("a webp that says nothing", a_webp(), "application/octet-stream", plain, lossy),
    ]
