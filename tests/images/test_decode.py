"""Decoding: the pixels of a picture survive, and nothing else does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gig_service.images import decode
from gig_service.images.decode import PictureRefused
from gig_service.images.picture_type import picture_type
from gig_service.media.decoded_picture import DecodedPicture
from tests.support import odd_pictures, pictures
from tests.support.pictures import Kind

KINDS = pictures.kinds() + odd_pictures.odd()
MAX_PIXELS = 50_000_000
# The markers of metadata in any format, and the content hidden behind a picture.
HIDDEN = (pictures.SECRET, b"Exif", b"EXIF", b"eXIf", b"ICC", b"iCC", b"XMP", b"xmp", b"tEXt", b"<?php", b"ftyp")


def decoded(data: bytes, media_type: str, folder: Path, max_pixels: int = MAX_PIXELS) -> DecodedPicture:
    picture, thumbnail = folder / "out", folder / "out-thumbnail"
    with picture.open("wb") as first, thumbnail.open("wb") as second:
        written = decode.decode(io.BytesIO(data), first, second, media_type, max_pixels)
    return DecodedPicture(picture, thumbnail, written.media_type, written.width, written.height)


def far_apart(left: pictures.Colour, right: pictures.Colour) -> int:
    return max(abs(one - other) for one, other in zip(left, right, strict=True))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_picture_keeps_its_colours(kind: Kind, tmp_path: Path) -> None:
    picture = decoded(kind.data, picture_type(kind.data) or "", tmp_path)

    assert (picture.width, picture.height) == pictures.SIZE
    for path, tolerance in ((picture.path, kind.tolerance), (picture.thumbnail, 16)):
        seen = pictures.colours_of(path)
        assert max(map(far_apart, seen, kind.colours)) <= tolerance, (path.name, seen, kind.colours)


@pytest.mark.parametrize(
    ("data", "declared", "becomes"),
    [
        (pictures.a_jpeg(), "image/jpeg", ("jpg", "image/jpeg", "JPEG")),
        (pictures.a_png(), "image/png", ("png", "image/png", "PNG")),
        (pictures.a_webp(), "image/webp", ("webp", "image/webp", "WEBP")),
        (pictures.a_gif(), "image/gif", ("png", "image/png", "PNG")),
    ],
)
def test_a_picture_is_named_as_what_it_is(
    data: bytes, declared: str, becomes: tuple[str, str, str], tmp_path: Path
) -> None:
    picture = decoded(data, declared, tmp_path)

    assert (picture.extension, picture.media_type) == becomes[:2]
    with Image.open(picture.path) as image, Image.open(picture.thumbnail) as thumbnail:
        assert (image.format, thumbnail.format) == (becomes[2], "WEBP")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_however_the_camera_was_held(kind: str, orientation: int, tmp_path: Path) -> None:
    picture = decoded(pictures.turned(orientation, kind), f"image/{kind.lower()}", tmp_path)

    assert (picture.width, picture.height) == pictures.SIZE
    for path in (picture.path, picture.thumbnail):
        expected = [(*colour, 255) for colour in pictures.QUARTERS]
        assert max(map(far_apart, pictures.colours_of(path), expected)) <= 20


@pytest.mark.parametrize("colour", [pictures.GREY, pictures.TRUE])
def test_a_ramp_of_16_bits_keeps_its_brightness(colour: int, tmp_path: Path) -> None:
    picture = decoded(pictures.ramp_16(colour), "image/png", tmp_path)

    with Image.open(picture.path) as image:
        assert list(image.convert("L").tobytes()) == list(range(256))


@pytest.mark.parametrize("colour", [pictures.GREY_ALPHA, pictures.TRUE_ALPHA])
def test_a_ramp_of_16_bits_keeps_its_transparency(colour: int, tmp_path: Path) -> None:
    picture = decoded(pictures.ramp_16(colour), "image/png", tmp_path)

    with Image.open(picture.path) as image:
        full = image.convert("RGBA")
        assert list(full.getchannel("A").tobytes()) == list(range(256))
        assert list(full.getchannel("G").tobytes()) == list(range(256))


@pytest.mark.parametrize("colour", [pictures.GREY, pictures.TRUE])
def test_a_transparent_colour_of_16_bits_makes_one_hole(colour: int, tmp_path: Path) -> None:
    picture = decoded(pictures.ramp_16(colour, transparent=40), "image/png", tmp_path)

    with Image.open(picture.path) as image:
        alpha = image.convert("RGBA").getchannel("A").tobytes()
    assert [place for place, value in enumerate(alpha) if value == 0] == [40]


@pytest.mark.parametrize(
    ("name", "data", "declared"),
    pictures.with_metadata(),
    ids=lambda value: value if isinstance(value, str) else "data",
)
def test_nothing_but_pixels_comes_through(name: str, data: bytes, declared: str, tmp_path: Path) -> None:
    picture = decoded(data, declared, tmp_path)

    assert pictures.SECRET in data
    for path in (picture.path, picture.thumbnail):
        written = path.read_bytes()
        for word in HIDDEN:
            assert word not in written, (name, path.name, word)
        with Image.open(path) as image:
            assert not image.getexif()
            assert not {"icc_profile", "xmp", "comment", "exif"} & set(image.info)


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((1000, 500), (480, 240)),
        ((300, 960), (150, 480)),
        ((480, 480), (480, 480)),
        ((20, 10), (20, 10)),
        ((1, 1), (1, 1)),
        ((65535, 1), (480, 1)),
        ((1, 65535), (1, 480)),
    ],
)
def test_a_thumbnail_has_480_pixels_a_side_at_most_and_is_never_enlarged(
    size: tuple[int, int], small: tuple[int, int], tmp_path: Path
) -> None:
    picture = decoded(pictures.encoded(Image.new("RGB", size, pictures.RED), "PNG"), "image/png", tmp_path)

    assert (picture.width, picture.height) == size
    with Image.open(picture.thumbnail) as thumbnail:
        assert thumbnail.size == small


@pytest.mark.filterwarnings("ignore:Image size")
def test_pixels_are_counted_from_the_header_to_the_last_one(tmp_path: Path) -> None:
    data = pictures.a_png()

    assert decoded(data, "image/png", tmp_path, max_pixels=64 * 48).width == 64
    with pytest.raises(PictureRefused) as refused:
        decoded(data, "image/png", tmp_path, max_pixels=64 * 48 - 1)

    assert refused.value.outcome == "too_large"
    assert "3071" in refused.value.message


@pytest.mark.parametrize("media_type", decode.FORMATS)
def test_other_formats_are_not_even_tried(media_type: str, tmp_path: Path) -> None:
    with pytest.raises(PictureRefused):
        decoded(pictures.encoded(pictures.flag(), "TIFF"), media_type, tmp_path)


def test_a_webp_that_pillow_cannot_encode_again_becomes_a_jpeg_or_a_png(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Image.Image.save

    def save_small_webps_only(image: Image.Image, file: Any, format: str, **how: Any) -> None:  # noqa: A002
        if format == "WEBP" and not file.name.endswith("-thumbnail"):
            file.write(b"the first blocks")
            raise ValueError("encoding error 6")
        save(image, file, format, **how)

    opaque_webp, ghost_webp = pictures.a_webp(), pictures.encoded(pictures.see_through(), "WEBP")
    lossless_webp = pictures.a_webp(lossless=True)
    monkeypatch.setattr(Image.Image, "save", save_small_webps_only)

    for data, becomes in ((opaque_webp, "JPEG"), (ghost_webp, "PNG"), (lossless_webp, "PNG")):
        picture = decoded(data, "image/webp", tmp_path)

        assert picture.media_type == f"image/{becomes.lower()}"
        with Image.open(picture.path) as image:
            assert image.format == becomes
