"""The settings of `make run`, from the environment."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.local.ports import DEFAULT_EDGE_PORT, MAX_WORKERS, Ports
from servicekit.otlp import checked_endpoint

Workers = Annotated[int, Field(ge=1, le=MAX_WORKERS)]
# May hold a password: never printed.
_SECRET = {"GIG_DATABASE_URL", "ORDER_DATABASE_URL", "REVIEW_DATABASE_URL", "SANDBOX_DATABASE_URL"}


def _known_level(level: str) -> str:
    if level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("choose from DEBUG, INFO, WARNING and ERROR")
    return level.upper()


class StackSettings(BaseSettings):
    """The environment of the one-machine stack. An empty variable counts as one that is not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore")

    port: int = Field(
        default=DEFAULT_EDGE_PORT,
        ge=1,
        le=65535,
        description="Port of the edge; every other port of the stack follows from it.",
    )
    data_dir: Path = Field(
        default=Path(".data"),
        description="Folder of the stack's database, keys, images and logs. Removing it wipes the stack.",
    )
    backup_dir: Path | None = Field(
        default=None,
        description="Folder of the backups that `make backup` makes, best on another disk. Default: DATA_DIR with "
        "`-backups` after its name ([docs/backup.md](docs/backup.md)).",
    )
    backup_keep: int = Field(
        default=7, ge=1, description="Backups that are kept; `make backup` removes older ones after it has made one."
    )
    wal_archive: str | None = Field(
        default=None,
        description="Folder or `s3://bucket/prefix` that PostgreSQL's log is archived to, for `make restore TO=…` "
        "([docs/backup.md](docs/backup.md#archiving)). S3 takes the credentials of images.",
    )
    wal_archive_seconds: int = Field(
        default=60, ge=1, le=3600, description="Seconds after which a file of the log is archived though not full."
    )
    edge_host: str = Field(
        default="127.0.0.1",
        description="Address that the edge listens on; 0.0.0.0 makes it reachable from other machines.",
    )
    edge_threads: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Threads of Envoy that serve clients. 0: half of the CPUs, but two where there are two or three.",
    )
    gig_workers: Workers = Field(default=2, description=f"Processes of GigService, at most {MAX_WORKERS}.")
    order_workers: Workers = Field(default=2, description=f"Processes of OrderService, at most {MAX_WORKERS}.")
    review_workers: Workers = Field(default=2, description=f"Processes of ReviewService, at most {MAX_WORKERS}.")
    gig_database_url: str | None = Field(
        default=None,
        description="PostgreSQL (libpq URL) for gigs instead of the embedded one.",
    )
    order_database_url: str | None = Field(
        default=None, description="PostgreSQL for orders instead of the embedded one."
    )
    review_database_url: str | None = Field(
        default=None, description="PostgreSQL for reviews instead of the embedded one."
    )
    sandbox_database_url: str | None = Field(
        default=None, description="PostgreSQL for the sandbox's records instead of the embedded one."
    )
    postgres_shared_buffers_mb: int = Field(
        default=0,
        ge=0,
        description="MiB of pages that the embedded PostgreSQL keeps itself (`shared_buffers`). 0: an eighth of the "
        "machine's memory, from 128 to 2,048.",
    )
    user_jwks: str | None = Field(
        default=None,
        description="JWKS (file or https URL) of the issuer of access tokens, instead of the local key.",
    )
    user_jwt_issuer: str | None = Field(
        default=None, description="The `iss` of access tokens; required with USER_JWKS."
    )
    user_jwt_audience: str | None = Field(
        default=None, description="The `aud` of access tokens; required with USER_JWKS."
    )
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="Currency of all prices (ISO 4217).")
    payments: Literal["sandbox", "stripe"] = Field(
        default="sandbox",
        description="Payment provider; `sandbox` moves no money. Only the local stack has a default.",
    )
    stripe_api_key: SecretStr | None = Field(
        default=None, description="Stripe's secret key; required with PAYMENTS=stripe."
    )
    stripe_webhook_secret: SecretStr | None = Field(
        default=None, description="Secret of Stripe's webhook signatures; required with PAYMENTS=stripe."
    )
    webhook_keys: SecretStr | None = Field(
        default=None,
        description="Keys that encrypt the secrets of webhook endpoints: the first encrypts, all decrypt "
        "([docs/webhooks.md](docs/webhooks.md#keys)). Only the local stack makes one by itself.",
    )
    webhook_allow_private: bool = Field(
        default=False,
        description="Lets webhooks go over plain HTTP and to addresses that are not public, for development and tests.",
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#]+(/[^?#]*)?$",
        description="URL of the edge for clients, used in the URLs of images. Default: the edge's own address.",
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="File (PEM) of the edge's certificate, with its chain: then the edge speaks TLS. Read again when "
        "it changes ([docs/security.md](docs/security.md#tls)).",
    )
    tls_private_key: Path | None = Field(
        default=None, description="File (PEM, without a password) of the certificate's key."
    )
    internal_tls: Literal["on", "off"] = Field(
        default="on",
        description="TLS with certificates on both sides between Envoy and the services "
        "([docs/internal-tls.md](docs/internal-tls.md)).",
    )
    internal_tls_folder: Path | None = Field(
        default=None,
        description="Folder with a folder of certificates for each identity, instead of the local authority's. Read "
        "again when they change.",
    )
    media_storage: Literal["folder", "s3"] = Field(
        default="folder",
        description="Storage of images and files: folders, of which the edge serves that of images at /media, or S3.",
    )
    media_url: str | None = Field(
        default=None,
        description="First part of the URLs of images (http or https); required with MEDIA_STORAGE=s3. Default: "
        "PUBLIC_URL + /media.",
    )
    edge_docs: Literal["on", "off"] = Field(
        default="on", description="Whether the edge has /openapi.json and the page /docs."
    )
    edge_mcp: Literal["on", "off"] = Field(default="on", description="Whether agents find the API's tools at /mcp.")
    grpc_tools: Literal["on", "off"] = Field(
        default="on",
        description="gRPC reflection and channelz of the workers, for grpcurl and debugging. Outside `make run` off.",
    )
    traces: Literal["on", "off"] = Field(
        default="off",
        description="Keeps traces of the last requests in a process of the stack, for `make trace` "
        "([docs/traces.md](docs/traces.md)).",
    )
    otel_exporter_otlp_endpoint: str = Field(
        default="",
        description="Where traces are sent by OTLP over gRPC: `http://host:port`. Without it there are no traces, but "
        "for `make run TRACES=on`.",
    )
    log_level: Annotated[str, AfterValidator(_known_level)] = Field(
        default="INFO",
        description="Least severe level that the services and Envoy log: DEBUG, INFO, WARNING or ERROR.",
    )

    @field_validator("port")
    @classmethod
    def _port_outside_its_own_block(cls, port: int) -> int:
        ports = Ports(port)
        if ports.collides_with_itself:
            inside = f"{ports.block.start} to {ports.block.stop - 1}"
            raise ValueError(f"the ports inside the stack would be {inside}, {port} among them; choose another")
        return port

    @field_validator("edge_host")
    @classmethod
    def _an_address(cls, host: str) -> str:
        return str(ipaddress.ip_address(host.strip("[]")))

    @model_validator(mode="after")
    def _jwks_with_issuer_and_audience(self) -> "StackSettings":
        together = (self.user_jwks, self.user_jwt_issuer, self.user_jwt_audience)
        if any(together) and not all(together):
            raise ValueError("USER_JWKS, USER_JWT_ISSUER and USER_JWT_AUDIENCE go together: set all three or none")
        return self

    @model_validator(mode="after")
    def _certificate_with_key(self) -> "StackSettings":
        if (self.tls_certificate is None) != (self.tls_private_key is None):
            raise ValueError("TLS_CERTIFICATE and TLS_PRIVATE_KEY go together: set both or none")
        return self

    @model_validator(mode="after")
    def _s3_with_a_url(self) -> "StackSettings":
        if self.media_storage == "s3" and self.media_url is None:
            raise ValueError("MEDIA_STORAGE=s3 needs MEDIA_URL, where clients find the bucket's files")
        return self

    @model_validator(mode="after")
    def _stripe_with_its_keys(self) -> "StackSettings":
        if self.payments == "stripe" and not (self.stripe_api_key and self.stripe_webhook_secret):
            raise ValueError("PAYMENTS=stripe needs STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET")
        return self

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _a_receiver(cls, endpoint: str) -> str:
        return checked_endpoint(endpoint)

    @model_validator(mode="after")
    def _one_receiver_of_traces(self) -> "StackSettings":
        if self.traces == "on" and self.otel_exporter_otlp_endpoint:
            raise ValueError(
                "TRACES=on keeps traces in the stack, OTEL_EXPORTER_OTLP_ENDPOINT sends them elsewhere: set one of them"
            )
        return self

    @property
    def trace_endpoint(self) -> str:
        """The URL that the processes send traces to; empty when there are none."""
        return f"http://127.0.0.1:{self.ports.traces}" if self.traces == "on" else self.otel_exporter_otlp_endpoint

    @property
    def ports(self) -> Ports:
        """The stack's ports."""
        return Ports(self.port)

    @property
    def workers(self) -> dict[str, int]:
        """The number of workers of each service."""
        return {"gig": self.gig_workers, "order": self.order_workers, "review": self.review_workers}

    @property
    def database_urls(self) -> dict[str, str]:
        """The URLs of the databases that are not embedded, by service or `sandbox`."""
        urls = {
            "gig": self.gig_database_url,
            "order": self.order_database_url,
            "review": self.review_database_url,
            "sandbox": self.sandbox_database_url,
        }
        return {service: url for service, url in urls.items() if url}

    @property
    def embedded_postgres(self) -> bool:
        """Whether any database is embedded."""
        needed = {*self.workers, *(["sandbox"] if self.payments == "sandbox" else [])}
        return not needed <= set(self.database_urls)

    @property
    def archive(self) -> str | None:
        """The place of the archive; a folder's path is absolute."""
        return archive_place(self.wal_archive) if self.wal_archive else None

    @property
    def backup_folder(self) -> Path:
        """The folder of backups, absolute."""
        data_dir = self.data_dir.expanduser().absolute()
        return (self.backup_dir or data_dir.with_name(f"{data_dir.name}-backups")).expanduser().absolute()

    @property
    def edge_url(self) -> str:
        """The URL of the edge for this machine."""
        address = ipaddress.ip_address(self.edge_host)
        if address.is_unspecified:
            address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
        host = f"[{address}]" if address.version == 6 else str(address)
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def scheme(self) -> str:
        """The scheme that the edge speaks."""
        return "https" if self.tls_certificate else "http"

    @property
    def media_base(self) -> str:
        """The first part of the URLs of images."""
        return self.media_url or (self.public_url or self.edge_url).rstrip("/") + "/media"


def archive_place(where: str) -> str:
    """Return the place of an archive, a folder or an S3 prefix, in the form that every process understands."""
    return where if where.startswith("s3://") else str(Path(where).expanduser().absolute())


def explain(error: ValidationError) -> list[str]:
    """Return a line for each wrong variable: its name, its value unless that is a secret, and the problem."""
    return [_line(problem) for problem in error.errors()]


def _line(problem: ErrorDetails) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    name = str(problem["loc"][0]).upper()
    shown = "" if name in _SECRET else f"={problem['input']}"
    return f"{name}{shown}: {message}"
