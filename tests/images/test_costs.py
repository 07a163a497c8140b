"""Decoding costs what the pixels cost, whatever else is in a file."""

from __future__ import annotations

import io
import resource
from typing import Any

import pytest
from PIL import Image

from gig_service.images import decode, essentials
from gig_service.images.decode import Encoded, PictureRefused
from tests.support import costly_pictures, pictures
from tests.support.costly_pictures import COSTLY, Costly, scans

MAX_PIXELS = 50_000_000


def result_of(data: bytes, media_type: str) -> Encoded | PictureRefused:
    return decode.try_decode(io.BytesIO(data), io.BytesIO(), io.BytesIO(), media_type, MAX_PIXELS)


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize("costly", COSTLY, ids=lambda costly: costly.name)
def test_a_costly_file_is_refused_or_costs_what_its_pixels_cost(costly: Costly) -> None:
    data = costly.make()
    before = resource.getrusage(resource.RUSAGE_SELF)

    result = result_of(data, costly.declared)

    after = resource.getrusage(resource.RUSAGE_SELF)
    assert isinstance(result, Encoded) is costly.is_picture, result
    # Time of the processor, not of a clock: an honest picture of 50 megapixels takes several seconds.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize(
    ("count", "side", "is_picture"),
    [(20, 7000, True), (21, 7000, False), (83, 3464, True), (84, 3464, False), (100, 600, True), (101, 600, False)],
)
def test_a_large_picture_may_have_fewer_scans_than_a_small_one(count: int, side: int, is_picture: bool) -> None:
    result = result_of(scans(count, side), pictures.JPEG)

    assert isinstance(result, Encoded) is is_picture, result


def test_a_scan_behind_the_end_of_a_picture_is_not_counted() -> None:
    film = b"\xff\xda" * 100_000

    assert isinstance(result_of(pictures.a_jpeg() + film, pictures.JPEG), Encoded)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (pictures.encoded(pictures.noise(640, 480), "JPEG", progressive=True, quality=95), pictures.JPEG),
        (pictures.encoded(pictures.noise(640, 480), "JPEG", restart_marker_blocks=1), pictures.JPEG),
        (pictures.encoded(pictures.noise(640, 480), "PNG"), pictures.PNG),
        (costly_pictures.interlaced(100), pictures.PNG),
        (pictures.encoded(pictures.noise(640, 480).quantize(), "GIF"), pictures.GIF),
        (pictures.a_webp(), pictures.WEBP),
    ],
)
def test_the_essentials_are_a_picture_with_the_same_pixels(data: bytes, media_type: str) -> None:
    kept = essentials.essentials(data, media_type).data

    with Image.open(io.BytesIO(data)) as whole, Image.open(io.BytesIO(kept)) as essential:
        assert essential.convert("RGBA").tobytes() == whole.convert("RGBA").tobytes()


@pytest.mark.parametrize("media_type", decode.FORMATS)
@pytest.mark.parametrize("length", [0, 1, 8, 12, 13, 20, 30, 33, 60])
def test_a_file_that_is_cut_off_anywhere_is_told_so(media_type: str, length: int) -> None:
    whole: dict[str, Any] = {
        pictures.JPEG: pictures.a_jpeg(),
        pictures.PNG: pictures.a_png(),
        pictures.GIF: pictures.a_gif(),
        pictures.WEBP: pictures.a_webp(),
    }
    result = result_of(whole[media_type][:length], media_type)

    assert isinstance(result, PictureRefused)
    assert "cut off" in result.message or "can be read" in result.message
