"""How spans leave the process: without texts of clients, and never so that something waits for their receiver.

The instrumentations record texts of errors, which quote values, and headers of callers. Only KEPT_ATTRIBUTES leave.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

import structlog
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from servicekit.spans import DROPPED

# Spans that wait to be sent; further ones are dropped. A span takes about 2 KiB.
MAX_WAITING = 2048
MAX_BATCH = 512
BATCH_SECONDS = 0.5
# The time for one batch.
EXPORT_SECONDS = 2.0
WARN_SECONDS = 60.0
MAX_STATEMENTS = 2000
MAX_STATEMENT_LENGTH = 4000

KEPT_ATTRIBUTES = frozenset(
    (
        "db.system",
        "outbox.attempts",
        "outbox.topic",
        "rpc.grpc.status_code",
        "rpc.method",
        "rpc.service",
        "rpc.system",
    )
)
STATEMENT = "db.statement"

_EXECUTE = re.compile(r"EXECUTE (s_[0-9a-f]{20})(?: \((?:%s(?:, )?)*\))?")
_PREPARE = re.compile(r"PREPARE s_[0-9a-f]{20} AS ")


class Statements:
    """The texts of the newest prepared statements, by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: OrderedDict[str, str] = OrderedDict()

    def add(self, name: str, sql: str) -> None:
        """Take note of a statement."""
        with self._lock:
            self._texts[name] = sql
            self._texts.move_to_end(name)
            if len(self._texts) > MAX_STATEMENTS:
                self._texts.popitem(last=False)

    def text_of(self, span: ReadableSpan) -> str:
        """Return the SQL of a statement's span on one line, without its parameters; empty for any other span."""
        statement = (span.attributes or {}).get(STATEMENT)
        if not isinstance(statement, str):
            return ""
        text = _EXECUTE.sub(lambda execute: self._texts.get(execute[1], execute[0]), statement)
        return _PREPARE.sub("PREPARE ", " ".join(text.split()), count=1)[:MAX_STATEMENT_LENGTH]


class Outbound(SpanExporter):
    """Sends spans without texts of clients. A receiver that is away costs spans, and a line of the log a minute."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.statements = Statements()
        self._exporter = exporter
        self._lock = threading.Lock()
        self._waiting = 0
        self._dropped = 0
        self._warned_at = -WARN_SECONDS

    def take_place(self) -> bool:
        """Take a place for a span that is to be sent. Returns False, and counts it as dropped, when there is none."""
        with self._lock:
            if self._waiting < MAX_WAITING:
                self._waiting += 1
                return True
        self._count_dropped(1)
        return False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. Returns FAILURE when the receiver has not taken them in EXPORT_SECONDS."""
        try:
            result = self._exporter.export([self._without_texts(span) for span in spans])
        finally:
            with self._lock:
                self._waiting -= len(spans)
        if result is not SpanExportResult.SUCCESS:
            self._count_dropped(len(spans))
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()

    def _count_dropped(self, number: int) -> None:
        DROPPED.inc(number)
        with self._lock:
            self._dropped += number
            now = time.monotonic()
            if now - self._warned_at < WARN_SECONDS:
                return
            self._warned_at = now
            dropped, self._dropped = self._dropped, 0
        structlog.get_logger().warning("spans dropped: their receiver does not take them", spans=dropped)

    def _without_texts(self, span: ReadableSpan) -> ReadableSpan:
        attributes = {name: value for name, value in (span.attributes or {}).items() if name in KEPT_ATTRIBUTES}
        name = span.name.lstrip("/")
        if text := self.statements.text_of(span):
            attributes[STATEMENT] = text
            # BEGIN is sent with the transaction's first statement.
            name = text.removeprefix("BEGIN; ").partition(" ")[0][:20]
        return ReadableSpan(
            name,
            span.context,
            span.parent,
            span.resource,
            attributes,
            [_without_message(event) for event in span.events if not _is_abort(event)],
            span.links,
            span.kind,
            status=Status(span.status.status_code),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )


def _is_abort(event: Event) -> bool:
    """Return whether this is the exception by which grpcio ends a call with a status: it tells nothing more."""
    return (event.attributes or {}).get("exception.type") == "Exception"


def _without_message(event: Event) -> Event:
    kind = (event.attributes or {}).get("exception.type")
    return Event(event.name, {"exception.type": kind} if kind else {}, event.timestamp)
