"""Traces of a stack that keeps them: whole, without texts of clients, and never in the way of a request."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from deploy.local.control import process_states
from deploy.local.settings import StackSettings
from deploy.local.trace import Query, milliseconds, trace
from deploy.local.trace_tree import Node
from tests.support.eventually import eventually
from tests.support.stack import ROOT, Stack, stack_command
from tests.support.story import Market, ok
from tests.support.traces import Traces, is_whole, name_of, tree_of

CLIENT_TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def traced() -> Iterator[Stack]:
    stack = Stack(workers=1, TRACES="on", WEBHOOK_ALLOW_PRIVATE="true")
    try:
        yield stack.start()
    finally:
        stack.stop()


@pytest.fixture
def traces(traced: Stack) -> Traces:
    return Traces(traced.ports.traces)


@pytest.fixture
def people(traced: Stack) -> Market:
    return Market.of(traced)


def make_trace(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return stack_command(stack.data_dir, "trace", *arguments)


def place(people: Market, **headers: str) -> httpx.Response:
    """Place an order, and return the response."""
    response = people.buyer.post("/api/orders", json=people.order_request(people.gig()), headers=headers)
    ok(response, 201)
    return response


def test_an_order_is_one_trace_from_the_edge_to_the_statements_of_both_services(people: Market, traces: Traces) -> None:
    response = place(people)

    nodes = traces.of_request(response.headers["x-request-id"], "order-0", "gig-0")
    tree = tree_of(nodes)
    assert tree[""] == ["edge edge"]
    assert tree["edge edge"] == ["edge POST /api/orders"]
    assert "order-0 OrderService.PlaceOrder" in tree["edge POST /api/orders"]
    of_order = tree["order-0 OrderService.PlaceOrder"]
    assert of_order.count("order-0 → GigService.GetPackageTerms") == 1
    # The buyer's name, the attempt, and the order: each statement is a transaction by itself.
    assert of_order.count("order-0 INSERT") == 3, of_order
    assert tree["order-0 → GigService.GetPackageTerms"] == ["gig-0 GigService.GetPackageTerms"]
    assert "gig-0 SELECT" in tree["gig-0 GigService.GetPackageTerms"]
    # What a call causes happens during the call.
    by_id = {node.span.span_id: node.span for node in nodes}
    for node in nodes:
        parent = by_id.get(node.span.parent_span_id)
        assert parent is None or parent.start_time_unix_nano <= node.span.start_time_unix_nano, name_of(node)


def test_a_statement_has_its_text_and_no_parameter(people: Market, traces: Traces) -> None:
    gig = people.gig()

    response = people.anyone.get(f"/api/gigs/{gig['id']}")

    nodes = traces.of_request(response.headers["x-request-id"], "gig-0")
    texts = [node.attributes["db.statement"] for node in nodes if "db.statement" in node.attributes]
    # The worker may have read the page before: then it asks whether the page is current.
    page = ("SELECT g.id::text, g.title", "SELECT g.xmin, s.xmin")
    assert any(text.startswith(page) and "$1" in text for text in texts)
    assert not [text for text in texts if gig["id"] in text]


def test_uploads_and_the_feed_are_traced_as_well(people: Market, traces: Traces) -> None:
    upload = people.seller.post(
        f"/api/gigs/{people.gig()['id']}/images", files={"file": (ROOT / "docs" / "website.jpg").read_bytes()}
    )
    feed = people.admin.get("/api/events")

    ok(upload, 201)
    ok(feed)
    tree = tree_of(traces.of_request(upload.headers["x-request-id"], "gig-images"))
    assert {"gig-images INSERT", "gig-images COMMIT"} <= set(tree["gig-images ImageService.UploadImages"])
    tree = tree_of(traces.of_request(feed.headers["x-request-id"], "order-events"))
    assert "order-events SELECT" in tree["order-events EventService.ListEvents"]


def test_deliveries_of_the_outbox_are_traces_of_their_own_and_looks_for_work_are_none(
    people: Market, traces: Traces
) -> None:
    ok(people.buyer.post(f"/api/orders/{people.completed(people.gig())}/review", json={"rating": 5}), 201)

    def delivered() -> list[Node]:
        found = [trace for trace in traces.nodes() if any(name_of(n).endswith("GigService.ApplyRating") for n in trace)]
        return found[0] if found and is_whole(found[0]) else []

    tree = tree_of(eventually(delivered, every=0.1))
    assert tree[""] == ["review-0 deliver gig-rating"]
    assert tree["review-0 deliver gig-rating"] == ["review-0 → GigService.ApplyRating"]
    roots = {node.label for trace in traces.nodes() for node in trace if not node.span.parent_span_id}
    # Order timeouts, reminders and others look for work every second or so; none was due.
    assert {root for root in roots if not root.startswith("deliver ")} <= {"edge", "feed"}


def test_the_edge_decides_what_is_traced_and_a_trace_of_the_client_is_only_noted(
    people: Market, traces: Traces
) -> None:
    headers = {"traceparent": f"00-{CLIENT_TRACE}-b7ad6b7169203331-00", "tracestate": "theirs=1"}

    response = place(people, **headers)

    nodes = traces.of_request(response.headers["x-request-id"], "order-0", "gig-0")
    assert CLIENT_TRACE not in {node.span.trace_id.hex() for node in nodes}
    [root] = [node for node in nodes if not node.span.parent_span_id]
    assert root.attributes["client.traceparent"] == headers["traceparent"]
    assert {node.span.trace_state for node in nodes} == {""}


def test_lines_of_the_log_name_the_trace(traced: Stack, people: Market, traces: Traces) -> None:
    request_id = place(people).headers["x-request-id"]

    trace_id = traces.of_request(request_id, "order-0")[0].span.trace_id.hex()
    lines: list[dict[str, Any]] = [
        line
        for line in map(json.loads, traced.layout.log("order-0").read_text().splitlines())
        if line.get("request_id") == request_id
    ]
    assert {line.get("trace_id") for line in lines} == {trace_id}


def test_no_span_has_a_token_or_a_text_of_a_client(traced: Stack, traces: Traces) -> None:
    mark = "m4rk-of-a-secret"
    people = Market.of(traced)
    gig = people.gig()
    token = people.buyer.headers["authorization"].removeprefix("Bearer ")
    odd = {"user-agent": mark, "host": f"{mark}.example", "cookie": mark, "tracestate": f"a={mark}", "baggage": mark}
    order = ok(
        people.buyer.post("/api/orders", json={**people.order_request(gig), "requirements": mark}, headers=odd), 201
    )["orderId"]
    texts = {"message": mark, "comment": mark, "rating": 5}
    people.seller.post(f"/api/orders/{order}/accept")
    people.seller.post(f"/api/orders/{order}/deliver", json={"message": mark})
    refused = people.buyer.post(f"/api/orders/{order}/cancel", json={"message": mark})
    assert refused.status_code == 409
    for method, path, body in (
        ("GET", f"/api/gigs?q={mark}", None),
        ("GET", f"/api/gigs/{mark}?x={mark}", None),
        ("GET", f"/{mark}", None),
        ("POST", "/api/orders", {"packageId": mark, "requirements": mark}),
        ("POST", f"/api/orders/{order}/complete", {}),
        ("POST", f"/api/orders/{order}/review", texts),
        ("PUT", f"/api/gigs/{gig['id']}", {"title": mark, "description": mark, "categoryId": mark, "tags": [mark]}),
    ):
        people.buyer.request(method, path, json=body, headers=odd)
    people.anyone.get("/api/orders", headers={"authorization": f"Bearer {mark}.{mark}.{mark}"})
    last = people.buyer.get(f"/api/orders/{order}", headers={"x-request-id": f"last-{order}"})
    assert last.status_code == 200

    traces.of_request(f"last-{order}", "order-0")

    for spans_of_trace in traces.all():
        for spans in spans_of_trace:
            data = spans.SerializeToString()
            for secret in (mark, token, token.rpartition(".")[2]):
                assert secret.encode() not in data, spans


def test_make_trace_shows_an_order_as_a_tree(traced: Stack, people: Market, traces: Traces) -> None:
    request_id = place(people).headers["x-request-id"]
    traces.of_request(request_id, "order-0", "gig-0")

    shown = make_trace(traced, "--id", request_id)

    assert shown.returncode == 0, shown.stdout + shown.stderr
    header, *lines = [line.rstrip() for line in shown.stdout.splitlines() if line.strip()]
    assert re.fullmatch(rf"[\d:.]+  [\d.]+ ms  trace [0-9a-f]{{32}}  request {request_id}", header)
    rest = r" +\+[\d.]+ +[\d.]+ ms"
    assert re.fullmatch(r"POST /api/orders +edge +201" + rest, lines[0])
    assert re.fullmatch(r"└─ OrderService\.PlaceOrder +order-0 +OK" + rest, lines[1])
    [call] = [number for number, line in enumerate(lines) if "→ GigService.GetPackageTerms" in line]
    assert re.fullmatch(r"   ├─ → GigService\.GetPackageTerms +order-0 +OK" + rest, lines[call])
    assert re.fullmatch(r"   │  └─ GigService\.GetPackageTerms +gig-0 +OK" + rest, lines[call + 1])
    assert re.fullmatch(r"   │     [├└]─ (PREPARE )?SELECT .*" + rest, lines[call + 2])


def test_make_trace_finds_errors_and_says_so_when_no_trace_fits(
    traced: Stack, people: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = people.anyone.get("/api/gigs/01900000-0000-7000-8000-000000000000")
    assert missing.status_code == 404
    nodes = Traces(traced.ports.traces).of_request(missing.headers["x-request-id"], "gig-0")
    # Messages of errors may quote texts of a client.
    assert {node.attributes.get("grpc.message", "") for node in nodes} == {""}

    settings = StackSettings(data_dir=traced.data_dir)

    status = trace(settings, Query(last=1, errors=True))
    errors = capsys.readouterr().out
    slow = trace(settings, Query(slower_than=milliseconds("1000s")))

    assert status == 0
    assert missing.headers["x-request-id"] in errors
    assert re.search(r"GigService\.GetGig +gig-0 +NOT_FOUND ", errors)
    assert slow == 1
    assert capsys.readouterr().out.startswith("no trace fits.")


def test_requests_go_on_while_the_receiver_hangs_and_after_it_was_killed(
    traced: Stack, people: Market, traces: Traces
) -> None:
    gig = people.gig()
    receiver = psutil.Process(eventually(lambda: _receiver(traced)))
    receiver.send_signal(signal.SIGSTOP)
    try:
        for _ in range(20):
            ok(people.anyone.get(f"/api/gigs/{gig['id']}"))
        eventually(lambda: _dropped(traced) > 0, every=0.1)
        ok(people.anyone.get(f"/api/gigs/{gig['id']}"))
    finally:
        receiver.kill()
    # supervisord starts another one.
    eventually(lambda: _receiver(traced) not in (0, receiver.pid), every=0.1)

    def is_traced() -> bool:
        response = people.anyone.get(f"/api/gigs/{gig['id']}")
        ok(response)
        return any(name_of(node) == "gig-0 GigService.GetGig" for trace in traces.nodes() for node in trace)

    eventually(is_traced, every=0.2)
    warnings = [line for line in traced.layout.log("gig-0").read_text().splitlines() if "spans dropped" in line]
    assert len(warnings) == 1
    assert "opentelemetry" not in traced.layout.log("gig-0").read_text().lower()


def _receiver(stack: Stack) -> int:
    """Return the pid of the receiver of traces; 0 while none is running."""
    states = process_states(stack.layout.supervisor_socket) or []
    return next((process.pid for process in states if process.name == "traces"), 0)


def _dropped(stack: Stack) -> float:
    text = httpx.get(f"http://127.0.0.1:{stack.ports.metrics('gig', 0)}/metrics").text
    return float(re.findall(r"^marketplace_spans_dropped_total (\S+)$", text, re.MULTILINE)[0])
