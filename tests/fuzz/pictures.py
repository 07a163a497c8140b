"""Mutated pictures: each is refused as the client's error, or becomes a clean picture; no decoder breaks its limits.

Most go straight to a decoder pool, every 25th through the edge as the body or in a form, with any declared type.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx
from PIL import Image

from gig_service.images.decoder_pool import DecoderPool
from gig_service.images.picture_type import picture_type
from servicekit.errors import MarketplaceError
from tests.fuzz import Options, Result
from tests.support import odd_pictures, pictures
from tests.support.decoder_pool import a_decoder_pool, decoders_of
from tests.support.pictures import PNG, SECRET, chunk
from tests.support.stack import Stack
from tests.support.story import Market

LARGEST_SEED = 20_000
THROUGH_THE_EDGE = 25
TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/jpg",
    "application/octet-stream",
    "",
    "image/tiff",
)
# For a busy machine. A picture that takes so long is a fault all the same: the inputs are small.
SECONDS = 60
UPLOADS_A_GIG = 18
REFUSALS = ("INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE")

Mutation = Callable[[random.Random, bytearray], None]


def _flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        data[rng.randrange(len(data))] = rng.randrange(256)


def _extreme(rng: random.Random, data: bytearray) -> None:
    size = rng.choice((1, 2, 4))
    at = rng.randrange(max(1, len(data) - size))
    data[at : at + size] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * size


def _early(rng: random.Random, data: bytearray) -> None:
    """Change a byte of the header, where sizes and kinds stand."""
    data[rng.randrange(min(80, len(data)))] ^= 1 << rng.randrange(8)


def _cut(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 4, 100, len(data)))]


def _repeat(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    piece = data[at : at + rng.randrange(1, 200)]
    data[at:at] = piece * rng.choice((1, 2, 50))


def _insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 3, 30)))


MUTATIONS: tuple[Mutation, ...] = (_flip, _extreme, _early, _early, _cut, _repeat, _insert)


def seeds() -> list[bytes]:
    """Return pictures of every kind that are small enough to be changed quickly."""
    kinds = [kind.data for kind in (*pictures.kinds(), *odd_pictures.odd())]
    files = [*kinds, *(data for _, data, _ in pictures.with_metadata()), *_progressive()]
    return [data for data in files if len(data) <= LARGEST_SEED]


def _progressive() -> list[bytes]:
    noise = pictures.noise(64, 48)
    return [
        pictures.encoded(noise, "JPEG", progressive=True),
        pictures.encoded(noise, "JPEG", restart_marker_blocks=2),
        pictures.encoded(noise, "WEBP", lossless=True),
        pictures.encoded(noise.quantize(), "GIF", interlace=True),
    ]


def mutant(rng: random.Random, files: list[bytes]) -> bytes:
    """Return one of the files, changed in up to four ways; half of the PNGs get right checksums again."""
    data = bytearray(rng.choice(files))
    if rng.random() < 0.1:
        other = rng.choice(files)
        at = rng.randrange(len(data))
        data[at:] = other[rng.randrange(len(other)) :]
    for _ in range(rng.randrange(1, 5)):
        if data:
            rng.choice(MUTATIONS)(rng, data)
    result = bytes(data)
    return _with_checksums(result) if picture_type(result) == PNG and rng.random() < 0.5 else result


def _with_checksums(data: bytes) -> bytes:
    """Return a PNG with the right checksum of every chunk, as far as its lengths make sense."""
    whole, at = data[:8], 8
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            break
        whole += chunk(name, data[at + 8 : at + 8 + length])
        at += 12 + length
    return whole + data[at:]


def faults_of(name: str, data: bytes) -> list[str]:
    """Return a sentence for each fault of a picture that is served."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            metadata = {"icc_profile", "xmp", "comment", "exif", "Comment", "gamma"} & set(image.info)
            faults = [f"{name} has {sorted(metadata)}"] if metadata or image.getexif() else []
    except Exception as error:
        return [f"{name} cannot be decoded: {error!r}"]
    return faults + ([f"{name} has the secret"] if SECRET in data else [])


class _Pool:
    """Sends mutants to a decoder pool."""

    def __init__(self, pool: DecoderPool, folder: Path) -> None:
        self._pool = pool
        self._folder = folder

    async def one(self, data: bytes) -> tuple[str, list[str]]:
        """Return the outcome of one file, and its faults."""
        media_type = picture_type(data)
        if media_type is None:
            return "no picture", []
        source = self._folder / "source"
        source.write_bytes(data)
        try:
            picture = await self._pool.decode(source, media_type, self._folder / "out")
        except MarketplaceError as error:
            unbounded = error.code not in REFUSALS or "too much work" in error.message or "too long" in error.message
            return error.code, [error.message] if unbounded else []
        faults = faults_of("picture", picture.path.read_bytes())
        faults += faults_of("thumbnail", picture.thumbnail.read_bytes())
        return f"pool {picture.media_type}", faults


class _Edge:
    """Sends mutants to the edge."""

    def __init__(self, stack: Stack, rng: random.Random) -> None:
        self._rng = rng
        self._market = Market.of(stack)
        self._gig = ""
        self._uploads = UPLOADS_A_GIG

    def one(self, data: bytes) -> tuple[str, list[str]]:
        """Return the status of one upload, and its faults."""
        if self._uploads >= UPLOADS_A_GIG:
            self._gig, self._uploads = self._market.gig()["id"], 0
        self._uploads += 1
        declared, path = self._rng.choice(TYPES), f"/api/gigs/{self._gig}/images"
        if self._rng.random() < 0.5:
            headers = {"content-type": declared} if declared else {}
            answer = self._market.seller.post(path, content=data, headers=headers, timeout=180)
        else:
            answer = self._market.seller.post(path, files={"file": ("x", data, declared or None)}, timeout=180)
        if answer.status_code != 201:
            return str(answer.status_code), [] if answer.status_code in (400, 413, 415) else [answer.text]
        (image,) = answer.json()["images"]
        faults = []
        for name in ("url", "thumbnailUrl"):
            served = httpx.get(image[name], timeout=60)
            faults += (
                faults_of(name, served.content) if served.status_code == 200 else [f"{name}: {served.status_code}"]
            )
        return "201", faults


def fuzz(stack: Stack, options: Options) -> Result:
    """Send mutants until the end of the run."""
    return asyncio.run(_fuzz(stack, options))


async def _fuzz(stack: Stack, options: Options) -> Result:
    rng, result, files = random.Random(options.seed), Result(), seeds()
    edge = _Edge(stack, rng)
    with tempfile.TemporaryDirectory() as folder:
        async with a_decoder_pool(seconds=SECONDS) as pool:
            decoders = _Pool(pool, Path(folder))
            while not options.is_over(result.inputs):
                number, data = result.inputs, mutant(rng, files)
                if number % THROUGH_THE_EDGE == 0:
                    answer, faults = await asyncio.to_thread(edge.one, data)
                else:
                    answer, faults = await decoders.one(data)
                if len(decoders_of(os.getpid())) > 1:
                    faults.append("more decoders than one")
                result.count(answer)
                checksum = zlib.crc32(data)
                result.faults += [f"input {number} ({len(data)} bytes, {checksum:08x}): {fault}" for fault in faults]
    return result
