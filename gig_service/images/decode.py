"""Turns an uploaded picture into the picture that is served and its thumbnail. Runs in a decoder process.

Only the pixels of the file survive: they are read, converted to sRGB with 8 bits, turned upright and encoded anew.
Metadata, comments and data hidden before or after the picture are lost. This imports Pillow alone, because every
decoder process pays for the imports.
"""

from __future__ import annotations

import io
import warnings
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

from gig_service.media.decoded_picture import THUMBNAIL_EXTENSION, DecodedPicture

MEDIA_TYPES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
THUMBNAIL_SIDE = 480
LARGEST_PROFILE = 4 * 2**20

# A printer's profile is larger than Pillow's limit of one megabyte for compressed chunks of a PNG.
PngImagePlugin.MAX_TEXT_CHUNK = LARGEST_PROFILE
# Pillow warns of large pictures and of odd metadata. This module handles both.
warnings.simplefilter("ignore")

# The format to write for each format read: its extension and media type.
_OUTPUT = {
    "image/jpeg": ("jpg", "image/jpeg"),
    "image/png": ("png", "image/png"),
    "image/webp": ("webp", "image/webp"),
    "image/gif": ("png", "image/png"),
}
_THUMBNAIL_SUFFIX = f"-thumbnail.{THUMBNAIL_EXTENSION}"
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
# The end record of a ZIP or JAR on one disk. Such a file is read from its end, so a picture can stand before it.
_ZIP_END = b"PK\5\6\0\0\0\0"
_ZIP_END_WITHIN = 22 + 65535


class PictureRefused(Exception):
    """The file cannot be served. `outcome`: unsupported, too_large, refused, crashed. The uploader reads `message`."""

    def __init__(self, outcome: str, message: str = "") -> None:
        super().__init__(outcome, message)
        self.outcome = outcome
        self.message = message


def try_decode(source: Path, declared: str, target: Path, max_pixels: int) -> DecodedPicture | PictureRefused:
    """Return the result of `decode`, or its error as a value.

    A raised exception would keep the picture in memory until the next one.
    """
    try:
        return decode(source, declared, target, max_pixels)
    except PictureRefused as refused:
        return PictureRefused(refused.outcome, refused.message)
    except MemoryError:
        return PictureRefused("crashed", "takes too much memory to decode")


def decode(source: Path, declared: str, target: Path, max_pixels: int) -> DecodedPicture:
    """Decode the picture in `source` and write `<target>.<jpg|png|webp>` and `<target>-thumbnail.webp`.

    `declared` is its media type, which must be the real one. A GIF becomes a PNG, an animation its first frame; the
    thumbnail's longer side has at most 480 pixels. Raises PictureRefused, MemoryError, and OSError when a file cannot
    be written.
    """
    if declared not in MEDIA_TYPES:
        raise PictureRefused("unsupported")
    # For some formats Pillow checks this before it allocates memory; it allows twice as many pixels.
    Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
    try:
        picture = _read(source, declared, max_pixels)
    except (PictureRefused, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(max_pixels) from error
    except Exception as error:  # a hostile file can make Pillow raise anything
        raise PictureRefused("refused", "cannot be decoded: it is damaged or cut off") from error
    return _write(picture, declared, target)


def delete_output(target: Path) -> None:
    """Delete all files that `decode` may have written for `target`."""
    for suffix in (*(f".{extension}" for extension, _ in _OUTPUT.values()), _THUMBNAIL_SUFFIX):
        target.with_name(target.name + suffix).unlink(missing_ok=True)


def warm_up() -> None:
    """Do nothing: a decoder that runs this imports this module first."""


def _too_large(max_pixels: int) -> PictureRefused:
    return PictureRefused("too_large", f"The picture has more than {max_pixels} pixels")


def _read(source: Path, declared: str, max_pixels: int) -> Image.Image:
    """Return the upright picture in sRGB: mode L, LA, RGB or RGBA, and without any metadata."""
    with source.open("rb") as file:
        picture = _open(file, declared, max_pixels)
        depth = _png_depth(file) if picture.format == "PNG" else 8
        picture.load()
        # Read after the pixels: in a PNG it may stand behind them.
        orientation = _orientation(picture)
        if picture.format == "WEBP":
            # Pillow's plugin keeps two more pictures of that size for the next frame; a copy does not.
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


def _open(file: BinaryIO, declared: str, max_pixels: int) -> Image.Image:
    """Return the picture after reading its header: of the declared type, complete, and small enough."""
    try:
        picture = Image.open(file, formats=list(MEDIA_TYPES.values()))
    except UnidentifiedImageError as error:
        raise PictureRefused("refused", "is not a JPEG, PNG, WebP or GIF that can be read") from error
    # A phone's picture with a depth map (MPO) is a JPEG; its first picture counts.
    actual = "JPEG" if picture.format == "MPO" else picture.format
    if actual != MEDIA_TYPES[declared]:
        raise PictureRefused("refused", f"is declared as {declared} but is a {actual}")
    if min(picture.size) < 1:
        raise PictureRefused("refused", "has no pixels")
    if picture.width * picture.height > max_pixels:
        raise _too_large(max_pixels)
    _check_ends(file, actual)
    return picture


def _check_ends(file: BinaryIO, actual: str) -> None:
    """Refuse files that Pillow accepts: archives, and a PNG that is damaged elsewhere than in its pixels."""
    place = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _ZIP_END_WITHIN))
    if _ZIP_END in file.read():
        raise PictureRefused("refused", "is an archive as well as a picture")
    if actual == "PNG":
        file.seek(0)
        Image.open(file, formats=["PNG"]).verify()
    file.seek(place)


def _png_depth(file: BinaryIO) -> int:
    """Return the bits a channel of a PNG, from its first chunk."""
    place = file.tell()
    file.seek(24)
    depth = file.read(1)[0]
    file.seek(place)
    return depth


def _orientation(picture: Image.Image) -> int:
    """Return EXIF's orientation, 1 to 8; damaged metadata may give another value."""
    try:
        return cast(int, picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata is no reason to refuse a picture
        return 1


def _with_8_bits(picture: Image.Image, depth: int) -> Image.Image:
    """Return the picture as L, LA, RGB, RGBA or CMYK. `depth`: bits a channel in the file."""
    transparent = picture.info.get("transparency")
    if picture.mode == "I;16":
        # Pillow's own conversion to L makes everything from 256 on white.
        wide = picture.convert("I")
        grey = wide.point(_TO_8_BITS, "L")
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


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Apply the profile. A profile that is damaged or of another kind of picture changes nothing."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
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


def _write(picture: Image.Image, declared: str, target: Path) -> DecodedPicture:
    extension, media_type = _OUTPUT[declared]
    path = target.with_name(f"{target.name}.{extension}")
    # Fast settings of the encoders: 50 megapixels of noise take 3 to 6 seconds, 8 to 20 with the defaults.
    if media_type == "image/jpeg":
        picture.save(path, "JPEG", quality=88, subsampling="4:2:0")
    elif media_type == "image/png":
        picture.save(path, "PNG", compress_level=4)
    elif not _save_webp(picture, path):
        return _write(picture, "image/png" if picture.has_transparency_data else "image/jpeg", target)
    thumbnail = target.with_name(target.name + _THUMBNAIL_SUFFIX)
    _shrink(picture).save(thumbnail, "WEBP", quality=80, method=4)
    return DecodedPicture(path, thumbnail, extension, media_type, picture.width, picture.height)


def _save_webp(picture: Image.Image, path: Path) -> bool:
    """Write a WebP; return False when the encoder cannot, for lack of memory or of room in the format's first part."""
    try:
        picture.save(path, "WEBP", quality=88, method=2)
    except ValueError:
        path.unlink(missing_ok=True)
        return False
    return True


def _shrink(picture: Image.Image) -> Image.Image:
    """Return the picture with 1 to 480 pixels a side; a small one is not enlarged."""
    factor = THUMBNAIL_SIDE / max(picture.size)
    if factor >= 1:
        return picture
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
