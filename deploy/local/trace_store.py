"""The newest traces in bounded memory: of requests, and of background work apart, so that it displaces no request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

MAX_TRACES = 1000
MAX_BACKGROUND_TRACES = 200
MAX_BYTES = 32 * 1024 * 1024
MAX_SPANS_PER_TRACE = 2000
# The memory that a span takes beside its bytes, about.
OVERHEAD_BYTES = 200


@dataclass
class _Kept:
    """The spans of one trace, each as the bytes of ResourceSpans with this span alone."""

    spans: list[bytes] = field(default_factory=list)
    size: int = OVERHEAD_BYTES
    is_background: bool = False


class TraceStore:
    """Keeps the traces that began last; the oldest go when there are too many, or too many bytes."""

    def __init__(
        self,
        max_traces: int = MAX_TRACES,
        max_background: int = MAX_BACKGROUND_TRACES,
        max_bytes: int = MAX_BYTES,
        max_spans: int = MAX_SPANS_PER_TRACE,
    ) -> None:
        self._lock = threading.Lock()
        self._traces: OrderedDict[bytes, _Kept] = OrderedDict()
        self._limits = {False: max_traces, True: max_background}
        self._counts = {False: 0, True: 0}
        self._max_bytes = max_bytes
        self._max_spans = max_spans
        self.size = 0

    def add(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of a request. Spans of a trace that is full, or that have no ids, are dropped."""
        with self._lock:
            for of_resource in request.resource_spans:
                for of_scope in of_resource.scope_spans:
                    for span in of_scope.spans:
                        if len(span.trace_id) == 16 and len(span.span_id) == 8:
                            self._add(of_resource, span)
            self._shrink()

    def newest(self, *, background: bool) -> list[list[ResourceSpans]]:
        """Return the traces, the newest first; of background work too if `background` says so."""
        with self._lock:
            kept = [list(each.spans) for each in self._traces.values() if background or not each.is_background]
        return [[ResourceSpans.FromString(span) for span in spans] for spans in reversed(kept)]

    def __len__(self) -> int:
        """Return the number of traces."""
        return len(self._traces)

    def _add(self, of_resource: ResourceSpans, span: Span) -> None:
        kept = self._traces.get(span.trace_id)
        if kept is None:
            kept = self._traces[span.trace_id] = _Kept()
            self._counts[False] += 1
            self.size += kept.size
        if len(kept.spans) >= self._max_spans:
            return
        alone = ResourceSpans(resource=of_resource.resource)
        alone.scope_spans.add().spans.append(span)
        data = alone.SerializeToString()
        kept.spans.append(data)
        kept.size += len(data) + OVERHEAD_BYTES
        self.size += len(data) + OVERHEAD_BYTES
        if not kept.is_background and is_background_root(span):
            kept.is_background = True
            self._counts[False] -= 1
            self._counts[True] += 1

    def _shrink(self) -> None:
        for kind, limit in self._limits.items():
            surplus = self._counts[kind] - limit
            oldest = (
                [trace for trace, kept in self._traces.items() if kept.is_background == kind] if surplus > 0 else []
            )
            self._drop(oldest[:surplus])
        while self.size > self._max_bytes:
            self._drop([next(iter(self._traces))])

    def _drop(self, traces: Iterable[bytes]) -> None:
        for trace in traces:
            kept = self._traces.pop(trace)
            self._counts[kept.is_background] -= 1
            self.size -= kept.size


def is_background_root(span: Span) -> bool:
    """Return whether a trace that begins with this span is background work: no client waits for it."""
    return not span.parent_span_id and span.kind != Span.SPAN_KIND_SERVER
