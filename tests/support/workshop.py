"""A workshop of pictures for a test, and what can be seen of its decoders from outside."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from prometheus_client import REGISTRY

from gig_service.images.decode import Prepared
from gig_service.images.workshop import Workshop
from servicekit.errors import MarketplaceError
from tests.support import pictures


@asynccontextmanager
async def a_workshop(seconds: float = 20, memory_mib: int = 1024, decoders: int = 1) -> AsyncIterator[Workshop]:
    workshop = Workshop(decoders=decoders, seconds=seconds, memory_mib=memory_mib)
    workshop.start()
    try:
        yield workshop
    finally:
        workshop.stop()


async def bring(workshop: Workshop, folder: Path, data: bytes, declared: str = pictures.JPEG) -> Prepared:
    source = folder / "upload"
    source.write_bytes(data)
    return await workshop.prepare(source, declared, folder / "out")


async def refusal(workshop: Workshop, folder: Path, data: bytes, declared: str = pictures.JPEG) -> MarketplaceError:
    with pytest.raises(MarketplaceError) as refused:
        await bring(workshop, folder, data, declared)
    return refused.value


def decoders_of(pid: int) -> list[psutil.Process]:
    """The living decoders of a process; multiprocessing's own bookkeeper is none."""
    found = []
    for child in psutil.Process(pid).children():
        try:
            if "spawn_main" in " ".join(child.cmdline()) and not is_gone(child):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended; whether its parent has taken notice is another matter."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def only_decoder() -> psutil.Process:
    (decoder,) = decoders_of(os.getpid())
    return decoder


async def eventually(holds: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        await asyncio.sleep(0.02)


def status_mib(pid: int, field: str) -> float:
    """A line of /proc/<pid>/status in MiB, such as VmHWM: the most that was resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def status_mask(pid: int, field: str) -> int:
    """A mask of signals of /proc/<pid>/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith(field + ":"))


def outcomes(outcome: str) -> float:
    return REGISTRY.get_sample_value("marketplace_pictures_total", {"outcome": outcome}) or 0
