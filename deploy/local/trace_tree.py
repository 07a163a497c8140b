"""One trace as rows of a tree: route, RPC, calls to other services, statements, each with its time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

# Envoy's spans for both of its listeners.
EDGE = "edge"
_RPC = re.compile(r"[\w.]*\.(\w+)/(\w+)")
# The names of gRPC's statuses by their numbers.
_CODES = tuple(code.name for code in sorted(grpc.StatusCode, key=lambda code: code.value[0]))


@dataclass
class Node:
    """A span with those that it has caused, by time."""

    span: Span
    process: str
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)

    @classmethod
    def of(cls, received: ResourceSpans) -> Node:
        """Return the one span of a resource, as the collector keeps it."""
        resource = _attributes(received.resource.attributes)
        [span] = received.scope_spans[0].spans
        process = resource.get("service.instance.id") or resource.get("service.name", "?")
        return cls(span, process, _attributes(span.attributes))

    @property
    def milliseconds(self) -> float:
        """The time from its begin to its end."""
        return (self.span.end_time_unix_nano - self.span.start_time_unix_nano) / 1e6

    @property
    def status(self) -> str:
        """The status of a response, as HTTP or gRPC has it; empty for a statement that worked."""
        if status := self.attributes.get("http.status_code"):
            return status
        if self.span.status.code == Status.STATUS_CODE_ERROR and "rpc.system" not in self.attributes:
            kinds = (_attributes(event.attributes).get("exception.type", "") for event in self.span.events)
            return next((kind.rpartition(".")[2] for kind in kinds if kind), "error")
        code = int(self.attributes.get("rpc.grpc.status_code", -1))
        return _CODES[code] if 0 <= code < len(_CODES) else ""

    @property
    def is_error(self) -> bool:
        """Whether it is a refusal or a fault."""
        http = self.attributes.get("http.status_code", "")
        return self.span.status.code == Status.STATUS_CODE_ERROR or (http.isdigit() and int(http) >= 400)

    @property
    def label(self) -> str:
        """What was done."""
        if statement := self.attributes.get("db.statement"):
            return statement
        rpc = _RPC.fullmatch(self.span.name)
        name = f"{rpc[1]}.{rpc[2]}" if rpc else self.span.name
        return f"→ {name}" if rpc and self.span.kind == Span.SPAN_KIND_CLIENT else name


@dataclass(frozen=True)
class Row:
    """A line of the tree; `at` and `milliseconds` are times in milliseconds, from the begin of the trace."""

    label: str
    process: str
    status: str
    at: float
    milliseconds: float
    is_error: bool


class Tree:
    """A trace. It may lack spans: of a call that has not ended, or of a process that could not send them."""

    def __init__(self, spans: Iterable[ResourceSpans]) -> None:
        nodes = {node.span.span_id: node for node in map(Node.of, spans)}
        self._roots: list[Node] = []
        for node in sorted(nodes.values(), key=lambda node: node.span.start_time_unix_nano):
            parent = nodes.get(node.span.parent_span_id)
            (self._roots if parent is None else parent.children).append(node)
        self._nodes = list(nodes.values())
        self._first = self._roots[0] if self._roots else self._nodes[0]

    @property
    def id(self) -> str:
        """The trace's id."""
        return self._first.span.trace_id.hex()

    @property
    def request_id(self) -> str:
        """The `X-Request-Id` of the request; empty when the trace did not begin at the edge."""
        return self._first.attributes.get("guid:x-request-id", "")

    @property
    def began(self) -> datetime:
        """When the first span began, in local time."""
        return datetime.fromtimestamp(self._first.span.start_time_unix_nano / 1e9).astimezone()

    @property
    def milliseconds(self) -> float:
        """The time of the first span."""
        return self._first.milliseconds

    @property
    def has_errors(self) -> bool:
        """Whether a part of it is a refusal or a fault."""
        return any(node.is_error for node in self._nodes)

    def rows(self) -> list[Row]:
        """Return the lines, each with its branches drawn before its label."""
        roots = [_without_passage(root) for root in self._roots]
        rows: list[Row] = []
        for root in roots:
            hint = "" if not root.span.parent_span_id or root.process == EDGE else "… "
            rows += self._rows(root, hint, "")
        return rows

    def _rows(self, node: Node, first: str, others: str) -> Iterator[Row]:
        at = (node.span.start_time_unix_nano - self._first.span.start_time_unix_nano) / 1e6
        process = "" if "db.system" in node.attributes else node.process
        yield Row(first + node.label, process, node.status, at, node.milliseconds, node.is_error)
        for child in node.children:
            is_last = child is node.children[-1]
            yield from self._rows(child, others + ("└─ " if is_last else "├─ "), others + ("   " if is_last else "│  "))


def _without_passage(root: Node) -> Node:
    """Return the span of the route in place of the listener's before it, which lasts about as long."""
    routes = [child for child in root.children if child.process == EDGE and child.span.kind == Span.SPAN_KIND_SERVER]
    return routes[0] if root.process == EDGE and len(root.children) == len(routes) == 1 else root


def _attributes(values: Iterable[KeyValue]) -> dict[str, str]:
    return {each.key: str(getattr(each.value, each.value.WhichOneof("value") or "string_value")) for each in values}
