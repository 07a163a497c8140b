"""The settings of the public edge, all from the environment; a wrong value is named at start."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from edge import browsers
from servicekit.otlp import TraceSettings
from servicekit.settings import Addresses, InternalTlsSettings


class EdgeSettings(InternalTlsSettings, TraceSettings, BaseSettings):
    """The settings that Envoy's bootstrap is rendered from. Times are seconds."""

    model_config = SettingsConfigDict(extra="ignore")

    port: int = Field(8080, ge=1, le=65535, description="The port of the public edge.")
    edge_host: str = Field("127.0.0.1", description="The address that the public edge listens on; 0.0.0.0 is all.")
    envoy_admin_port: int = Field(ge=1, le=65535, description="The port of Envoy's metrics and health, on loopback.")
    envoy_metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="The port of Envoy's metrics and readiness on EDGE_HOST, for programs of other hosts; 0: none.",
    )
    gig_service_addresses: Addresses = Field(description="The workers of GigService: host:port, comma separated.")
    order_service_addresses: Addresses = Field(description="The workers of OrderService: host:port, comma separated.")
    review_service_addresses: Addresses = Field(description="The workers of ReviewService: host:port, comma separated.")
    image_service_addresses: Addresses = Field(
        description="The processes that take pictures: host:port, comma separated."
    )
    event_service_addresses: Addresses = Field(
        description="The processes of watches and the feed: host:port, comma separated."
    )
    user_jwks: str = Field(description="The public keys of people's tokens: a JWKS file or an http(s) URL.")
    user_jwt_issuer: str = Field(min_length=1, description="The `iss` of people's tokens.")
    user_jwt_audience: str = Field(min_length=1, description="The `aud` of people's tokens.")
    edge_request_timeout_seconds: float = Field(
        15, gt=0, le=300, description="How long an answer may take; after that it is a 504."
    )
    edge_try_timeout_seconds: float = Field(
        5, gt=0, le=300, description="How long one worker may take to answer a read, before another is asked."
    )
    edge_failover_seconds: float = Field(
        0,
        ge=0,
        le=120,
        description="The longest wait for a new primary, where databases have several hosts. 0: none.",
    )
    edge_upload_timeout_seconds: float = Field(
        300, gt=0, le=3600, description="How long an upload may take from its first byte to its answer."
    )
    # The service bounds a client's pauses. A stream is also silent while a picture waits for a decoder.
    edge_upload_idle_seconds: float = Field(
        300, gt=0, le=3600, description="How long an upload may be silent, also while it waits for a decoder."
    )
    image_max_bytes: int = Field(10 * 1024 * 1024, ge=1024, description="Bytes that an uploaded picture can have.")
    file_max_mib: int = Field(50, ge=1, le=500, description="MiB that an uploaded file can have.")
    media_storage: Literal["folder", "s3"] = Field(
        "folder", description="What keeps pictures and files: folders, or S3."
    )
    media_dir: Path | None = Field(None, description="The folder of pictures; the edge serves it at /media.")
    edge_cache: Literal["on", "off"] = Field(
        "on", description="Whether the edge keeps answers to anonymous reads for a moment."
    )
    edge_cache_seconds: int = Field(
        5, ge=1, le=60, description="How old an answer to an anonymous read may be; its Cache-Control says so."
    )
    edge_cache_mib: int = Field(
        16, ge=1, le=256, description="MiB of answers that each thread of Envoy keeps, beside EDGE_MAX_HEAP_MIB."
    )
    edge_idle_timeout_seconds: float = Field(
        300, gt=0, description="How long an idle connection of a client is kept, and the most a client may pause."
    )
    edge_stream_seconds: float = Field(
        60, gt=0, le=3600, description="How long a request may take from its first byte to the last one of its answer."
    )
    # The service sends a comment every 15 seconds.
    edge_watch_idle_seconds: float = Field(
        60, gt=0, le=3600, description="How long a watch may be silent before the edge ends it."
    )
    edge_streams_per_connection: int = Field(
        100, ge=1, le=1000, description="Requests at once on one HTTP/2 connection of a client."
    )
    edge_requests_per_address: int = Field(
        500, ge=1, description="Requests under way from one address of a client, in each thread of Envoy; then 429."
    )
    edge_watches_per_address: int = Field(
        1000, ge=1, description="Watches at once from one address of a client, in each thread of Envoy; then 429."
    )
    edge_mcp: Literal["on", "off"] = Field("on", description="Whether agents find the API's tools at /mcp.")
    edge_messages_per_address: int = Field(
        50, ge=1, description="Messages to /mcp under way from one address of a client, in each thread; then 429."
    )
    edge_connections_per_address: int = Field(
        1000, ge=1, description="Connections at once from one address of a client; further ones are closed."
    )
    edge_writes_per_minute_per_address: int = Field(
        6000,
        ge=0,
        le=1_000_000,
        description="Writes a minute from one address of a client (IPv6: a network of 64 bits); then 429. 0: no limit.",
    )
    edge_writes_per_minute_per_user: int = Field(
        6000,
        ge=0,
        le=1_000_000,
        description="Writes a minute of one user, with all their tokens together; then 429. 0: no limit.",
    )
    trusted_proxies: str = Field(
        "",
        description="The proxies whose X-Forwarded-For is believed: addresses and networks (CIDR), comma separated.",
    )
    cors_origins: str = Field(
        "",
        description="The origins whose pages may read responses in a browser, comma separated; empty: any origin.",
    )
    tls_certificate: str = Field(
        "", description="The file (PEM) of the edge's certificate, with its chain: then the edge speaks TLS."
    )
    tls_private_key: str = Field("", description="The file (PEM, without a password) of the certificate's key.")
    edge_docs: Literal["on", "off"] = Field("on", description="Whether the edge has /openapi.json and the page /docs.")
    edge_late_seconds: float = Field(
        0.4,
        ge=0,
        le=60,
        description="While all reads of a service take longer, more requests than it answers are a 503. 0: no limit.",
    )
    edge_max_connections: int = Field(10_000, ge=1, description="Connections of clients at once; more are refused.")
    edge_max_heap_mib: int = Field(
        2048, ge=128, description="MiB of memory that Envoy may use; close to it requests are refused with 503."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, listed: str) -> str:
        for each in listed.split(",") if listed else []:
            ipaddress.ip_network(each.strip())
        return listed

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, listed: str) -> str:
        browsers.origins(listed)
        return listed

    @model_validator(mode="after")
    def _certificate_with_key(self) -> EdgeSettings:
        if bool(self.tls_certificate) != bool(self.tls_private_key):
            raise ValueError("TLS_CERTIFICATE and TLS_PRIVATE_KEY go together: set both or none")
        return self

    def trusted_networks(self) -> list[IPv4Network | IPv6Network]:
        """Return the networks of TRUSTED_PROXIES."""
        return [ipaddress.ip_network(each.strip()) for each in self.trusted_proxies.split(",") if each]
