"""Settings of a service's process, read from the environment. A process with a wrong value does not start."""

from __future__ import annotations

import ipaddress
import sys
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from servicekit import proxies
from servicekit.internal_tls import InternalTls
from servicekit.otlp import TraceSettings

# The clocks of an issuer of tokens and of this machine may differ by so much, at the edge and in the services alike.
CLOCK_SKEW_SECONDS = 60


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{value!r} is not host:port")
    return value


def _addresses(value: str) -> str:
    for address in value.split(","):
        _address(address)
    return value


def is_name(host: str) -> bool:
    """Return whether a host is a name for DNS, not an IPv4 address."""
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return True
    return False


def _workers(value: str) -> str:
    listed = _addresses(value).split(",")
    if len(listed) > 1 and any(is_name(each.rpartition(":")[0]) for each in listed):
        raise ValueError("a name stands alone: it has the addresses of all workers in DNS")
    return value


Address = Annotated[str, AfterValidator(_address)]
Addresses = Annotated[str, AfterValidator(_addresses)]
# The workers of a service as the other services call them: IPv4 addresses, or one name with all of them in DNS.
Workers = Annotated[str, AfterValidator(_workers)]


# `uid:gid`, neither of them root's.
ProcessUser = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,9}:[1-9][0-9]{0,9}$")]


class InternalTlsSettings(BaseSettings):
    """The settings of TLS between the edge and the services."""

    internal_tls: Literal["on", "off"] = Field(
        "on",
        description="TLS with certificates on both sides between Envoy and the services. Off for one service alone, in "
        "development.",
    )
    internal_tls_folder: Path | None = Field(
        None,
        description="The folder with a folder of certificates for each identity "
        "([docs/internal-tls.md](docs/internal-tls.md)).",
    )

    @model_validator(mode="after")
    def _tls_with_its_folder(self) -> Self:
        if self.internal_tls == "on" and self.internal_tls_folder is None:
            raise ValueError("INTERNAL_TLS=on needs INTERNAL_TLS_FOLDER")
        return self

    def tls_of(self, identity: str) -> InternalTls | None:
        """Return the credentials of an identity; None with INTERNAL_TLS=off. Raises InternalTlsError."""
        if self.internal_tls == "off" or self.internal_tls_folder is None:
            return None
        return InternalTls(self.internal_tls_folder / identity, identity)


class ServiceSettings(InternalTlsSettings, TraceSettings, BaseSettings):
    """The settings of every service."""

    model_config = SettingsConfigDict(extra="ignore")

    # The name of the program in traces.
    program: ClassVar[str] = "service"

    listen: Address = Field(description="Where this worker serves gRPC: host:port.")
    metrics_listen: Address = Field(description="Where this worker serves /metrics: host:port.")
    probe_listen: Address | None = Field(
        None, description="Where the health of this process alone is served, without TLS, for probes: host:port."
    )
    worker: str = Field("0", description="The worker's name in logs and metrics.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The lowest level that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="JSON, or lines to read on a terminal; auto: JSON unless the output is a terminal."
    )
    rpc_threads: int = Field(4, ge=1, le=64, description="Threads that answer calls in a worker.")
    max_concurrent_rpcs: int = Field(
        512,
        ge=1,
        description="Calls that a worker accepts at once, waiting ones included; more are refused as UNAVAILABLE. "
        "By default 1000 in the process for uploads, 12000 in the one for watches.",
    )
    rpc_queue_seconds: float = Field(
        0.5,
        gt=0,
        le=60,
        description="How long calls may wait for a worker's thread; while all wait longer, new ones are UNAVAILABLE.",
    )
    grpc_tools: Literal["on", "off"] = Field(
        "off",
        description="gRPC reflection and channelz of the workers, for grpcurl and debugging; health is always on.",
    )
    database_own_host: str = Field(
        "", description="The host of the database's URL that anonymous reads ask first, be it a standby; empty: none."
    )
    idempotency_key_hours: int = Field(
        48, ge=1, le=8760, description="Hours for which a repeated idempotency key gets its first response."
    )
    shutdown_grace_seconds: float = Field(6, ge=0, description="Seconds in which a stopping worker finishes its calls.")
    user_jwks: str = Field(description="The public keys of users' tokens: a JWKS file or an http(s) URL.")
    user_jwt_issuer: str = Field(description="The `iss` of users' tokens.")
    user_jwt_audience: str = Field(description="The `aud` of users' tokens.")
    service_jwks: Path = Field(description="The public keys of the services' own tokens: a JWKS file.")
    run_as: ProcessUser = Field("65534:65534", description="The uid and gid of this process when root starts it.")

    @property
    def idempotency_key_lifetime(self) -> timedelta:
        """The time for which a finished idempotency key is kept."""
        return timedelta(hours=self.idempotency_key_hours)

    @cached_property
    def tls(self) -> InternalTls | None:
        """The credentials of this process; None with INTERNAL_TLS=off. Raises InternalTlsError."""
        return self.tls_of(self.program)

    def read_files(self) -> None:
        """Read the files that the process may not be able to read after it has given up root.

        Raises OSError and InternalTlsError.
        """
        _ = self.tls


class CallingSettings(ServiceSettings):
    """The settings of a service that calls others: it signs its own tokens."""

    service_signing_key: Path = Field(description="The private key of the services' own tokens: a PEM file.")

    @cached_property
    def signing_key(self) -> str:
        """The private key, as PEM. Raises OSError."""
        return self.service_signing_key.read_text()

    def read_files(self) -> None:
        """Read the signing key and the certificate. Raises OSError and InternalTlsError."""
        super().read_files()
        _ = self.signing_key


S = TypeVar("S", bound=BaseSettings)


def load(kind: type[S]) -> S:
    """Read the settings, as the first thing of a program.

    Ends the process with status 2, and a line for each wrong variable, when any is wrong. From then on the
    environment's proxies are not used for loopback.
    """
    proxies.bypass_for_loopback()
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            message = problem["msg"].removeprefix("Value error, ")
            print(f"{name}: {message}" if name else message, file=sys.stderr)
        sys.exit(2)
