"""The receiver of traces keeps the newest ones, whatever it is sent."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from deploy.local.trace_store import OVERHEAD_BYTES, TraceStore


def sent(
    trace: int, *spans: int, parent: int = 0, kind: Span.SpanKind.ValueType = Span.SPAN_KIND_SERVER, name: str = ""
) -> ExportTraceServiceRequest:
    """Return a request with these spans of a trace, whose parent is `parent` or, without one, nothing."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in spans:
        parent_id = parent.to_bytes(8) if parent else b""
        scope.spans.add(
            trace_id=trace.to_bytes(16), span_id=number.to_bytes(8), parent_span_id=parent_id, kind=kind, name=name
        )
    return request


def traces(store: TraceStore, *, background: bool = True) -> list[int]:
    """Return the numbers of the traces, the newest first."""
    return [int.from_bytes(ids_of(spans)[0]) for spans in store.newest(background=background)]


def ids_of(spans: list[ResourceSpans]) -> tuple[bytes, list[int]]:
    alone = [each.scope_spans[0].spans[0] for each in spans]
    return alone[0].trace_id, [int.from_bytes(span.span_id) for span in alone]


def test_spans_of_a_trace_are_put_together_however_they_arrive() -> None:
    store = TraceStore()

    store.add(sent(1, 11, 12))
    store.add(sent(2, 21))
    store.add(sent(1, 13, parent=11))

    assert [ids_of(spans)[1] for spans in store.newest(background=True)] == [[21], [11, 12, 13]]


def test_the_oldest_traces_go_when_there_are_too_many() -> None:
    store = TraceStore(max_traces=2)

    for number in (1, 2, 3):
        store.add(sent(number, 1))

    assert traces(store) == [3, 2]


def test_background_work_displaces_no_request() -> None:
    store = TraceStore(max_traces=2, max_background=1)

    store.add(sent(1, 1))
    store.add(sent(2, 1))
    for number in (3, 4, 5):
        # A span of the work comes before its first one, which ends last.
        store.add(sent(number, 2, parent=1, kind=Span.SPAN_KIND_CLIENT))
        store.add(sent(number, 1, kind=Span.SPAN_KIND_INTERNAL))

    assert traces(store)[0] == 5
    assert set(traces(store)) >= {2, 5}
    assert 5 not in traces(store, background=False)


def test_the_bytes_of_all_traces_are_bounded() -> None:
    store = TraceStore(max_bytes=50_000)

    for number in range(1, 101):
        store.add(sent(number, 1, name="x" * 5_000))

    assert store.size <= 50_000
    assert traces(store)[0] == 100
    assert len(store) == 9


def test_a_trace_keeps_no_more_spans_than_its_bound_and_one_without_ids_none() -> None:
    store = TraceStore(max_spans=3)

    store.add(sent(1, *range(1, 10)))
    broken = sent(2, 1)
    broken.resource_spans[0].scope_spans[0].spans[0].trace_id = b"short"
    store.add(broken)

    assert [ids_of(spans)[1] for spans in store.newest(background=True)] == [[1, 2, 3]]


def test_what_is_dropped_frees_its_bytes() -> None:
    store = TraceStore(max_traces=1)

    for number in range(1, 50):
        store.add(sent(number, 1, 2, 3))

    assert store.size < 4 * OVERHEAD_BYTES + 1_000
