"""Pictures of every kind with known pixels, and hostile files, each made by code.

The usual picture is `flag()`: 64 by 48 pixels in four quarters of different colours, so that every rotation shows.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageCms
from PIL.Image import Transpose

Colour = tuple[int, int, int, int]

SIZE = (64, 48)
RED, GREEN, BLUE, SAND = (220, 40, 30), (40, 170, 60), (30, 60, 200), (240, 220, 180)
QUARTERS = (RED, GREEN, BLUE, SAND)
# Top left, top right, bottom left, bottom right, in the middle of each quarter.
PLACES = ((16, 12), (48, 12), (16, 36), (48, 36))
# The text that no served file may contain.
SECRET = b"GPS 59.3293N 18.0686E of somebody's home"
JPEG, PNG, WEBP, GIF = "image/jpeg", "image/png", "image/webp", "image/gif"


@dataclass(frozen=True)
class Kind:
    """A kind of picture: the file, its media type, the RGBA expected at PLACES, and how far off a channel may be."""

    name: str
    data: bytes
    declared: str
    colours: tuple[Colour, ...]
    tolerance: int = 1


@dataclass(frozen=True)
class Hostile:
    """A file that is refused with `code` of the catalogue."""

    name: str
    make: Callable[[], bytes]
    declared: str = JPEG
    code: str = "INVALID_ARGUMENT"


def flag() -> Image.Image:
    """Return four quarters, in RGB."""
    picture = Image.new("RGB", SIZE)
    for colour, (x, y) in zip(QUARTERS, PLACES, strict=True):
        picture.paste(colour, (x - 16, y - 12, x + 16, y + 12))
    return picture


def see_through() -> Image.Image:
    """Return the flag with a transparent top right quarter and a half transparent bottom left one."""
    picture = flag().convert("RGBA")
    alpha = Image.new("L", SIZE, 255)
    alpha.paste(0, (32, 0, 64, 24))
    alpha.paste(128, (0, 24, 32, 48))
    picture.putalpha(alpha)
    return picture


def encoded(picture: Image.Image, format: str, **how: Any) -> bytes:  # noqa: A002  # Pillow's name for it
    """Return the file that Pillow makes of the picture."""
    file = io.BytesIO()
    picture.save(file, format, **how)
    return file.getvalue()


def a_jpeg(**how: Any) -> bytes:
    """Return the flag as a JPEG of good quality."""
    return encoded(flag(), "JPEG", **{"quality": 95, "subsampling": 0, **how})


def a_png(**how: Any) -> bytes:
    return encoded(flag(), "PNG", **how)


def a_webp(**how: Any) -> bytes:
    return encoded(flag(), "WEBP", **{"quality": 95, **how})


def a_gif(**how: Any) -> bytes:
    return encoded(flag().quantize(), "GIF", **how)


def noise(width: int, height: int) -> Image.Image:
    """Return a picture as hard to encode as a photo, in RGB."""
    return Image.effect_noise((width // 4, height // 4), 60).resize((width, height)).convert("RGB")


# Files that Pillow does not write, made byte by byte.


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return a PNG of `depth` bits a channel, with these rows, and chunks `before` and `after` the pixels."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + after
        + chunk(b"IEND", b"")
    )


GREY, TRUE, GREY_ALPHA, TRUE_ALPHA = 0, 2, 4, 6


def ramp_16(colour: int = GREY, transparent: int | None = None) -> bytes:
    """Return 256 by 1 pixels of 16 bits, from black to white; the pixel at `transparent` is transparent."""
    rows = b"\0"
    for place in range(256):
        value = struct.pack(">H", place * 257)
        rows += {GREY: value, TRUE: value * 3, GREY_ALPHA: value * 2, TRUE_ALPHA: value * 4}[colour]
    before = b"" if transparent is None else chunk(b"tRNS", struct.pack(">H", transparent * 257) * (1 + colour))
    return png((256, 1), 16, colour, rows, before)


def flag_16() -> bytes:
    """Return the flag with 16 bits a channel."""
    pixels = flag().tobytes()
    wide = bytes(byte for value in pixels for byte in (value, value))
    width = SIZE[0] * 6
    return png(SIZE, 16, TRUE, b"".join(b"\0" + wide[at : at + width] for at in range(0, len(wide), width)))


def exif(orientation: int, secret: bytes = SECRET) -> bytes:
    """Return EXIF with the orientation, and with the secret as its description."""
    text = secret + b"\0"
    entries = struct.pack("<HHII", 0x010E, 2, len(text), 38) + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0) + text


# The rotation of an upright picture that EXIF's orientation undoes.
_SEEN = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


def turned(orientation: int, format: str = "JPEG") -> bytes:  # noqa: A002
    """Return the flag as a rotated camera stores it: upright once its orientation is applied."""
    seen = _SEEN[orientation]
    picture = flag() if seen is None else flag().transpose(seen)
    return encoded(picture, format, quality=95, exif=exif(orientation))


@cache
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapping_profile() -> bytes:
    """Return sRGB with red and blue exchanged: a stored red means blue."""
    head, tags = srgb_profile()[:132], srgb_profile()[132:]
    names = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}
    count = int.from_bytes(head[128:132], "big")
    table = [tags[at : at + 12] for at in range(0, count * 12, 12)]
    return head + b"".join(names.get(tag[:4], tag[:4]) + tag[4:] for tag in table) + tags[count * 12 :]


def printer_profile() -> bytes:
    """Return a printer's CMYK profile: all colours are one middle grey (119 in sRGB), and black is black."""
    straight = bytes(range(256))
    # Lightness on paper without ink, with black, with colours and with both; the black runs fastest.
    lightness = (255, 0) + (127, 0) * 7
    lookup = b"mft1" + bytes(4) + bytes((4, 3, 2, 0))
    lookup += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lookup += straight * 4 + b"".join(bytes((light, 128, 128)) for light in lightness) + straight * 3
    described = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = ((b"desc", described), (b"wtpt", white), (b"A2B0", lookup))
    place = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", place + len(body), len(data))
        body += data
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ") + bytes(12) + b"acsp"
    head += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


# Swatches of ink: cyan, magenta, a dark yellow, and half black.
INKS = ((255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 100), (0, 0, 0, 128))
INKS_SEEN: tuple[Colour, ...] = ((0, 255, 255, 255), (255, 0, 255, 255), (155, 155, 0, 255), (127, 127, 127, 255))


def inks() -> Image.Image:
    """Return the four swatches in CMYK."""
    picture = Image.new("CMYK", SIZE)
    for ink, (x, y) in zip(INKS, PLACES, strict=True):
        picture.paste(ink, (x - 16, y - 12, x + 16, y + 12))
    return picture


def without_adobe(data: bytes) -> bytes:
    """Return the JPEG without Adobe's segment. Its inks are inverted all the same, as in browsers."""
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def a_cmyk_jpeg(**how: Any) -> bytes:
    return encoded(inks(), "JPEG", quality=95, subsampling=0, **how)


def a_ycck_jpeg() -> bytes:
    """Return the swatches as Photoshop writes them: cyan, magenta and yellow as red, green and blue, in YCbCr."""
    *colours, black = inks().split()
    shades = [ImageChops.invert(band) for band in Image.merge("RGB", colours).convert("YCbCr").split()]
    data = encoded(Image.merge("CMYK", (*shades, black)), "JPEG", quality=95, subsampling=0)
    at = data.index(b"Adobe") + 11
    return data[:at] + b"\2" + data[at + 1 :]


def opaque(colours: Sequence[tuple[int, int, int]]) -> tuple[Colour, ...]:
    return tuple((*colour, 255) for colour in colours)


def _greys(levels: Sequence[int]) -> tuple[Colour, ...]:
    return tuple((level, level, level, 255) for level in levels)


def _blocks(levels: Sequence[int], depth: int, before: bytes = b"") -> bytes:
    """Return a grey PNG of few bits whose quarters have these levels."""
    rows = b""
    for upper in (levels[:2], levels[2:]):
        row = [level for level in upper for _ in range(32)]
        bits = "".join(f"{level:0{depth}b}" for level in row)
        rows += (b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")) * 24
    return png(SIZE, depth, GREY, rows, before)


def _animation(format: str, **how: Any) -> bytes:  # noqa: A002
    """Return an animation: the flag, then a black picture."""
    return encoded(flag(), format, save_all=True, append_images=[Image.new("RGB", SIZE)], duration=100, **how)


def kinds() -> list[Kind]:
    """Return every kind of picture that is accepted."""
    plain, lossy = opaque(QUARTERS), 8
    grey = flag().convert("L")
    greys = _greys([int(grey.getpixel(place)) for place in PLACES])  # type: ignore[arg-type]
    ghost = see_through()
    seen: tuple[Colour, ...] = ((*RED, 255), (0, 0, 0, 0), (*BLUE, 128), (*SAND, 255))
    one_hole: tuple[Colour, ...] = ((*RED, 255), (0, 0, 0, 0), (*BLUE, 255), (*SAND, 255))
    swapped = opaque([(blue, green, red) for red, green, blue in QUARTERS])
    swapping, printer = swapping_profile(), printer_profile()
    holed = flag().quantize()
    hole = holed.getpixel(PLACES[1])
    alphas = bytearray(b"\xff" * 4)
    for place, alpha in ((PLACES[1], 0), (PLACES[2], 128)):
        alphas[int(holed.getpixel(place))] = alpha  # type: ignore[arg-type]
    two_bits: tuple[Colour, ...] = ((0, 0, 0, 255), (85, 85, 85, 255), (0, 0, 0, 0), (255, 255, 255, 255))
    return [
        Kind("jpeg", a_jpeg(), JPEG, plain, lossy),
        Kind("jpeg, progressive, with half the colours", a_jpeg(progressive=True, subsampling=2), JPEG, plain, lossy),
        Kind("jpeg, grey", encoded(grey, "JPEG"), JPEG, greys, lossy),
        Kind("jpeg, CMYK of Adobe", a_cmyk_jpeg(), JPEG, INKS_SEEN, lossy),
        Kind("jpeg, CMYK plain", without_adobe(a_cmyk_jpeg()), JPEG, INKS_SEEN, lossy),
        Kind("jpeg, YCCK of Adobe", a_ycck_jpeg(), JPEG, INKS_SEEN, lossy),
        Kind(
            "jpeg, CMYK with a profile",
            a_cmyk_jpeg(icc_profile=printer),
            JPEG,
            _greys((119, 119, 71, 119)),
            lossy,
        ),
        Kind("jpeg, with a profile", a_jpeg(icc_profile=swapping), JPEG, swapped, lossy),
        Kind("jpeg, with a profile of another kind", a_jpeg(icc_profile=printer), JPEG, plain, lossy),
        Kind("jpeg, with a damaged profile", a_jpeg(icc_profile=b"acsp" * 99), JPEG, plain, lossy),
        Kind("jpeg, with a picture of the depth (MPO)", _mpo(), JPEG, plain, lossy),
        Kind("png", a_png(), PNG, plain),
        Kind("png, see-through", encoded(ghost, "PNG"), PNG, seen),
        Kind("png, grey", encoded(grey, "PNG"), PNG, greys),
        Kind("png, grey and see-through", encoded(ghost.convert("LA"), "PNG"), PNG, _as_grey(seen)),
        Kind("png, 16 bits", flag_16(), PNG, plain),
        Kind("png, 1 bit", _blocks((0, 1, 1, 0), 1), PNG, _greys((0, 255, 255, 0))),
        Kind("png, 2 bits with a hole", _blocks((0, 1, 2, 3), 2, chunk(b"tRNS", b"\0\2")), PNG, two_bits),
        Kind("png, palette", encoded(holed, "PNG"), PNG, plain),
        Kind("png, palette with a hole", encoded(holed, "PNG", transparency=hole), PNG, one_hole),
        Kind("png, see-through palette", encoded(holed, "PNG", transparency=bytes(alphas)), PNG, seen),
        Kind("png, with a profile", a_png(icc_profile=swapping), PNG, swapped),
        Kind("png, see-through with a profile", encoded(ghost, "PNG", icc_profile=swapping), PNG, _swapped(seen)),
        Kind("png, animated", _animation("PNG"), PNG, plain),
        Kind("gif", a_gif(), GIF, plain),
        Kind("gif, with a hole", a_gif(transparency=hole), GIF, one_hole),
        Kind("gif, animated", _animation("GIF"), GIF, plain),
        Kind("webp", a_webp(), WEBP, plain, lossy),
        Kind("webp, lossless and see-through", encoded(ghost, "WEBP", lossless=True), WEBP, seen, lossy),
        Kind("webp, see-through", encoded(ghost, "WEBP", quality=95), WEBP, seen, lossy),
        Kind("webp, with a profile", a_webp(icc_profile=swapping), WEBP, swapped, lossy),
        Kind("webp, animated", _animation("WEBP", quality=95), WEBP, plain, lossy),
    ]


def _swapped(colours: Sequence[Colour]) -> tuple[Colour, ...]:
    return tuple((blue, green, red, alpha) for red, green, blue, alpha in colours)


def _as_grey(colours: Sequence[Colour]) -> tuple[Colour, ...]:
    levels = [(red * 299 + green * 587 + blue * 114 + 500) // 1000 for red, green, blue, _ in colours]
    return tuple((level, level, level, colour[3]) for level, colour in zip(levels, colours, strict=True))


def _mpo() -> bytes:
    return encoded(flag(), "MPO", save_all=True, append_images=[Image.new("RGB", SIZE)], quality=95, subsampling=0)


def with_metadata() -> list[tuple[str, bytes, str]]:
    """Return name, file and media type of pictures that contain SECRET in every way their format has."""
    text = SECRET.decode()
    xmp = b"<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"
    profile = srgb_profile() + SECRET
    words = chunk(b"tEXt", b"Comment\0" + SECRET) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    words += chunk(b"zTXt", b"Author\0\0" + zlib.compress(SECRET)) + chunk(b"prVt", SECRET)
    pixels = b"".join(b"\0" + b"\x80" * 64 for _ in range(48))
    profile_chunk = chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))
    photo = a_jpeg(exif=exif(1), xmp=xmp, comment=text, icc_profile=profile)
    gif = a_gif(comment=text)
    application = b"\x21\xff\x0bXMP DataXMP" + bytes((len(SECRET),)) + SECRET + b"\0"
    at = gif.index(b"\x21\xfe")
    return [
        ("jpeg", photo, JPEG),
        ("jpeg with a film behind it", photo + b"\0\0\0\x18ftypmp42" + SECRET * 99, JPEG),
        ("jpeg with a web page behind it", photo + b"<html><script>" + SECRET + b"</script><?php " + SECRET, JPEG),
        ("png", png(SIZE, 8, GREY, pixels, profile_chunk + words, words + chunk(b"eXIf", exif(1)[6:])) + SECRET, PNG),
        ("webp", a_webp(exif=exif(1), xmp=xmp, icc_profile=profile), WEBP),
        ("gif", gif[:at] + application + gif[at:] + SECRET, GIF),
    ]


def a_zip(name: str = "payload.class") -> bytes:
    """Return a ZIP with one file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, SECRET)
    return file.getvalue()


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _large_grey(width: int, height: int) -> bytes:
    return png((width, height), 8, GREY, (b"\0" + bytes(width)) * height)


def _huge_webp() -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + (16383).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _broken_checksum() -> bytes:
    data = bytearray(a_png())
    at = data.index(b"IEND") - 5
    data[at] ^= 0xFF
    return bytes(data)


def _broken_huffman() -> bytes:
    """Return a JPEG whose Huffman table declares more codes than its bits can encode."""
    data = bytearray(a_jpeg())
    at = data.index(b"\xff\xc4") + 5
    data[at : at + 16] = b"\xff" * 16
    return bytes(data)


def _without_height() -> bytes:
    data = bytearray(a_jpeg())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 2] = b"\0\0"
    return bytes(data)


def _wide_screen(gif: bytes) -> bytes:
    return gif[:6] + b"\xff\xff\xff\xff" + gif[10:]


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><rect width="9" height="9"/></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"
PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
TOO_LARGE, OTHER_TYPE = "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"

HOSTILE: tuple[Hostile, ...] = (
    Hostile("svg that says so", lambda: SVG, "image/svg+xml", OTHER_TYPE),
    Hostile("svg said to be a png", lambda: SVG, PNG),
    Hostile("web page", lambda: HTML, "text/html", OTHER_TYPE),
    Hostile("web page said to be a jpeg", lambda: HTML),
    Hostile("pdf said to be a jpeg", lambda: PDF),
    Hostile("tiff said to be a jpeg", lambda: encoded(flag(), "TIFF")),
    Hostile("bmp said to be a png", lambda: encoded(flag(), "BMP"), PNG),
    Hostile("ico said to be a png", lambda: encoded(flag(), "ICO"), PNG),
    Hostile("avif said to be a webp", lambda: encoded(flag(), "AVIF"), WEBP),
    Hostile("jpeg and zip", lambda: a_jpeg() + a_zip()),
    Hostile("gif and jar", lambda: a_gif() + a_zip("META-INF/MANIFEST.MF"), GIF),
    Hostile("png and zip", lambda: a_png() + a_zip(), PNG),
    Hostile("nothing", lambda: b""),
    Hostile("one byte", lambda: b"\xff"),
    Hostile("start of a jpeg", lambda: b"\xff\xd8\xff"),
    Hostile("noise", lambda: os.urandom(65536)),
    Hostile("noise that starts like a jpeg", lambda: b"\xff\xd8\xff\xe0" + os.urandom(65536)),
    Hostile("noise that starts like a png", lambda: b"\x89PNG\r\n\x1a\n" + os.urandom(65536), PNG),
    Hostile("half a jpeg", lambda: half(encoded(noise(640, 480), "JPEG"))),
    Hostile("half a progressive jpeg", lambda: half(encoded(noise(640, 480), "JPEG", progressive=True))),
    Hostile("half a png", lambda: half(encoded(noise(640, 480), "PNG")), PNG),
    Hostile("half a webp", lambda: half(encoded(noise(640, 480), "WEBP")), WEBP),
    Hostile("half a gif", lambda: half(encoded(noise(640, 480), "GIF")), GIF),
    Hostile("jpeg without its end", lambda: a_jpeg()[:-2]),
    Hostile("jpeg with a broken table", _broken_huffman),
    Hostile("jpeg without a height", _without_height),
    Hostile("png with a broken checksum", _broken_checksum, PNG),
    Hostile("png without its end", lambda: a_png()[:-12], PNG),
    Hostile("png without a pixel", lambda: png((0, 0), 8, GREY, b""), PNG),
    Hostile("png without a row", lambda: png((9, 0), 8, GREY, b""), PNG),
    Hostile("png that has less than it says", lambda: png((7000, 7000), 8, TRUE, b"\0\0\0\0"), PNG),
    Hostile("png as large as a country", lambda: png((2**31 - 1, 2**31 - 1), 8, TRUE, b"\0"), PNG, TOO_LARGE),
    Hostile("png of a pixel row too many", lambda: _large_grey(50_001, 1_000), PNG, TOO_LARGE),
    Hostile("gif on a huge screen", lambda: _wide_screen(a_gif()), GIF, TOO_LARGE),
    Hostile("webp on a huge canvas", _huge_webp, WEBP, TOO_LARGE),
    Hostile("webp with less than it says", lambda: a_webp()[:4] + b"\xf0\xff\xff\x7f" + a_webp()[8:], WEBP),
    Hostile("webp with more than it says", lambda: a_webp()[:4] + b"\x20\0\0\0" + a_webp()[8:], WEBP),
    Hostile(
        "png with a profile that grows to 100 MB",
        lambda: png(SIZE, 8, GREY, bytes(65 * 48), chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(100_000_000)))),
        PNG,
    ),
)


def colours_of(path: Path) -> tuple[Colour, ...]:
    """Return the RGBA at PLACES; zeros where the picture is transparent."""
    with Image.open(path) as picture:
        full = picture.convert("RGBA")
    seen = [full.getpixel(place) for place in PLACES]
    return tuple(colour if colour[3] else (0, 0, 0, 0) for colour in seen)  # type: ignore[index, misc]
