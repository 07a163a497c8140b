"""A trace as a tree: whatever spans of it have come."""

from __future__ import annotations

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from deploy.local.trace import Query, milliseconds, trace_id
from deploy.local.trace_tree import Tree

MS = 1_000_000


def a_span(
    number: int,
    parent: int,
    name: str,
    process: str,
    kind: Span.SpanKind.ValueType,
    times: tuple[int, int],
    *,
    is_error: bool = False,
    **attributes: str,
) -> ResourceSpans:
    spans = ResourceSpans()
    spans.resource.attributes.add(key="service.name").value.string_value = process
    span = spans.scope_spans.add().spans.add(
        trace_id=b"\x01" * 16,
        span_id=number.to_bytes(8),
        parent_span_id=parent.to_bytes(8) if parent else b"",
        name=name,
        kind=kind,
        start_time_unix_nano=times[0] * MS,
        end_time_unix_nano=times[1] * MS,
    )
    if is_error:
        span.status.code = Status.STATUS_CODE_ERROR
    for key, value in attributes.items():
        span.attributes.add(key=key.replace("__", ".")).value.string_value = value
    return spans


SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
LISTENER = a_span(1, 0, "edge", "edge", SERVER, (0, 50), http__status_code="201")
LISTENER.scope_spans[0].spans[0].attributes.add(key="guid:x-request-id").value.string_value = "a-request"
ROUTE = a_span(2, 1, "POST /api/orders", "edge", SERVER, (1, 49), http__status_code="201")
RPC = a_span(
    3, 2, "market.OrderService/PlaceOrder", "order-0", SERVER, (2, 48), rpc__system="grpc", rpc__grpc__status_code="0"
)
BEGIN = a_span(4, 3, "BEGIN", "order-0", CLIENT, (3, 4), db__system="postgresql", db__statement="BEGIN")
CALL = a_span(
    5, 3, "market.GigService/GetPackageTerms", "order-0", CLIENT, (5, 9), rpc__system="grpc", rpc__grpc__status_code="5"
)
ALL = [CALL, BEGIN, RPC, ROUTE, LISTENER]


def lines(*spans: ResourceSpans) -> list[str]:
    return [
        f"{row.label} [{row.process}] {row.status} +{row.at:.0f} {row.milliseconds:.0f}" for row in Tree(spans).rows()
    ]


def test_spans_in_any_order_are_a_tree_by_time() -> None:
    assert lines(*ALL) == [
        "POST /api/orders [edge] 201 +1 48",
        "└─ OrderService.PlaceOrder [order-0] OK +2 46",
        "   ├─ BEGIN []  +3 1",
        "   └─ → GigService.GetPackageTerms [order-0] NOT_FOUND +5 4",
    ]


def test_a_request_that_reaches_no_route_is_shown_by_its_listener() -> None:
    assert lines(LISTENER) == ["edge [edge] 201 +0 50"]


def test_spans_whose_caller_is_missing_stand_alone_and_are_marked() -> None:
    assert lines(BEGIN, CALL) == ["… BEGIN []  +0 1", "… → GigService.GetPackageTerms [order-0] NOT_FOUND +2 4"]


def test_spans_that_call_each_other_in_a_circle_do_not_hang_the_command() -> None:
    circle = [a_span(1, 2, "a", "x", SERVER, (0, 1)), a_span(2, 1, "b", "x", SERVER, (0, 1))]

    assert lines(*circle) == []


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        (Query(), True),
        (Query(errors=True), False),
        (Query(slower_than=milliseconds("50ms")), True),
        (Query(slower_than=milliseconds("0.051s")), False),
        (Query(id=trace_id("0101")), True),
        (Query(id=trace_id("a-request")), True),
        (Query(id=trace_id("a-req")), False),
    ],
)
def test_a_query_chooses_by_errors_time_and_ids(query: Query, fits: bool) -> None:
    assert query.fits(Tree(ALL)) == fits


def test_a_failed_statement_is_an_error_of_its_kind() -> None:
    failed = a_span(
        4, 3, "INSERT", "order-0", CLIENT, (3, 4), is_error=True, db__system="postgresql", db__statement="INSERT"
    )
    failed.scope_spans[0].spans[0].events.add(name="exception").attributes.add(
        key="exception.type"
    ).value.string_value = "psycopg2.errors.UniqueViolation"

    assert Query(errors=True).fits(Tree([RPC, failed]))
    assert lines(RPC, failed)[-1] == "└─ INSERT [] UniqueViolation +1 1"


@pytest.mark.parametrize("text", ["", "100", "soon", "1h", "-1ms"])
def test_a_time_without_a_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="100ms"):
        milliseconds(text)
