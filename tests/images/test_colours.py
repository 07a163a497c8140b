"""A picture comes out as a browser shows it, and without loss when it came without loss."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import pytest
from PIL import Image, ImageDraw
from PIL.JpegImagePlugin import get_sampling

from gig_service.images import colours, decode
from tests.support import pictures
from tests.support.odd_pictures import a_png_with
from tests.support.pictures import GIF, JPEG, PNG, WEBP, chunk, encoded

MAX_PIXELS = 50_000_000
SRGB = (0.3127, 0.3290, 0.6400, 0.3300, 0.3000, 0.6000, 0.1500, 0.0600)
# Display P3: a wider red and green.
P3 = (0.3127, 0.3290, 0.6800, 0.3200, 0.2650, 0.6900, 0.1500, 0.0600)


def decoded(data: bytes, media_type: str) -> Image.Image:
    """Return the picture that is served."""
    file = io.BytesIO()
    decode.decode(io.BytesIO(data), file, io.BytesIO(), media_type, MAX_PIXELS)
    return Image.open(io.BytesIO(file.getvalue()))


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def chrm(places: Sequence[float]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in places)))


def shown(level: int, gamma: float) -> int:
    """Return what a browser shows for a level of 8 bits in a file of this gamma."""
    return round(255 * float((level / 255) ** (1 / (2.2 * gamma))))


@pytest.mark.parametrize("gamma", [1.0, 0.55, 0.3, 1 / 1.8])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_a_png_with_a_gamma_is_as_bright_as_a_browser_shows_it(gamma: float, mode: str) -> None:
    ramp = Image.linear_gradient("L").rotate(90)
    data = encoded(ramp.quantize() if mode == "P" else ramp.convert(mode), "PNG")
    at = data.index(b"IHDR") + 21
    levels = ramp.convert("L").tobytes() if mode != "P" else ramp.quantize().convert("L").tobytes()

    picture = decoded(data[:at] + gama(gamma) + data[at:], PNG)

    expected = bytes(shown(level, gamma) for level in levels)
    assert picture.convert("RGB").getchannel("G").tobytes() == expected


@pytest.mark.parametrize("gamma", [0.45455, 0.454, 0.0])
def test_a_usual_gamma_and_none_change_nothing(gamma: float) -> None:
    assert decoded(a_png_with(gama(gamma)), PNG).tobytes() == pictures.flag().tobytes()


@pytest.mark.parametrize(
    "better",
    [
        chunk(b"sRGB", b"\0"),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(pictures.srgb_profile())),
        chunk(b"cICP", bytes((1, 13, 0, 1))),
    ],
    ids=["sRGB", "iCCP", "cICP"],
)
def test_a_chunk_that_says_more_takes_precedence(better: bytes) -> None:
    picture = decoded(a_png_with(better + gama(1.0) + chrm(P3)), PNG)

    pairs = zip(picture.tobytes(), pictures.flag().tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) <= 1


@pytest.mark.parametrize("colour", [pictures.GREY, pictures.TRUE, pictures.GREY_ALPHA, pictures.TRUE_ALPHA])
def test_16_bits_keep_their_shades_when_a_gamma_is_applied(colour: int) -> None:
    data = pictures.ramp_16(colour)
    at = data.index(b"IDAT") - 4

    picture = decoded(data[:at] + gama(1.0) + data[at:], PNG)

    levels = picture.convert("RGBA").getchannel("R").tobytes()
    assert list(levels) == [shown(level, 1.0) for level in range(256)]
    if colour in (pictures.GREY_ALPHA, pictures.TRUE_ALPHA):
        assert list(picture.convert("RGBA").getchannel("A").tobytes()) == list(range(256))


def test_dark_shades_of_16_bits_are_not_lost_in_8() -> None:
    # 256 levels below 1/256 of the brightness: a linear file of 8 bits would have one.
    row = b"\0" + b"".join(struct.pack(">3H", level, level, level) for level in range(256))

    picture = decoded(pictures.png((256, 1), 16, pictures.TRUE, row, gama(1.0)), PNG)

    assert len(set(picture.getchannel("R").tobytes())) > 18


def test_a_transparent_colour_is_found_before_the_gamma_changes_it() -> None:
    data = pictures.ramp_16(pictures.TRUE, transparent=40)
    at = data.index(b"tRNS") - 4

    picture = decoded(data[:at] + gama(1.0) + data[at:], PNG).convert("RGBA")

    assert [place for place, alpha in enumerate(picture.getchannel("A").tobytes()) if alpha == 0] == [40]


def test_chromaticities_are_converted_to_srgb() -> None:
    picture = decoded(a_png_with(gama(0.45455) + chrm(P3)), PNG)

    red, green, _, _ = pictures.PLACES
    (r, g, b), (r2, g2, _) = picture.getpixel(red), picture.getpixel(green)  # type: ignore[misc]
    # The same numbers mean more in a wider space: red becomes redder, green greener.
    assert r > pictures.RED[0]
    assert g < pictures.RED[1]
    assert b < pictures.RED[2]
    assert r2 < pictures.GREEN[0]
    assert g2 >= pictures.GREEN[1]


def test_white_stays_white_and_grey_stays_grey_with_other_chromaticities() -> None:
    data = encoded(Image.linear_gradient("L").convert("RGB"), "PNG")
    at = data.index(b"IDAT") - 4

    picture = decoded(data[:at] + gama(1 / 2.2) + chrm(P3) + data[at:], PNG)

    for x in (0, 64, 128, 255):
        r, g, b = picture.getpixel((128, x))  # type: ignore[misc]
        assert max(r, g, b) - min(r, g, b) <= 1
        assert abs(r - x) <= 7


@pytest.mark.parametrize("places", [(0.0,) * 8, (0.3, 0.0) * 4, (1e3, 1e3) * 4, SRGB[:2] * 4])
def test_chromaticities_that_make_no_sense_change_nothing(places: Sequence[float]) -> None:
    assert decoded(a_png_with(gama(0.45455) + chrm(places)), PNG).tobytes() == pictures.flag().tobytes()


def test_the_profile_of_srgbs_chromaticities_is_srgb() -> None:
    profile = colours.profile_of(1 / 2.2, SRGB)
    assert profile

    picture = colours.with_profile(pictures.flag(), profile)

    pairs = zip(picture.tobytes(), pictures.flag().tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) <= 7


def lines() -> Image.Image:
    """Return thin red lines on white, whose colour a lossy format smears."""
    picture = Image.new("RGB", (64, 64), "white")
    draw = ImageDraw.Draw(picture)
    for at in range(1, 64, 4):
        draw.line((0, at, 64, at), (255, 0, 0))
    return picture


@pytest.mark.parametrize(
    ("data", "media_type", "becomes"),
    [
        (encoded(lines(), "WEBP", lossless=True), WEBP, "WEBP"),
        (encoded(lines(), "WEBP", lossless=True, exif=pictures.exif(1)), WEBP, "WEBP"),
        (
            encoded(lines(), "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", (64, 64))]),
            WEBP,
            "WEBP",
        ),
        (encoded(lines(), "PNG"), PNG, "PNG"),
        (encoded(lines().quantize(), "GIF"), GIF, "PNG"),
    ],
    ids=["webp", "webp with EXIF", "webp, animated", "png", "gif"],
)
def test_what_came_without_loss_goes_out_without_loss(data: bytes, media_type: str, becomes: str) -> None:
    picture = decoded(data, media_type)

    assert picture.format == becomes
    assert picture.convert("RGB").tobytes() == lines().tobytes()


def test_colours_that_transparency_hides_are_kept_without_loss() -> None:
    hidden = pictures.see_through()

    picture = decoded(encoded(hidden, "WEBP", lossless=True, exact=True), WEBP)

    assert picture.convert("RGBA").tobytes() == hidden.tobytes()


def test_a_lossy_webp_stays_lossy() -> None:
    photo = encoded(pictures.noise(640, 480), "WEBP", quality=80)

    again = io.BytesIO()
    decode.decode(io.BytesIO(photo), again, io.BytesIO(), WEBP, MAX_PIXELS)

    assert b"VP8L" not in again.getvalue()[:40]
    assert len(again.getvalue()) < 2 * len(photo)


@pytest.mark.parametrize(("subsampling", "expected"), [("4:4:4", "full"), ("4:2:2", "full"), ("4:2:0", "half")])
def test_a_jpeg_with_the_colours_of_each_pixel_keeps_them(subsampling: str, expected: str) -> None:
    picture = decoded(encoded(lines(), "JPEG", quality=95, subsampling=subsampling), JPEG)

    assert get_sampling(picture) == {"full": 0, "half": 2}[expected]
    if subsampling == "4:4:4":
        red = picture.getpixel((32, 1))
        assert isinstance(red, tuple)
        assert red[0] > 240
        assert max(red[1:]) < 20
