"""The settings of traces, by OpenTelemetry's own names: of the services, of the edge and of the local stack."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field

# OTLP over gRPC.
DEFAULT_PORT = 4317


def receiver(endpoint: str) -> tuple[str, int]:
    """Return host and port of a receiver of OTLP over gRPC. Raises ValueError when the URL names no such receiver."""
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise ValueError(f"{endpoint!r} is not http://host:port, the address of a receiver of OTLP over gRPC")
    return parts.hostname, parts.port or DEFAULT_PORT


def checked_endpoint(value: str) -> str:
    """Return the value of a setting that names a receiver, or none. Raises ValueError."""
    if value:
        receiver(value)
    return value


class TraceSettings(BaseModel):
    """The settings of a program that can send traces."""

    otel_exporter_otlp_endpoint: Annotated[str, AfterValidator(checked_endpoint)] = Field(
        "",
        description="Where traces are sent by OTLP over gRPC: `http://host:port`. Empty: there are no traces "
        "([docs/traces.md](docs/traces.md)).",
    )
    otel_traces_sampler_arg: float = Field(
        1, ge=0, le=1, description="The share of requests that are traced, 0 to 1; the edge decides."
    )
