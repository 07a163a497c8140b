"""A decoder pool for a test, and an outside view of its decoder processes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from prometheus_client import REGISTRY

from gig_service.images.decoder_pool import DecoderPool
from gig_service.media.decoded_picture import DecodedPicture
from servicekit.errors import MarketplaceError
from tests.support import pictures


@asynccontextmanager
async def a_decoder_pool(seconds: float = 20, memory_mib: int = 1024, decoders: int = 1) -> AsyncIterator[DecoderPool]:
    pool = DecoderPool(decoders=decoders, seconds=seconds, memory_mib=memory_mib)
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
    """Return the living decoders of a process, without multiprocessing's resource tracker."""
    decoders = []
    for child in psutil.Process(pid).children():
        try:
            if "spawn_main" in " ".join(child.cmdline()) and not is_gone(child):
                decoders.append(child)
        except psutil.NoSuchProcess:
            continue
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


def status_mask(pid: int, field: str) -> int:
    """Return a mask of signals of /proc/<pid>/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith(field + ":"))


def outcomes(outcome: str) -> float:
    return REGISTRY.get_sample_value("marketplace_pictures_total", {"outcome": outcome}) or 0
