"""Threads of an event loop for one kind of blocking work, so that it takes none from other work."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    """So many threads, which run functions as `asyncio.to_thread` does."""

    def __init__(self, number: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(number, name)

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function in a thread, with the context of the current task, and return its result."""
        work = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
