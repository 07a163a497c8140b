"""Structured logs on standard output: JSON, or coloured lines on a terminal.

A call has one line, and so has each call to a payment provider. They are most of the log, so `log_frequent` writes them
without structlog. A line that cannot be written, as on a full disk, is lost: it fails nobody's call.

No line has anything that a client chooses freely: no token, text, idempotency key or card token. Errors of drivers and
parsers quote such values, so errors are logged with `describe`, tracebacks included.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, cast

import grpc
import orjson
import structlog
from structlog.types import EventDict

from servicekit.spans import spans

# From a quotation mark, which is no apostrophe, to the last one of the line, or to its end.
_QUOTED = re.compile(r"""(?<!\w)["'`](?:.*["'`](?!\w)|.*)""")
_LONGEST_TEXT = 300
_STANDARD_OUTPUT = 1


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


class _Output:
    """Standard output without a buffer: a line is one write, so that lines of several threads do not mix."""

    def write(self, text: str) -> int:
        """Write a text. Returns its length, as files do."""
        self.write_bytes(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def write_bytes(self, line: bytes) -> None:
        with suppress(OSError):
            os.write(_STANDARD_OUTPUT, line)

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""


class _FrequentLines:
    """Writes lines as structlog would, at a tenth of the cost."""

    def __init__(self, output: _Output, fields: Mapping[str, str]) -> None:
        self._output = output
        self._fields = {**fields, "level": "info"}

    def write(self, event: str, fields: Mapping[str, object]) -> None:
        line: dict[str, Any] = {**fields, "event": event, **self._fields}
        trace_id = spans().trace_id()
        if trace_id:
            line["trace_id"] = trace_id
        line["timestamp"] = datetime.now(UTC)
        self._output.write_bytes(orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))


# None unless the log is JSON and has the level INFO.
_frequent_lines: _FrequentLines | None = None


def log_call(call_fields: Mapping[str, str], code: str, ms: float, user: str | None) -> None:
    """Log a call that has ended. `call_fields` are Call.log_fields."""
    log_frequent("call", {"code": code, "ms": ms, "user": user, **call_fields})


def log_frequent(event: str, fields: Mapping[str, object]) -> None:
    """Log something that happens often, at the level INFO. The fields are texts, numbers or None."""
    if _frequent_lines is not None:
        _frequent_lines.write(event, fields)
    else:
        structlog.get_logger().info(event, **fields)


def configure(level: str, form: Literal["auto", "json", "console"], **fields: str) -> None:
    """Set up the process's logging, other libraries' included. Every line contains `fields`."""
    global _frequent_lines
    is_console = form == "console" or (form == "auto" and sys.stdout.isatty())
    output = _Output()
    has_info = logging.getLevelName(level) <= logging.INFO
    _frequent_lines = _FrequentLines(output, fields) if has_info and not is_console else None

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
        # Any: its types want a whole text file.
        logger_factory=structlog.WriteLoggerFactory(cast(Any, output)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
