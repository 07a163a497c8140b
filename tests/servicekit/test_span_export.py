"""What leaves a process as a span, and what becomes of spans that nobody takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog
from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from servicekit import span_export
from servicekit.call_pool import CallPool
from servicekit.database import Database, Statement
from servicekit.span_export import MAX_WAITING, Outbound
from servicekit.spans import DROPPED, OFF, install
from servicekit.tracing import Tracing
from tests.support.eventually import eventually


class Receiver(SpanExporter):
    """Takes spans once it is open, or fails."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.open = threading.Event()
        self.result = SpanExportResult.SUCCESS

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.open.wait(30)
        self.spans.extend(spans)
        return self.result

    def shutdown(self) -> None:
        pass


@pytest.fixture
def receiver() -> Receiver:
    receiver = Receiver()
    receiver.open.set()
    return receiver


@pytest.fixture
def tracing(receiver: Receiver) -> Iterator[Tracing]:
    tracing = Tracing(Outbound(receiver), 1, "gig", "gig-0")
    install(tracing)
    yield tracing
    install(OFF)
    receiver.open.set()
    tracing.stop()
    Psycopg2Instrumentor().uninstrument()


def dropped() -> float:
    return sum(
        sample.value for metric in DROPPED.collect() for sample in metric.samples if sample.name.endswith("_total")
    )


def test_errors_leave_without_their_texts(tracing: Tracing, receiver: Receiver, gig_database: Database) -> None:
    database = _again(gig_database)
    insert = Statement("INSERT INTO categories (id, slug, name, position) SELECT id, $1, $1, position FROM categories")

    with pytest.raises(Exception, match="violates"), tracing.work("work"):
        database.fetch_all(insert, "s3cret-text")

    tracing.stop()
    [statement] = [span for span in receiver.spans if span.name == "INSERT"]
    assert statement.status.status_code is StatusCode.ERROR
    assert statement.status.description is None
    assert [dict(event.attributes or {}) for event in statement.events] == [
        {"exception.type": "psycopg2.errors.UniqueViolation"}
    ]
    assert (statement.attributes or {})["db.statement"] == " ".join(insert.sql.split())
    assert "s3cret" not in "".join(span.to_json() for span in receiver.spans)


def test_work_that_only_looks_is_not_recorded_and_a_statement_alone_neither(
    tracing: Tracing, receiver: Receiver, gig_database: Database
) -> None:
    database = _again(gig_database)
    touch = Statement("UPDATE categories SET name = name WHERE slug = $1")

    database.fetch_all(touch, "web-dev")
    with tracing.work("looks"):
        database.fetch_all(Statement("SELECT id FROM categories FOR UPDATE"))
        database.fetch_all(touch, "no such category")
    with tracing.work("does"):
        database.fetch_all(touch, "web-dev")

    tracing.stop()
    assert [span.name for span in receiver.spans] == ["UPDATE", "does"]


def test_spans_beyond_the_bound_are_dropped_at_once_and_reported_once(tracing: Tracing, receiver: Receiver) -> None:
    receiver.open.clear()
    before = dropped()

    with structlog.testing.capture_logs() as logs:
        for _ in range(MAX_WAITING + 100):
            _one_span(tracing)
        lost = dropped() - before

    assert lost == 100
    assert [line["event"] for line in logs] == ["spans dropped: their receiver does not take them"]
    receiver.open.set()
    eventually(lambda: len(receiver.spans) == MAX_WAITING)
    _one_span(tracing)
    eventually(lambda: len(receiver.spans) == MAX_WAITING + 1)


def test_a_receiver_that_refuses_costs_spans_and_nothing_else(tracing: Tracing, receiver: Receiver) -> None:
    receiver.result = SpanExportResult.FAILURE
    before = dropped()

    for _ in range(10):
        _one_span(tracing)

    eventually(lambda: dropped() - before == 10)


def test_the_end_waits_a_second_at_most_for_a_receiver_that_hangs(tracing: Tracing, receiver: Receiver) -> None:
    receiver.open.clear()
    _one_span(tracing)

    stopping = threading.Thread(target=tracing.stop)
    stopping.start()
    stopping.join(10)

    assert not stopping.is_alive()
    assert not receiver.open.is_set()


def test_a_traced_method_keeps_its_pool(tracing: Tracing) -> None:
    pool = CallPool(1, 1, "outside")

    def serve(request: Any, context: Any) -> Any:
        return request

    serve.experimental_thread_pool = pool  # type: ignore[attr-defined]

    traced: Any = tracing.around("a.Service/Method", serve)

    assert traced is not serve
    assert traced.experimental_thread_pool is pool


def test_only_so_many_statements_are_known_by_name() -> None:
    statements = span_export.Statements()

    for number in range(span_export.MAX_STATEMENTS + 10):
        statements.add(f"s_{number}", "SELECT 1")

    assert len(statements._texts) == span_export.MAX_STATEMENTS


def _one_span(tracing: Tracing) -> None:
    """Make one call of a traced method."""

    class Context:
        def invocation_metadata(self) -> tuple[()]:
            return ()

        def peer(self) -> str:
            return "unix:"

    tracing.around("a.Service/Method", lambda request, context: request)(b"", Context())


def _again(database: Database) -> Database:
    """Return the database with a connection that is made with traces."""
    database.close()
    return database
