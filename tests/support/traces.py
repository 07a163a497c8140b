"""The traces that a stack's own receiver keeps, for tests."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, TracesData

from deploy.local import trace_collector
from deploy.local.trace_tree import Node
from tests.support.eventually import eventually


@dataclass(frozen=True)
class Traces:
    """The receiver of traces on a port of this machine."""

    port: int

    def all(self) -> list[list[ResourceSpans]]:
        """Return the spans of each trace, of background work too; the newest trace first."""
        options = [("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(f"127.0.0.1:{self.port}", options=options) as channel:
            read = channel.unary_stream(f"/{trace_collector.SERVICE}/{trace_collector.READ}", None, None)
            answers = read(trace_collector.WITH_BACKGROUND, timeout=20, wait_for_ready=True)
            return [list(TracesData.FromString(answer).resource_spans) for answer in answers]

    def nodes(self) -> list[list[Node]]:
        """Return the spans of each trace, of background work too; the newest trace first."""
        return [[Node.of(spans) for spans in trace] for trace in self.all()]

    def of_request(self, request_id: str, *processes: str) -> list[Node]:
        """Return the spans of a request, as soon as each of these processes has sent one, and the edge all."""

        def found() -> list[Node]:
            for trace in self.nodes():
                is_of_it = any(node.attributes.get("guid:x-request-id") == request_id for node in trace)
                if is_of_it and is_whole(trace) and {*processes, "edge"} <= {node.process for node in trace}:
                    return trace
            return []

        return eventually(found, every=0.1)


def is_whole(nodes: list[Node]) -> bool:
    """Return whether the parent of every span is there."""
    ids = {node.span.span_id for node in nodes}
    return all(not node.span.parent_span_id or node.span.parent_span_id in ids for node in nodes)


def tree_of(nodes: list[Node]) -> dict[str, list[str]]:
    """Return the names of the spans that each span has caused, by its own name; statements by their first word."""
    by_id = {node.span.span_id: node for node in nodes}
    tree: dict[str, list[str]] = {}
    for node in nodes:
        parent = by_id.get(node.span.parent_span_id)
        tree.setdefault(name_of(parent) if parent else "", []).append(name_of(node))
    return tree


def name_of(node: Node) -> str:
    """Return the name of a span, with its process."""
    return f"{node.process} {node.label if 'db.system' not in node.attributes else node.span.name}"
