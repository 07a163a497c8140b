"""Pictures of every kind, and files that mean harm, in through the real edge and out again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from servicekit.errors import spec_of
from tests.support import odd_pictures, pictures
from tests.support.pictures import Hostile, Kind
from tests.support.stack import Stack
from tests.support.story import Market, ok

KINDS = pictures.kinds() + odd_pictures.odd()
QUARTERS = tuple((*colour, 255) for colour in pictures.QUARTERS)


@pytest.fixture(scope="module")
def market_of_pictures(stack: Stack) -> Market:
    return Market.of(stack)


@pytest.fixture
def gig(market_of_pictures: Market) -> Iterator[str]:
    """Create a gig without images and return its id; delete it afterwards, with its files."""
    made = market_of_pictures.gig()["id"]
    yield made
    market_of_pictures.seller.delete(f"/api/gigs/{made}")


def upload(market: Market, gig: str, data: bytes, declared: str) -> httpx.Response:
    headers = {"content-type": declared}
    return market.seller.post(f"/api/gigs/{gig}/images", content=data, headers=headers, timeout=60)


def brought(market: Market, gig: str, data: bytes, declared: str, folder: Path) -> tuple[Path, Path]:
    """Return the picture and its thumbnail as a browser gets them."""
    (image,) = ok(upload(market, gig, data, declared), 201)["images"]
    files = []
    for name, url in (("picture", image["url"]), ("thumbnail", image["thumbnailUrl"])):
        answer = httpx.get(url)
        assert answer.status_code == 200
        files.append(folder / name)
        files[-1].write_bytes(answer.content)
    return files[0], files[1]


def far_apart(seen: tuple[pictures.Colour, ...], expected: tuple[pictures.Colour, ...]) -> int:
    """Return the largest difference of any channel of any colour."""
    pairs = zip(seen, expected, strict=True)
    return max(abs(one - other) for left, right in pairs for one, other in zip(left, right, strict=True))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_picture_keeps_its_colours(
    kind: Kind, market_of_pictures: Market, gig: str, tmp_path: Path
) -> None:
    picture, thumbnail = brought(market_of_pictures, gig, kind.data, kind.declared, tmp_path)

    assert far_apart(pictures.colours_of(picture), kind.colours) <= kind.tolerance
    assert far_apart(pictures.colours_of(thumbnail), kind.colours) <= 16
    assert pictures.SECRET not in picture.read_bytes() + thumbnail.read_bytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phones_picture_is_upright_and_tells_nothing_of_its_place(
    orientation: int, market_of_pictures: Market, gig: str, tmp_path: Path
) -> None:
    data = pictures.turned(orientation)
    assert pictures.SECRET in data

    picture, thumbnail = brought(market_of_pictures, gig, data, "image/jpeg", tmp_path)

    assert far_apart(pictures.colours_of(picture), QUARTERS) <= 20
    assert pictures.SECRET not in picture.read_bytes() + thumbnail.read_bytes()
    with Image.open(picture) as opened:
        assert not opened.getexif()


def test_a_ramp_of_16_bits_keeps_its_brightness(market_of_pictures: Market, gig: str, tmp_path: Path) -> None:
    picture, _ = brought(market_of_pictures, gig, pictures.ramp_16(), "image/png", tmp_path)

    with Image.open(picture) as opened:
        assert list(opened.convert("L").tobytes()) == list(range(256))


@pytest.mark.parametrize("hostile", pictures.HOSTILE, ids=lambda hostile: hostile.name)
def test_a_file_that_means_harm_is_refused_with_the_right_code(
    hostile: Hostile, market_of_pictures: Market, gig: str
) -> None:
    answer = upload(market_of_pictures, gig, hostile.make(), hostile.declared)

    assert ok(answer, spec_of(hostile.code).http)["code"] == hostile.code
    assert ok(market_of_pictures.anyone.get(f"/api/gigs/{gig}"))["images"] == []


def test_there_are_at_least_twenty_files_that_mean_harm() -> None:
    assert len(pictures.HOSTILE) >= 20
