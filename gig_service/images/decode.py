"""Turns an uploaded picture into the picture that is served and its thumbnail. Runs in a decoder process.

Only the pixels of the file survive: they are read, converted to sRGB with 8 bits, turned upright and encoded anew.
Metadata, comments and data hidden before or after the picture are lost. This imports Pillow alone, because every
decoder process pays for the imports.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import BinaryIO

from PIL import (
    Image,
    ImageFile,
    JpegImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401  # else the first WebP makes Pillow load its fifty plugins
)
from PIL.Image import Transpose

from gig_service.images import colours
from gig_service.images.essentials import MAX_PROFILE, DamagedPicture, Essentials, essentials
from gig_service.images.orientation import orientation_of
from gig_service.media.decoded_picture import GIF, JPEG, PNG, WEBP

FORMATS = {JPEG: "JPEG", PNG: "PNG", WEBP: "WEBP", GIF: "GIF"}
THUMBNAIL_SIDE = 480
# The longest side of a JPEG. A PNG could have millions of rows of a pixel, and memory for each.
MAX_SIDE = 65_535

# Pillow warns of large pictures and of odd metadata. This module handles both.
warnings.simplefilter("ignore")

_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
# Pillow's names for 16 bits a channel; it keeps the upper 8.
_WIDE_COLOURS = ("RGB;16B", "RGBA;16B")
_GREYS = ("1", "L", "LA", "I;16")
# Rows that are converted at once where a copy of all of them would take too much memory.
_STRIP_PIXELS = 1 << 20
# The end record of a ZIP or JAR on one disk. Such a file is read from its end, so a picture can stand before it.
_ZIP_END = b"PK\5\6\0\0\0\0"
_ZIP_END_WITHIN = 22 + 65535


class PictureRefused(Exception):
    """The file cannot be served. `outcome`: too_large, refused, crashed. The uploader reads `message`."""

    def __init__(self, outcome: str, message: str = "") -> None:
        super().__init__(outcome, message)
        self.outcome = outcome
        self.message = message


@dataclass(frozen=True)
class Encoded:
    """A picture that was encoded anew: its media type, and its size in pixels."""

    media_type: str
    width: int
    height: int


def try_decode(
    source: BinaryIO, picture: BinaryIO, thumbnail: BinaryIO, media_type: str, max_pixels: int
) -> Encoded | PictureRefused:
    """Return the result of `decode`, or its error as a value.

    A raised exception would keep the picture in memory until the next one.
    """
    try:
        return decode(source, picture, thumbnail, media_type, max_pixels)
    except PictureRefused as refused:
        return PictureRefused(refused.outcome, refused.message)
    except MemoryError:
        return PictureRefused("crashed", "takes too much memory to decode")


def decode(source: BinaryIO, picture: BinaryIO, thumbnail: BinaryIO, media_type: str, max_pixels: int) -> Encoded:
    """Decode the picture in `source`, and write the picture that is served and its thumbnail, a WebP.

    `media_type` is the type that the first bytes tell. A JPEG stays a JPEG, a WebP a WebP, the others become a PNG; of
    an animation the first frame is kept. The thumbnail's longer side has at most 480 pixels. Raises PictureRefused,
    MemoryError, and OSError when a file cannot be written.
    """
    # For some formats Pillow checks this before it allocates memory; it allows twice as many pixels.
    Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
    try:
        decoded, quality = _read(source, media_type, max_pixels)
    except (PictureRefused, MemoryError):
        raise
    except DamagedPicture as error:
        raise PictureRefused("refused", str(error)) from error
    except Image.DecompressionBombError as error:
        raise _too_large(max_pixels) from error
    except Exception as error:  # a hostile file can make Pillow raise anything
        raise PictureRefused("refused", "cannot be decoded: it is damaged or cut off") from error
    written = _write(decoded, quality, media_type, picture)
    _shrink(decoded).save(thumbnail, "WEBP", quality=80, method=4)
    return Encoded(written, decoded.width, decoded.height)


@dataclass(frozen=True)
class _Quality:
    """What a file keeps: all, or all of its colours' places. Lossy formats store colours at half the size."""

    is_lossless: bool
    has_full_colours: bool


def _too_large(max_pixels: int) -> PictureRefused:
    return PictureRefused("too_large", f"The picture has more than {max_pixels} pixels")


def _read(source: BinaryIO, media_type: str, max_pixels: int) -> tuple[Image.Image, _Quality]:
    """Return the upright picture in sRGB (mode L, LA, RGB or RGBA) without any metadata, and the file's quality."""
    data = source.read()
    if _ZIP_END in data[-_ZIP_END_WITHIN:]:
        raise PictureRefused("refused", "is an archive as well as a picture")
    file = essentials(data, media_type)
    del data
    opened = _open(file, media_type, max_pixels)
    quality = _Quality(
        media_type in (PNG, GIF) or file.is_lossless,
        not isinstance(opened, JpegImagePlugin.JpegImageFile) or JpegImagePlugin.get_sampling(opened) in (-1, 0, 1),
    )
    has_wide_colours = media_type == PNG and opened.tile[0].args in _WIDE_COLOURS
    opened.load()
    # Pillow's plugin keeps two more pictures of that size for the next frame; a copy does not.
    picture = opened.copy() if media_type == WEBP else opened
    del opened
    picture = _in_srgb(picture, file, has_wide_colours=has_wide_colours)
    if picture.mode == "CMYK":
        picture = picture.convert("RGB")
    if picture.mode in ("LA", "RGBA") and picture.getchannel("A").getextrema()[0] == 255:
        picture = picture.convert(picture.mode[:-1])
    orientation = orientation_of(file.exif)
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    picture.info.clear()
    return picture, quality


def _open(file: Essentials, media_type: str, max_pixels: int) -> ImageFile.ImageFile:
    """Return the picture after reading its header: of this type, and small enough."""
    try:
        picture = Image.open(io.BytesIO(file.data), formats=[FORMATS[media_type]])
    except UnidentifiedImageError as error:
        raise PictureRefused("refused", "is not a JPEG, PNG, WebP or GIF that can be read") from error
    if min(picture.size) < 1:
        raise PictureRefused("refused", "has no pixels")
    if picture.width * picture.height > max_pixels:
        raise _too_large(max_pixels)
    if max(picture.size) > MAX_SIDE:
        raise PictureRefused("too_large", f"The picture has a side of more than {MAX_SIDE} pixels")
    return picture


def _in_srgb(picture: Image.Image, file: Essentials, *, has_wide_colours: bool) -> Image.Image:
    """Return the picture as L, LA, RGB, RGBA or CMYK, in sRGB where the file says what its colours are."""
    gamma, profile = file.gamma, file.profile
    if gamma and file.chromaticities and not colours.is_srgb(file.chromaticities) and picture.mode not in _GREYS:
        profile = colours.profile_of(gamma, file.chromaticities) or b""
        gamma = None if profile else gamma
    exponent = colours.exponent_of(gamma) if gamma else None
    if exponent and has_wide_colours and "transparency" not in picture.info:
        return _wide_with_exponent(picture, file, exponent)
    wide_exponent = exponent if picture.mode == "I;16" else None
    picture = _with_8_bits(picture, file.depth, wide_exponent or 1)
    if profile and len(profile) <= MAX_PROFILE:
        return colours.with_profile(picture, profile)
    if exponent and not wide_exponent:
        return colours.with_exponent(picture, exponent)
    return picture


def _with_8_bits(picture: Image.Image, depth: int, exponent: float) -> Image.Image:
    """Return the picture as L, LA, RGB, RGBA or CMYK. `depth`: bits a channel; `exponent`: for 16 bits of grey."""
    transparent = picture.info.get("transparency")
    if picture.mode == "I;16":
        # Pillow's own conversion to L makes everything from 256 on white.
        wide = picture.convert("I")
        grey = wide.point(colours.from_16_bits(exponent), "L")
        if transparent is not None:
            grey.putalpha(wide.point([0 if value == transparent else 255 for value in range(65536)], "L"))
        return grey
    if transparent is not None and picture.mode in ("L", "RGB") and depth != 8:
        # The transparent colour has as many bits as the file; Pillow scales the pixels only.
        picture.info["transparency"] = _scaled(transparent, depth)
    if transparent is not None:
        return picture.convert("RGBA")
    if picture.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _scaled(colour: int | tuple[int, ...], depth: int) -> int | tuple[int, ...]:
    if isinstance(colour, tuple):
        return tuple(value >> (depth - 8) for value in colour)
    return colour * 255 // ((1 << depth) - 1)


def _wide_with_exponent(high: Image.Image, file: Essentials, exponent: float) -> Image.Image:
    """Apply an exponent to colours of 16 bits. Pillow has no such mode, so the low bytes are decoded by themselves."""
    low = Image.open(io.BytesIO(file.data), formats=["PNG"])
    low.tile = [tile._replace(args=f"{low.mode};16L") for tile in low.tile]
    low.load()
    table = colours.from_16_bits(exponent)
    rows = max(1, _STRIP_PIXELS // high.width)
    for top in range(0, high.height, rows):
        box = (0, top, high.width, min(high.height, top + rows))
        highs, lows = high.crop(box).split(), low.crop(box).split()
        for at in range(3):
            # Little end first.
            pair = Image.merge("LA", (lows[at], highs[at])).tobytes()
            wide = Image.frombytes("I;16", highs[at].size, pair).convert("I")
            highs = (*highs[:at], wide.point(table, "L"), *highs[at + 1 :])
        high.paste(Image.merge(high.mode, highs), box)
    return high


def _write(picture: Image.Image, quality: _Quality, media_type: str, file: BinaryIO) -> str:
    """Write the picture that is served, and return its media type."""
    # Fast settings of the encoders: 50 megapixels of noise take 3 to 6 seconds, 8 to 20 with the defaults.
    if media_type == WEBP and not _write_webp(picture, quality.is_lossless, file):
        media_type = PNG if quality.is_lossless or picture.has_transparency_data else JPEG
    if media_type == JPEG:
        picture.save(file, "JPEG", quality=88, subsampling="4:4:4" if quality.has_full_colours else "4:2:0")
    elif media_type in (PNG, GIF):
        picture.save(file, "PNG", compress_level=4)
        media_type = PNG
    return media_type


def _write_webp(picture: Image.Image, is_lossless: bool, file: BinaryIO) -> bool:
    """Write a WebP; return False when the encoder cannot, for lack of memory or of room in the format's first part."""
    try:
        if is_lossless:
            # Colours that transparency hides are kept as well.
            picture.save(file, "WEBP", lossless=True, exact=True, quality=20, method=0)
        else:
            picture.save(file, "WEBP", quality=88, method=2)
    except ValueError:
        file.seek(0)
        file.truncate()
        return False
    return True


def _shrink(picture: Image.Image) -> Image.Image:
    """Return the picture with 1 to 480 pixels a side; a small one is not enlarged."""
    factor = THUMBNAIL_SIDE / max(picture.size)
    if factor >= 1:
        return picture
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
