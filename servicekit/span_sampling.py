"""Which traces that begin in this process are recorded. All others are the edge's decision."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import SpanKind


class RootSampler(Sampler):
    """Samples calls of clients that send no trace, and background work; no statement that stands alone.

    Such statements are looks for work, several in each second of each worker.
    """

    def __init__(self, ratio: float) -> None:
        self._by_ratio = TraceIdRatioBased(ratio)

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, kind: SpanKind | None = None, *args: Any, **kwargs: Any
    ) -> SamplingResult:
        """Decide by the kind of the span and, where it may be sampled, by the id of the trace."""
        if kind is SpanKind.CLIENT:
            return SamplingResult(Decision.DROP)
        return self._by_ratio.should_sample(parent_context, trace_id, name, kind, *args, **kwargs)

    def get_description(self) -> str:
        """Return the sampler in words."""
        return f"RootSampler({self._by_ratio.get_description()})"
