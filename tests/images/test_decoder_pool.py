"""Decoders are processes of their own: a file that breaks one does not affect the next picture."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gig_service.images.decoder_pool import DecoderPool
from tests.support import pictures
from tests.support.decoder_pool import (
    a_decoder_pool,
    decode,
    decoders_of,
    is_gone,
    only_decoder,
    outcomes,
    refusal,
    status_mib,
)
from tests.support.eventually import eventually


@pytest.fixture(scope="module")
def slow() -> bytes:
    """Return a PNG that keeps a decoder busy for some seconds."""
    return pictures.encoded(pictures.noise(6000, 6000), "PNG", compress_level=1)


def test_a_phones_picture_of_12_megapixels_takes_less_than_150_mib(tmp_path: Path) -> None:
    data = pictures.encoded(pictures.noise(4000, 3000), "JPEG", quality=90, exif=pictures.exif(6))

    async def story() -> None:
        async with a_decoder_pool() as pool:
            picture = await decode(pool, tmp_path, data)
            peak = status_mib(only_decoder().pid, "VmHWM")
            assert (picture.width, picture.height) == (3000, 4000)
            assert peak < 150
            print(f"peak of a decoder with 12 megapixels: {peak:.0f} MiB")

    asyncio.run(story())


@pytest.mark.alone
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("JPEG", {"progressive": True}),
        ("PNG", {"compress_level": 1}),
        ("WEBP", {"lossless": True, "method": 0}),
    ],
)
def test_the_largest_picture_fits_in_time_and_memory(kind: str, how: dict[str, Any], tmp_path: Path) -> None:
    largest = pictures.noise(880, 880).resize((7070, 7070))
    data = pictures.encoded(largest, kind, quality=10, exif=pictures.exif(6), **how)

    async def story() -> None:
        # The limit of 20 seconds is compared with CPU time, since the elapsed time depends on the machine's other work.
        async with a_decoder_pool(seconds=100) as pool:
            picture = await decode(pool, tmp_path, data, f"image/{kind.lower()}")
            assert picture.width == 7070
            peak = status_mib(only_decoder().pid, "VmPeak")
            used = only_decoder().cpu_times()
            print(f"50 megapixels of {kind}: {peak:.0f} MiB, {used.user + used.system:.1f} s")
            assert used.user + used.system < 20

    asyncio.run(story())


def test_a_picture_that_takes_too_long_is_refused_in_time_and_the_next_is_served(slow: bytes, tmp_path: Path) -> None:
    async def story() -> None:
        async with a_decoder_pool(seconds=0.7) as pool:
            await decode(pool, tmp_path, pictures.a_jpeg())
            before = only_decoder().pid, outcomes("timeout")

            refused = await refusal(pool, tmp_path, slow, pictures.PNG)

            assert refused.code == "INVALID_ARGUMENT"
            assert "too long" in refused.message
            assert [path.name for path in tmp_path.iterdir()] == ["upload"]
            assert (await decode(pool, tmp_path, pictures.a_jpeg())).width == 64
            assert only_decoder().pid != before[0]
            assert outcomes("timeout") == before[1] + 1

    asyncio.run(story())


def test_a_picture_that_takes_too_much_memory_is_refused_and_the_memory_comes_back(tmp_path: Path) -> None:
    fits = pictures.encoded(pictures.noise(4000, 3000).convert("L"), "PNG", compress_level=1)
    huge = pictures.png((7000, 7000), 8, pictures.TRUE, b"\0\0\0\0")

    async def story() -> None:
        async with a_decoder_pool(memory_mib=160) as pool:
            refused = await refusal(pool, tmp_path, huge, pictures.PNG)

            assert refused.code == "INVALID_ARGUMENT"
            assert "memory" in refused.message
            assert (await decode(pool, tmp_path, fits, pictures.PNG)).width == 4000
            assert status_mib(only_decoder().pid, "VmRSS") < 60

    asyncio.run(story())


def test_a_decoder_that_is_killed_at_work_costs_one_picture(slow: bytes, tmp_path: Path) -> None:
    async def story() -> None:
        async with a_decoder_pool() as pool:
            await decode(pool, tmp_path, pictures.a_jpeg())
            crashed = outcomes("crashed")
            work = asyncio.create_task(refusal(pool, tmp_path, slow, pictures.PNG))
            await asyncio.to_thread(eventually, lambda: status_mib(only_decoder().pid, "VmRSS") > 80)

            only_decoder().kill()

            assert (await work).code == "INVALID_ARGUMENT"
            assert (await decode(pool, tmp_path, pictures.a_jpeg())).width == 64
            assert outcomes("crashed") == crashed + 1

    asyncio.run(story())


def test_a_decoder_that_is_killed_at_rest_costs_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_decoder_pool() as pool:
            for pause in (0, 0.05, 0.5):
                await decode(pool, tmp_path, pictures.a_jpeg())
                only_decoder().kill()
                await asyncio.sleep(pause)
                assert (await decode(pool, tmp_path, pictures.a_jpeg())).width == 64

    asyncio.run(story())


def test_a_caller_that_goes_away_frees_its_decoder(slow: bytes, tmp_path: Path) -> None:
    async def story() -> None:
        async with a_decoder_pool() as pool:
            await decode(pool, tmp_path, pictures.a_jpeg())
            work = asyncio.create_task(decode(pool, tmp_path, slow, pictures.PNG))
            await asyncio.to_thread(eventually, lambda: status_mib(only_decoder().pid, "VmRSS") > 80)
            busy = only_decoder()

            work.cancel()

            # It is killed in the middle of the picture, before anybody needs it.
            await asyncio.to_thread(eventually, lambda: is_gone(busy))
            assert (await decode(pool, tmp_path, pictures.a_jpeg())).width == 64

    asyncio.run(story())


def test_many_pictures_at_once_take_turns(tmp_path: Path) -> None:
    async def one(pool: DecoderPool, number: int) -> int:
        folder = tmp_path / str(number)
        folder.mkdir()
        return (await decode(pool, folder, pictures.a_jpeg())).width

    async def story() -> None:
        async with a_decoder_pool(decoders=2) as pool:
            widths = await asyncio.gather(*(one(pool, number) for number in range(150)))
            assert set(widths) == {64}
            assert len(decoders_of(os.getpid())) <= 2

    asyncio.run(story())


def test_nothing_is_left_when_it_stops(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_decoder_pool(decoders=2) as pool:
            await decode(pool, tmp_path, pictures.a_jpeg())
            assert len(decoders_of(os.getpid())) == 2
        assert decoders_of(os.getpid()) == []
        refused = await refusal(pool, tmp_path, pictures.a_jpeg())
        assert refused.code == "UNAVAILABLE"

    asyncio.run(story())


PARENT = """
import asyncio, pathlib, sys
from gig_service.images.decoder_pool import DecoderPool
from tests.support.decoder_pool import a_keeper

async def main():
    pool = DecoderPool(a_keeper(), decoders=2)
    pool.start()
    source = pathlib.Path(sys.argv[1])
    print("busy", flush=True)
    await asyncio.gather(*(pool.decode(source, "image/png", source.with_name(name)) for name in "ab"))

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_no_decoder_outlives_its_parent_not_even_to_finish_a_picture(slow: bytes, tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.write_bytes(slow)
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen([sys.executable, program, source], env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout:
        assert parent.stdout.readline() == "busy\n"
        decoders = decoders_of(parent.pid)
        assert len(decoders) == 2
        eventually(lambda: all(status_mib(decoder.pid, "VmRSS") > 80 for decoder in decoders))

        parent.send_signal(signal.SIGKILL)
        parent.wait(10)

        eventually(lambda: all(map(is_gone, decoders)))
    # The next process empties the folder.
    assert not any((tmp_path / name).stat().st_size for name in ("a", "a-thumbnail", "b", "b-thumbnail"))
