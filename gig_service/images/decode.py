"""Turns an uploaded picture into the one that is served and its thumbnail. Runs in a decoder, a process of its own.

Nothing of the file but its pixels comes through: they are read, brought to sRGB with 8 bits, turned upright and written
anew. So metadata, comments and whatever somebody hid before or after the picture is gone. Imports Pillow alone, because
every decoder pays for what is imported here.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from PIL import (
    ExifTags,
    Image,
    ImageCms,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401  # else the first WebP makes Pillow load its fifty plugins
)
from PIL.Image import Transpose

MEDIA_TYPES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
THUMBNAIL_SIDE = 480
LARGEST_PROFILE = 4 * 2**20

# A printer's profile is larger than Pillow's megabyte for anything that is packed in a PNG.
PngImagePlugin.MAX_TEXT_CHUNK = LARGEST_PROFILE
# Pillow tells of pictures that are merely large, and of odd metadata. Both are our business.
warnings.simplefilter("ignore")

# What a format is written as: the extension and the media type.
_WRITTEN = {
    "image/jpeg": ("jpg", "image/jpeg"),
    "image/png": ("png", "image/png"),
    "image/webp": ("webp", "image/webp"),
    "image/gif": ("png", "image/png"),
}
_THUMBNAIL_SUFFIX = "-thumbnail.webp"
_SRGB = ImageCms.createProfile("sRGB")
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_TO_8_BITS = [(value * 255 + 32767) // 65535 for value in range(65536)]
# How a ZIP or JAR ends (on one disk): such a file is read from its end, so a picture may stand before it.
_ZIP_END = b"PK\5\6\0\0\0\0"
_ZIP_END_WITHIN = 22 + 65535


@dataclass(frozen=True)
class Prepared:
    """A picture that may be served: both files, what the picture is, and its size in pixels."""

    picture: Path
    thumbnail: Path
    extension: str
    media_type: str
    width: int
    height: int


class Refused(Exception):
    """The file cannot be served. `outcome`: unsupported, too_large, refused, crashed. The uploader reads `message`."""

    def __init__(self, outcome: str, message: str = "") -> None:
        super().__init__(outcome, message)
        self.outcome = outcome
        self.message = message


def attempt(source: Path, declared: str, target: Path, max_pixels: int) -> Prepared | Refused:
    """What `prepare` gives or raises, as an answer: an exception would hold on to the picture until the next one."""
    try:
        return prepare(source, declared, target, max_pixels)
    except Refused as refused:
        return Refused(refused.outcome, refused.message)
    except MemoryError:
        return Refused("crashed", "takes too much memory to decode")


def prepare(source: Path, declared: str, target: Path, max_pixels: int) -> Prepared:
    """Writes `<target>.<jpg|png|webp>` and `<target>-thumbnail.webp`, of the picture in `source`.

    `declared` is its media type, which must be what it is. A GIF becomes a PNG, of an animation the first frame is
    kept, the thumbnail's longer side has at most 480 pixels. Raises Refused, MemoryError, and OSError when a file
    cannot be written.
    """
    if declared not in MEDIA_TYPES:
        raise Refused("unsupported")
    # Pillow's own check comes in some formats before it asks for memory; it lets the double of this through.
    Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
    try:
        picture = _read(source, declared, max_pixels)
    except (Refused, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(max_pixels) from error
    except Exception as error:  # a hostile file makes a decoder raise anything
        raise Refused("refused", "cannot be decoded: it is damaged or cut off") from error
    return _write(picture, declared, target)


def remove(target: Path) -> None:
    """Removes whatever `prepare` may have written for `target`."""
    for suffix in (*(f".{extension}" for extension, _ in _WRITTEN.values()), _THUMBNAIL_SUFFIX):
        target.with_name(target.name + suffix).unlink(missing_ok=True)


def ready() -> None:
    """Does nothing; a decoder that has done it has imported this module."""


def _too_large(max_pixels: int) -> Refused:
    return Refused("too_large", f"The picture has more than {max_pixels} pixels")


def _read(source: Path, declared: str, max_pixels: int) -> Image.Image:
    """The upright picture in sRGB: mode L, LA, RGB or RGBA, and without any metadata."""
    with source.open("rb") as file:
        picture = _opened(file, declared, max_pixels)
        depth = _png_depth(file) if picture.format == "PNG" else 8
        picture.load()
        # In a PNG it may stand behind the pixels.
        orientation = _orientation(picture)
        if picture.format == "WEBP":
            # The plugin keeps two more pictures of that size for the next frame; a copy does not.
            picture = picture.copy()
        profile = picture.info.get("icc_profile")
        picture = _with_8_bits(picture, depth)
    if profile and len(profile) <= LARGEST_PROFILE:
        picture = _to_srgb(picture, profile)
    if picture.mode == "CMYK":
        picture = picture.convert("RGB")
    if picture.mode in ("LA", "RGBA") and picture.getchannel("A").getextrema()[0] == 255:
        picture = picture.convert(picture.mode[:-1])
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    picture.info.clear()
    return picture


def _opened(file: BinaryIO, declared: str, max_pixels: int) -> Image.Image:
    """The picture whose header alone has been read: of the declared type, whole, and of a size we decode."""
    try:
        picture = Image.open(file, formats=list(MEDIA_TYPES.values()))
    except UnidentifiedImageError as error:
        raise Refused("refused", "is not a JPEG, PNG, WebP or GIF that can be read") from error
    # A phone's picture with a second one for depth is a JPEG whose first picture counts.
    actual = "JPEG" if picture.format == "MPO" else picture.format
    if actual != MEDIA_TYPES[declared]:
        raise Refused("refused", f"is declared as {declared} but is a {actual}")
    if min(picture.size) < 1:
        raise Refused("refused", "has no pixels")
    if picture.width * picture.height > max_pixels:
        raise _too_large(max_pixels)
    _check_ends(file, actual)
    return picture


def _check_ends(file: BinaryIO, actual: str) -> None:
    """Refuses what Pillow lets pass: a PNG that is damaged elsewhere than in its pixels, and an archive."""
    place = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _ZIP_END_WITHIN))
    if _ZIP_END in file.read():
        raise Refused("refused", "is an archive as well as a picture")
    if actual == "PNG":
        file.seek(0)
        Image.open(file, formats=["PNG"]).verify()
    file.seek(place)


def _png_depth(file: BinaryIO) -> int:
    """Bits a channel, which a PNG tells in the first chunk."""
    place = file.tell()
    file.seek(24)
    depth = file.read(1)[0]
    file.seek(place)
    return depth


def _orientation(picture: Image.Image) -> int:
    """1 to 8, or something else when nobody knows."""
    try:
        return cast(int, picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata is no reason to refuse a picture
        return 1


def _with_8_bits(picture: Image.Image, depth: int) -> Image.Image:
    """The same colours as L, LA, RGB, RGBA or CMYK. `depth`: bits a channel in the file."""
    transparent = picture.info.get("transparency")
    if picture.mode == "I;16":
        # Pillow's own conversion to L makes everything from 256 on white.
        wide = picture.convert("I")
        grey = wide.point(_TO_8_BITS, "L")
        if transparent is not None:
            grey.putalpha(wide.point([0 if value == transparent else 255 for value in range(65536)], "L"))
        return grey
    if transparent is not None and picture.mode in ("L", "RGB") and depth != 8:
        # The file names the transparent colour with its own bits; Pillow has scaled the pixels only.
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


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """The picture as its profile means it. A profile that is damaged or of another kind of picture changes nothing."""
    try:
        meant = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if picture.mode == "CMYK":
            return cast(Image.Image, ImageCms.profileToProfile(picture, meant, _SRGB, outputMode="RGB"))
        if picture.mode in ("RGB", "RGBA"):
            ImageCms.profileToProfile(picture, meant, _SRGB, inPlace=True)
            return picture
        grey = picture if picture.mode == "L" else picture.getchannel("L")
        plain = cast(Image.Image, ImageCms.profileToProfile(grey, meant, _SRGB, outputMode="RGB")).convert("L")
        if picture.mode == "LA":
            plain.putalpha(picture.getchannel("A"))
        return plain
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture


def _write(picture: Image.Image, declared: str, target: Path) -> Prepared:
    extension, media_type = _WRITTEN[declared]
    path = target.with_name(f"{target.name}.{extension}")
    # The encoders' faster ways: 50 megapixels of noise take 3 to 6 seconds, and 8 to 20 with what is usual.
    if media_type == "image/jpeg":
        picture.save(path, "JPEG", quality=88, subsampling="4:2:0")
    elif media_type == "image/png":
        picture.save(path, "PNG", compress_level=4)
    elif not _written_as_webp(picture, path):
        return _write(picture, "image/png" if picture.has_transparency_data else "image/jpeg", target)
    thumbnail = target.with_name(target.name + _THUMBNAIL_SUFFIX)
    _small(picture).save(thumbnail, "WEBP", quality=80, method=4)
    return Prepared(path, thumbnail, extension, media_type, picture.width, picture.height)


def _written_as_webp(picture: Image.Image, path: Path) -> bool:
    """False when it is beyond the format, whose room for how blocks are coded is bounded, or beyond memory."""
    try:
        picture.save(path, "WEBP", quality=88, method=2)
    except ValueError:
        path.unlink(missing_ok=True)
        return False
    return True


def _small(picture: Image.Image) -> Image.Image:
    """The picture with at most 480 pixels a side and at least one; a small one as it is."""
    factor = THUMBNAIL_SIDE / max(picture.size)
    if factor >= 1:
        return picture
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
