"""What the templates of Envoy's bootstrap need to know of traces: their receiver and the share that is sampled."""

from __future__ import annotations

from dataclasses import dataclass

from edge.settings import EdgeSettings
from servicekit.otlp import receiver


@dataclass(frozen=True)
class Tracing:
    """The receiver of spans, and how many of a million requests are sampled."""

    host: str
    port: int
    of_a_million: int


def tracing_of(settings: EdgeSettings) -> Tracing | None:
    """Return the tracing of these settings; None when it is off."""
    if not settings.otel_exporter_otlp_endpoint:
        return None
    host, port = receiver(settings.otel_exporter_otlp_endpoint)
    return Tracing(host, port, round(settings.otel_traces_sampler_arg * 1_000_000))
