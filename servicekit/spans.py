"""Where traces hook into a process. This imports no OpenTelemetry: `servicekit.tracing` does, when traces are on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import grpc
from prometheus_client import Counter

DROPPED = Counter("marketplace_spans_dropped_total", "Spans of this worker that their receiver has not taken")

F = TypeVar("F", bound=Callable[..., Any])


class Spans:
    """The spans of a process. These are none: traces are off."""

    def around(self, method: str, serve: F) -> F:
        """Return a method for gRPC with a span for each call. `method` is `package.Service/Method`."""
        return serve

    def around_async(self, method: str, serve: F) -> F:
        """Return a coroutine function for grpc.aio with a span for each call."""
        return serve

    def on_channel(self, channel: grpc.Channel) -> grpc.Channel:
        """Return the channel with a span for each of its calls."""
        return channel

    def work(self, name: str, attributes: Mapping[str, str | int] | None = None) -> AbstractContextManager[object]:
        """Return the span of background work, the first one of its trace.

        Work that has changed no row and made no call is not recorded: it has only looked for something to do.
        """
        return nullcontext()

    def prepared(self, name: str, sql: str) -> None:
        """Take note of the text of a prepared statement; spans of its runs have only its name."""

    def changed(self, sql: str, rows: int) -> None:
        """Take note of the number of rows that a statement has changed or returned: see `work`."""

    def trace_id(self) -> str | None:
        """Return the id of the current trace, 32 hexadecimal digits; None outside of one that is recorded."""
        return None

    def stop(self) -> None:
        """Send the last spans, for a second at most."""


OFF = Spans()
_spans = OFF


def spans() -> Spans:
    """Return the spans of this process."""
    return _spans


def install(spans: Spans) -> None:
    """Set the spans of this process, before anything that has some is made."""
    global _spans
    _spans = spans
