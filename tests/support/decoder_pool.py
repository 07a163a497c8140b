"""A decoder pool for a test, and an outside view of its decoder processes."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client import REGISTRY

from gig_service.images.confinement import Limits
from gig_service.images.decoder_pool import PICTURES_A_DECODER, DecoderPool
from gig_service.images.keeper import Keeper
from gig_service.media.decoded_picture import DecodedPicture
from servicekit.errors import MarketplaceError
from tests.support import pictures


def a_keeper(seconds: float = 20, memory_mib: int = 1024) -> Keeper:
    return Keeper(Limits(memory_mib, math.ceil(PICTURES_A_DECODER * seconds), 65533, 65533))


@asynccontextmanager
async def a_decoder_pool(
    seconds: float = 20, memory_mib: int = 1024, decoders: int = 1, **more: Any
) -> AsyncIterator[DecoderPool]:
    pool = DecoderPool(a_keeper(seconds, memory_mib), decoders=decoders, seconds=seconds, **more)
    pool.start()
    try:
        yield pool
    finally:
        pool.stop()


async def decode(pool: DecoderPool, folder: Path, data: bytes, declared: str = pictures.JPEG) -> DecodedPicture:
    source = folder / "upload"
    source.write_bytes(data)
    return await pool.decode(source, declared, folder / "out")


async def refusal(pool: DecoderPool, folder: Path, data: bytes, declared: str = pictures.JPEG) -> MarketplaceError:
    with pytest.raises(MarketplaceError) as refused:
        await decode(pool, folder, data, declared)
    return refused.value


def decoders_of(pid: int) -> list[psutil.Process]:
    """Return the living decoders of a process: the children of its keepers."""
    decoders = []
    for keeper in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):
            if "gig_service.images.keeper" in " ".join(keeper.cmdline()):
                decoders += [child for child in keeper.children() if not is_gone(child)]
    return decoders


def is_gone(process: psutil.Process) -> bool:
    """Return whether the process has ended, also when its parent has not waited for it yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def only_decoder() -> psutil.Process:
    (decoder,) = decoders_of(os.getpid())
    return decoder


def status_mib(pid: int, field: str) -> float:
    """Return a line of /proc/<pid>/status in MiB, such as VmHWM, the peak of the resident memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def limit_of(pid: int, name: str) -> str:
    """Return the hard limit of this name in /proc/<pid>/limits."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line[26:].split()[1] for line in lines if line.startswith(name))


def status_mask(pid: int, field: str) -> int:
    """Return a mask of signals of /proc/<pid>/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith(field + ":"))


def outcomes(outcome: str) -> float:
    return REGISTRY.get_sample_value("marketplace_pictures_total", {"outcome": outcome}) or 0
