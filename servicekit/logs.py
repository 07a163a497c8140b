"""Structured logs on standard output: JSON, or coloured lines on a terminal.

No line has anything that a client chooses freely: no token, text, idempotency key or card token. Errors of drivers and
parsers quote such values, so errors are logged with `describe`, tracebacks included.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal

import grpc
import structlog
from structlog.types import EventDict

from servicekit.spans import spans

# From a quotation mark, which is no apostrophe, to the last one of the line, or to its end.
_QUOTED = re.compile(r"""(?<!\w)["'`](?:.*["'`](?!\w)|.*)""")
_LONGEST_TEXT = 300


def describe(error: BaseException) -> str:
    """Return an error for the log: its type and the first line of its text, without the values that it quotes."""
    text = str(error)
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        text = f"{error.code().name}, {error.details()}"
    line = _QUOTED.sub("'…'", text.strip().partition("\n")[0])[:_LONGEST_TEXT]
    constraint = getattr(getattr(error, "diag", None), "constraint_name", None)
    parts = [type(error).__name__, line, f"constraint {constraint}" if constraint else ""]
    return ": ".join(part for part in parts if part)


def _format_exception(_: Any, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by a traceback whose errors are described: places and code, no values."""
    exc_info = event.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    if isinstance(exc_info, BaseException):
        event["exception"] = "\n".join(_traceback_lines(exc_info))
    return event


def _traceback_lines(error: BaseException) -> Iterator[str]:
    chain: list[BaseException] = []
    while error not in chain:
        chain.append(error)
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if before is None:
            break
        error = before
    for each in reversed(chain):
        frames: TracebackType | None = each.__traceback__
        yield from (line.rstrip("\n") for line in traceback.format_tb(frames))
        yield describe(each)


def configure(level: str, form: Literal["auto", "json", "console"], **fields: str) -> None:
    """Set up the process's logging, other libraries' included. Every line contains `fields`."""
    is_console = form == "console" or (form == "auto" and sys.stdout.isatty())

    def add_fields(_: Any, __: str, event: EventDict) -> EventDict:
        trace_id = spans().trace_id()
        return {**event, **fields, "trace_id": trace_id} if trace_id else {**event, **fields}

    shared: list[structlog.types.Processor] = [
        add_fields,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _format_exception,
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if is_console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
