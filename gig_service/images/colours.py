"""Colours of a picture as a browser shows them: converted to sRGB. Runs in a decoder process."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import cast

from PIL import Image, ImageCms

# A pure power that is as good as sRGB: what screens without colour management have.
USUAL_GAMMA = 1 / 2.2
# Differences that nobody sees, in gamma and in a coordinate of a chromaticity.
_GAMMA_TOLERANCE, _PLACE_TOLERANCE = 0.01, 0.01
# White, red, green and blue of sRGB, as x and y each.
_SRGB_PLACES = (0.3127, 0.3290, 0.6400, 0.3300, 0.3000, 0.6000, 0.1500, 0.0600)
# White of profiles (D50) as X, Y, Z; and Bradford's matrix, which adapts other whites to it.
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_SRGB = ImageCms.createProfile("sRGB")
# Chains of any length, which Little CMS would prefer to the profile's tables.
_CHAINS = frozenset(f"{kind}{intent}".encode() for kind in ("D2B", "B2D") for intent in range(4))

Matrix = Sequence[Sequence[float]]


def with_profile(picture: Image.Image, profile: bytes) -> Image.Image:
    """Convert the picture from the profile's colours, partly in place. A damaged or unfit profile changes nothing."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(_without_chains(profile)))
        if picture.mode == "CMYK":
            return cast(Image.Image, ImageCms.profileToProfile(picture, source, _SRGB, outputMode="RGB"))
        if picture.mode in ("RGB", "RGBA"):
            ImageCms.profileToProfile(picture, source, _SRGB, inPlace=True)
            return picture
        grey = picture if picture.mode == "L" else picture.getchannel("L")
        plain = cast(Image.Image, ImageCms.profileToProfile(grey, source, _SRGB, outputMode="RGB")).convert("L")
        if picture.mode == "LA":
            plain.putalpha(picture.getchannel("A"))
        return plain
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture


def _without_chains(profile: bytes) -> bytes:
    """Return the profile without its tags of type multiProcessElements, whose cost nothing bounds."""
    changed = bytearray(profile)
    for at in range(132, min(132 + 12 * int.from_bytes(profile[128:132], "big"), len(profile) - 11), 12):
        if profile[at : at + 4] in _CHAINS:
            changed[at : at + 4] = b"none"
    return bytes(changed)


def exponent_of(gamma: float) -> float | None:
    """Return the exponent that turns values of a file of this gamma into those of a screen; None for no change."""
    return None if abs(gamma / USUAL_GAMMA - 1) < _GAMMA_TOLERANCE else USUAL_GAMMA / gamma


def from_16_bits(exponent: float) -> list[int]:
    """Return the 8 bits of each value of 16 bits, with the exponent applied."""
    return [round(255 * (value / 65535) ** exponent) for value in range(65536)]


def with_exponent(picture: Image.Image, exponent: float) -> Image.Image:
    """Apply an exponent to an L, LA, RGB or RGBA picture; transparency stays."""
    table = [round(255 * (value / 255) ** exponent) for value in range(256)]
    colours = 1 if picture.mode in ("L", "LA") else 3
    straight = list(range(256)) if picture.mode in ("LA", "RGBA") else []
    return picture.point(table * colours + straight)


def is_srgb(places: Sequence[float]) -> bool:
    """Return whether these chromaticities (white, red, green, blue) are sRGB's."""
    return all(abs(one - other) < _PLACE_TOLERANCE for one, other in zip(places, _SRGB_PLACES, strict=True))


def profile_of(gamma: float, chromaticities: Sequence[float]) -> bytes | None:
    """Return the profile of a PNG with this gamma and these chromaticities; None when they make no sense."""
    try:
        matrix = _to_d50(chromaticities)
    except (ZeroDivisionError, OverflowError):
        return None
    curve = b"para" + bytes(8) + _fixed(1 / gamma)
    places = [(b"wtpt", _D50), *zip((b"rXYZ", b"gXYZ", b"bXYZ"), _transposed(matrix), strict=True)]
    tags = [(name, b"XYZ " + bytes(4) + b"".join(map(_fixed, place))) for name, place in places]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags:
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", 132 + 12 * len(tags) + len(body), b"lcms", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(map(_fixed, _D50))
    return head.ljust(128, b"\0") + table + body


def _fixed(value: float) -> bytes:
    """Return a number with 16 bits before and behind the point (s15Fixed16Number)."""
    return struct.pack(">i", max(-(2**31), min(2**31 - 1, round(value * 65536))))


def _to_d50(places: Sequence[float]) -> Matrix:
    """Return the matrix from RGB to XYZ relative to D50."""
    white, *primaries = [(x / y, 1.0, (1 - x - y) / y) for x, y in zip(places[::2], places[1::2], strict=True)]
    columns = _transposed(primaries)
    amounts = _times(_inverse(columns), white)
    matrix = [[value * amount for value, amount in zip(row, amounts, strict=True)] for row in columns]
    scales = [to / of for to, of in zip(_times(_BRADFORD, _D50), _times(_BRADFORD, white), strict=True)]
    scaled = [[value * scale for value in row] for row, scale in zip(_BRADFORD, scales, strict=True)]
    adapt = _product(_inverse(_BRADFORD), scaled)
    return _product(adapt, matrix)


def _transposed(matrix: Matrix) -> Matrix:
    return [list(row) for row in zip(*matrix, strict=True)]


def _times(matrix: Matrix, vector: Sequence[float]) -> list[float]:
    return [sum(one * other for one, other in zip(row, vector, strict=True)) for row in matrix]


def _product(left: Matrix, right: Matrix) -> Matrix:
    return _transposed([_times(left, column) for column in _transposed(right)])


def _inverse(matrix: Matrix) -> Matrix:
    """Return the inverse of three rows of three. Raises ZeroDivisionError."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    cofactors = [
        [e * i - f * h, c * h - b * i, b * f - c * e],
        [f * g - d * i, a * i - c * g, c * d - a * f],
        [d * h - e * g, b * g - a * h, a * e - b * d],
    ]
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return [[value / determinant for value in row] for row in cofactors]
