"""The environment of each process: its own settings, and the variables that its libraries read where it needs them.

A process gets nothing else, whatever the environment of `make run` has: no other service's database, no key that it
does not use.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from deploy.local import postgres
from deploy.local.inherited import CERTIFICATES, GENERAL, HTTP, LIBPQ, PYTHON, PYTHON_PATHS, S3, SERVICE, matching
from deploy.local.layout import Layout
from deploy.local.ports import STREAMING, Ports, spare_of
from deploy.local.settings import StackSettings
from deploy.local.users import decoder_identity, service_identity
from edge import signing_keys
from edge.settings import EdgeSettings
from gig_service.settings import ImageSettings
from gig_service.settings import Settings as GigSettings
from order_service.settings import EventSettings
from order_service.settings import Settings as OrderSettings
from review_service.settings import Settings as ReviewSettings

EDGE = "edge"
IMAGES = "gig-images"
EVENTS = "order-events"
# The settings of the programs: of each service's workers, of the processes for slow clients, of Envoy's configuration.
SETTINGS: Mapping[str, type[BaseSettings]] = {
    "gig": GigSettings,
    IMAGES: ImageSettings,
    "order": OrderSettings,
    EVENTS: EventSettings,
    "review": ReviewSettings,
    EDGE: EdgeSettings,
}

# The file descriptor on DATA_DIR that Envoy gets from its launcher.
EDGE_FOLDER = 100

# A call has as long as the edge waits for it. When the whole stack stops, the edge ends before, and its calls with it.
SERVICE_GRACE_SECONDS = 15


def database_urls(settings: StackSettings, layout: Layout) -> dict[str, str]:
    """Return the libpq URL of each service's database and of the sandbox's. Raises OSError."""
    embedded = {
        name: postgres.database_url(layout, database)
        for name, database in postgres.DATABASES.items()
        if name not in settings.database_urls
    }
    return embedded | settings.database_urls


def addresses(settings: StackSettings, service: str) -> list[str]:
    """Return the gRPC addresses of a service's workers, host:port each."""
    return [f"127.0.0.1:{settings.ports.rpc(service, worker)}" for worker in range(settings.workers[service])]


def _addresses_for_services(settings: StackSettings, service: str) -> str:
    """Return the addresses at which other services call a service.

    A client tries to connect to an address that nobody listens on all the time, so the spare worker is among them only
    where it takes the place of the one worker.
    """
    spare = settings.ports.spare(service, 1) if settings.workers[service] == 1 else None
    return ",".join([*addresses(settings, service), *([f"127.0.0.1:{spare}"] if spare else [])])


def _with_spares(settings: StackSettings) -> dict[str, str]:
    """Return the addresses of each cluster of Envoy, the spare process's among them: it is used while it is healthy."""
    ports, spares = settings.ports, settings.ports.spares(settings.workers)
    listed = {name: addresses(settings, name) for name in settings.workers}
    listed |= {name: [f"127.0.0.1:{ports.streaming(service)}"] for service, name in STREAMING.items()}
    named = {name.rpartition("-")[2].removesuffix("s"): (name, each) for name, each in listed.items()}
    return {
        f"{cluster.upper()}_SERVICE_ADDRESSES": ",".join(
            [*each, *(f"127.0.0.1:{port}" for spare, port in spares.items() if spare == spare_of(name))]
        )
        for cluster, (name, each) in named.items()
    }


def of_service(
    program: str, settings: StackSettings, layout: Layout, inherited: Mapping[str, str], *, base: Path | None = None
) -> dict[str, str]:
    """Return the environment of a service's worker, `gig-images` or `order-events`, but for its name and addresses.

    Paths are absolute, or start at `base`, the current folder of the process.
    """
    environment = matching(inherited, _patterns(program, settings)) | PYTHON_PATHS
    environment |= _of_settings(program, settings, layout, inherited, base or layout.data_dir)
    service = program.split("-")[0]
    for name, identity in (("RUN_AS", service_identity(layout, service)), ("DECODER_RUN_AS", decoder_identity())):
        environment.pop(name, None)
        if identity is not None and (name == "RUN_AS" or program == IMAGES):
            environment[name] = str(identity)
    return environment


def of_commands(service: str, settings: StackSettings, layout: Layout, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a service's commands, which need what any of its programs has."""
    environment: dict[str, str] = {}
    for program in SETTINGS:
        if program.split("-")[0] == service:
            environment |= of_service(program, settings, layout, inherited)
    return environment


def of_worker(
    program: str, name: str, port: int, metrics_port: int, settings: StackSettings, layout: Layout
) -> dict[str, str]:
    """Return the whole environment of one process of a service, whose current folder is DATA_DIR."""
    return of_service(program, settings, layout, os.environ, base=Path()) | {
        "WORKER": name,
        "LISTEN": f"127.0.0.1:{port}",
        "METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
    }


def of_edge_renderer(settings: StackSettings, layout: Layout, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the program that renders Envoy's configuration; its current folder is DATA_DIR."""
    own = _of_settings(EDGE, settings, layout, inherited, edge_base(layout)) | _with_spares(settings)
    return matching(inherited, (*PYTHON, "SSL_CERT_FILE")) | PYTHON_PATHS | own


def edge_base(layout: Layout) -> Path:
    """Return the path to DATA_DIR in Envoy's configuration.

    Envoy refuses to read a file whose real path it cannot find, as below a folder that is closed to its user; but it
    takes any path that begins with `/dev/fd/`.
    """
    return Path(f"/dev/fd/{EDGE_FOLDER}") if layout.is_closed else Path()


def of_edge(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of Envoy, whose settings are in its configuration."""
    return matching(inherited, GENERAL)


def libraries(program: str, settings: StackSettings) -> tuple[str, ...]:
    """Return the prefixes of the variables of those libraries that read files below HOME: `AWS_`, `PG`."""
    return tuple(pattern.rstrip("*") for pattern in _patterns(program, settings) if pattern in (*S3, *LIBPQ))


def _patterns(program: str, settings: StackSettings) -> tuple[str, ...]:
    """Return the variables that a service's libraries may read."""
    service = program.split("-")[0]
    uses_s3 = (service == "gig" or program == EVENTS) and settings.media_storage == "s3"
    uses_stripe = program == "order" and settings.payments == "stripe"
    asks_an_issuer = (settings.user_jwks or "").startswith(("http://", "https://"))
    databases = {service, "sandbox"} if program == "order" and settings.payments == "sandbox" else {service}
    return (
        *SERVICE,
        *(HTTP if uses_s3 or uses_stripe or asks_an_issuer else ()),
        *(CERTIFICATES if program == "order" else ()),
        *(S3 if uses_s3 else ()),
        *(LIBPQ if databases & set(settings.database_urls) else ()),
    )


def _of_settings(
    program: str, settings: StackSettings, layout: Layout, inherited: Mapping[str, str], base: Path
) -> dict[str, str]:
    """Return the variables of a program's settings: the stack's own values, else the inherited ones."""
    needed = {name.upper() for name in SETTINGS[program].model_fields}
    unused = "STRIPE_" if settings.payments == "sandbox" else "SANDBOX_"
    # An address of probes would be that of all processes.
    needed = {name for name in needed if not name.startswith(unused) and name != "PROBE_LISTEN"}
    # Settings are read in lower case as well.
    given = {name.upper(): value for name, value in inherited.items() if name.upper() in needed}
    own = _stack_values(settings) | _own_values(settings, layout, base)
    return given | {name: value for name, value in own.items() if name in needed}


def _stack_values(settings: StackSettings) -> dict[str, str]:
    """Return the settings of the stack that are settings of processes as well, but for the secret ones."""
    given = ((name, getattr(settings, name)) for name in StackSettings.model_fields)
    # A relative path is the user's, but each process has another current folder.
    given = ((name, value.absolute() if isinstance(value, Path) else value) for name, value in given)
    return {name.upper(): str(value) for name, value in given if value is not None and not isinstance(value, SecretStr)}


def _own_values(settings: StackSettings, layout: Layout, base: Path) -> dict[str, str]:
    """Return the variables that the stack itself sets for its processes, from its addresses, folders and keys."""
    ports: Ports = settings.ports
    urls = database_urls(settings, layout)
    user = signing_keys.user_key(layout.data_dir)
    service = signing_keys.service_key(layout.data_dir)
    keys = base / service.private.parent.name
    return {
        "SHUTDOWN_GRACE_SECONDS": str(SERVICE_GRACE_SECONDS),
        "USER_JWKS": _jwks(settings.user_jwks, layout, base) or str(keys / user.jwks.name),
        "USER_JWT_ISSUER": settings.user_jwt_issuer or signing_keys.USER_ISSUER,
        "USER_JWT_AUDIENCE": settings.user_jwt_audience or signing_keys.USER_AUDIENCE,
        "SERVICE_JWKS": str(keys / service.jwks.name),
        "SERVICE_SIGNING_KEY": str(keys / service.private.name),
        "WEBHOOK_KEYS": _webhook_keys(settings, layout),
        "INTERNAL_TLS_FOLDER": str(base / layout.tls.name),
        "MEDIA_DIR": str(base / layout.media.name),
        "MEDIA_URL": settings.media_base,
        "UPLOAD_DIR": str(base / layout.uploads.name),
        "FILES_DIR": str(base / layout.files.name),
        "FILE_UPLOAD_DIR": str(base / layout.file_uploads.name),
        "ENVOY_ADMIN_PORT": str(ports.envoy_admin),
        "OTEL_EXPORTER_OTLP_ENDPOINT": settings.trace_endpoint,
        **{f"{name.upper()}_DATABASE_URL": url for name, url in urls.items()},
        **{f"{name.upper()}_SERVICE_ADDRESSES": _addresses_for_services(settings, name) for name in settings.workers},
    }


def _webhook_keys(settings: StackSettings, layout: Layout) -> str:
    given = settings.webhook_keys
    return given.get_secret_value() if given else signing_keys.webhook_keys(layout.data_dir)


def _jwks(source: str | None, layout: Layout, base: Path) -> str | None:
    """Return USER_JWKS as a URL or as a path for a process; `None` when it is not set."""
    if source is None or source.startswith(("http://", "https://")):
        return source
    path = Path(source).absolute()
    return str(base / path.relative_to(layout.data_dir) if path.is_relative_to(layout.data_dir) else path)
