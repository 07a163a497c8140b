"""Hostile files, through a real decoder."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from gig_service.images.decoder_pool import DecoderPool
from tests.support import pictures
from tests.support.decoder_pool import (
    a_keeper,
    decode,
    limit_of,
    only_decoder,
    outcomes,
    refusal,
    status_mask,
    status_mib,
)
from tests.support.pictures import Hostile

MIB = 2**20


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def shared(loop: asyncio.Runner) -> Iterator[DecoderPool]:
    async def start() -> DecoderPool:
        pool = DecoderPool(a_keeper())
        pool.start()
        return pool

    pool = loop.run(start())
    yield pool
    pool.stop()


# A body that is no picture by its type does not come to a decoder.
HOSTILE = [hostile for hostile in pictures.HOSTILE if hostile.code != pictures.OTHER_TYPE]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_file_is_refused_and_the_same_decoder_serves_the_next_picture(
    hostile: Hostile, loop: asyncio.Runner, shared: DecoderPool, tmp_path: Path
) -> None:
    async def story() -> None:
        refused = await refusal(shared, tmp_path, hostile.make(), hostile.declared)
        decoder = only_decoder().pid
        assert [path.name for path in tmp_path.iterdir()] == ["upload"]

        assert refused.code == hostile.code, refused.message
        if refused.code == "INVALID_ARGUMENT":
            assert [violation.field for violation in refused.violations] == ["file"]
        assert (await decode(shared, tmp_path, pictures.a_jpeg())).width == 64
        assert only_decoder().pid == decoder

    loop.run(story())


def test_a_good_picture_is_counted_and_timed(loop: asyncio.Runner, shared: DecoderPool, tmp_path: Path) -> None:
    before = outcomes("ok"), outcomes("refused"), outcomes("too_large")
    seconds = REGISTRY.get_sample_value("marketplace_picture_seconds_count") or 0

    loop.run(decode(shared, tmp_path, pictures.a_jpeg()))
    loop.run(refusal(shared, tmp_path, b"no picture"))
    loop.run(refusal(shared, tmp_path, pictures.png((2**20, 2**20), 8, 0, b""), pictures.PNG))

    assert (outcomes("ok"), outcomes("refused"), outcomes("too_large")) == tuple(count + 1 for count in before)
    assert REGISTRY.get_sample_value("marketplace_picture_seconds_count") == seconds + 3


def test_a_decoder_is_small_polite_and_bounded(loop: asyncio.Runner, shared: DecoderPool, tmp_path: Path) -> None:
    loop.run(decode(shared, tmp_path, pictures.a_webp(), pictures.WEBP))
    decoder = only_decoder()

    assert status_mib(decoder.pid, "VmRSS") < 45
    assert decoder.nice() == 10
    assert limit_of(decoder.pid, "Max address space") == str(1024 * MIB)
    assert limit_of(decoder.pid, "Max core file size") == "0"
    assert limit_of(decoder.pid, "Max cpu time") == "2000"
    assert limit_of(decoder.pid, "Max processes") == "0"
    assert limit_of(decoder.pid, "Max open files") == "32"
    assert limit_of(decoder.pid, "Max file size") == str(512 * MIB)
    # It does not catch SIGTERM, so it ends in the middle of C code too.
    assert not status_mask(decoder.pid, "SigCgt") >> (signal.SIGTERM - 1) & 1
    mapped = {Path(line.path).name for line in decoder.memory_maps()}
    assert not [name for name in mapped if "cygrpc" in name or "psycopg" in name]
