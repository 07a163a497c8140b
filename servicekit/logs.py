"""Structured logs on standard output: JSON, or coloured lines on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog
from structlog.types import EventDict


def configure(level: str, form: Literal["auto", "json", "console"], **fields: str) -> None:
    """Set up the process's logging, other libraries' included. Every line contains `fields`."""
    is_console = form == "console" or (form == "auto" and sys.stdout.isatty())

    def add_fields(_: Any, __: str, event: EventDict) -> EventDict:
        return {**event, **fields}

    shared: list[structlog.types.Processor] = [
        add_fields,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
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
