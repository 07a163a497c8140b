"""The renderer of Envoy's bootstrap, from the settings and the protos: `python -m edge.bootstrap --output FILE`.

FILE is YAML with comments, for people. Beside it stands the same as JSON, for Envoy, which reads it in a third of the
time and memory.
"""

from __future__ import annotations

import argparse
import gc
import ipaddress
import os
import re
import secrets
import shutil
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
import yaml  # type: ignore[import-untyped]
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edge import browsers, compression, contract, grpc_web, internal_tls, mcp_tools, name_patterns, tls
from edge.caching import cached_paths, max_age
from edge.docs_page import docs_files
from edge.generate import DESCRIPTOR_SET
from edge.route_times import MARGIN, RouteTimes, ordinary, times_of
from edge.settings import EdgeSettings
from edge.spellings import Spelling, spellings
from edge.tracing import tracing_of
from edge.write_limits import write_limits
from servicekit.settings import CLOCK_SKEW_SECONDS, load
from servicekit.uploads.limits import MAX_OTHER_BYTES

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "envoy"
GENERATED = ROOT / "generated"

# Statuses of Envoy's own responses that API.md does not know, and the error that replaces each.
REPLACED_STATUSES = {408: "DEADLINE_EXCEEDED", 501: "INVALID_ARGUMENT", 502: "UNAVAILABLE"}

# The trusted certificate authorities in Debian, Fedora and Alpine.
CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

# The name of a copy of these certificates.
CA_COPY = "ca-certificates.crt"

# Connections are counted by group of addresses, since Envoy cannot count them by address. The last digit of an IPv4
# address is its group; of an IPv6 address the last digit of its first 32 bits, which a client cannot choose.
# Each group costs Envoy some MiB.
ADDRESS_GROUPS = {
    **{f"ipv4-{digit}": rf"[0-9.]*\.[0-9]*{digit}" for digit in range(10)},
    **{f"ipv6-{digits}": rf"[0-9a-f]+:[0-9a-f]*[{digits}]:.*" for digits in ("0-3", "4-7", "89ab", "c-f")},
}

# The clusters of services that are served by another one's workers.
SERVED_BY = {"webhook": "order", "conversation": "order", "offer": "order"}


class BootstrapError(Exception):
    """A setting that cannot be rendered; the text names it and says why."""


@dataclass(frozen=True)
class Jwks:
    """The source of the public keys of users' access tokens: a file, or a URL in its parts.

    Envoy fetches a file by a URL as well, from its own listener `jwks`.
    """

    file: str = ""
    url: str = ""
    host: str = ""
    port: int = 0
    tls: bool = False
    ca_file: str = ""
    """The certificates that the URL's host is checked against."""
    folder: str = ""
    path: str = ""
    """The folder of the file, and its path on the listener `jwks`."""


def jwks_source(value: str) -> Jwks:
    """Return the source that USER_JWKS names. Raises BootstrapError when it is neither an http(s) URL nor a path."""
    if "://" not in value:
        file = Path(value)
        path = "/" + quote(file.name)
        return Jwks(file=str(file), url=f"http://jwks{path}", folder=str(file.parent), path=path)
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BootstrapError(f"USER_JWKS: {value!r} is neither a file nor an http(s) URL")
    if parts.scheme == "http":
        return Jwks(url=value, host=parts.hostname, port=parts.port or 80)
    return Jwks(url=value, host=parts.hostname, port=parts.port or 443, tls=True, ca_file=_ca_file())


def _is_missing(file: str) -> bool:
    """Return whether a file is not there to read; False where only Envoy's own process can tell."""
    of_envoy = not file.startswith("/") or file.startswith("/dev/fd/")
    return not of_envoy and not os.access(file, os.R_OK)


def _ca_file() -> str:
    """Return the file of trusted certificates, SSL_CERT_FILE's or the system's. Raises BootstrapError without one."""
    candidates = [ssl.get_default_verify_paths().cafile, *CA_FILES]
    file = next((each for each in candidates if each and Path(each).is_file()), None)
    if file is None:
        raise BootstrapError("USER_JWKS: no certificates to check an https URL with; name a file in SSL_CERT_FILE")
    return file


def render(settings: EdgeSettings, files: Path | None = None) -> str:
    """Return Envoy's bootstrap as YAML. Relative paths in it start at Envoy's current folder.

    `files` is a folder with copies of the files that Envoy reads, made by `copy_files`; by default it reads the
    project's own. Raises BootstrapError and ContractError.
    """
    scripts = [files] if files else [TEMPLATES, GENERATED / "envoy"]
    jwks = jwks_source(settings.user_jwks)
    if files and jwks.ca_file:
        jwks = replace(jwks, ca_file=str(files / CA_COPY))
    if _is_missing(jwks.file):
        raise BootstrapError(f"USER_JWKS: {jwks.file} cannot be read")
    protos = contract.load()
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,  # of an included part
        autoescape=False,  # noqa: S701  # YAML, not HTML; every value goes through `tojson`
    )
    environment.tests["ip_address"] = _is_ip_address
    return environment.get_template("envoy.yaml.j2").render(
        settings=settings,
        services=protos.services(),
        routes=[
            *sorted(_rest_routes(protos, settings), key=lambda each: not each.anonymous),  # asked for most
            *(each for route in grpc_web.routes(protos) for each in _grpc_web_routes(route, settings)),
        ],
        grpc_web_groups=grpc_web.groups(protos, settings),
        grpc_web_types=grpc_web.CONTENT_TYPES,
        grpc_web_allow=grpc_web.ALLOW,
        paths=[(path, ", ".join(protos.paths()[path])) for path in sorted(protos.paths(), key=_template_order)],
        paths_by_allow=_paths_by_allow(protos),
        public_routes=list(_public_routes(protos, settings)),
        ordinary_times=ordinary(settings),
        margin=MARGIN,
        tcp_user_timeout=socket.TCP_USER_TIMEOUT,
        media_dir=_media_dir(settings),
        cached_paths=cached_paths(protos, settings),
        admin_hosts=[f"127.0.0.1:{settings.envoy_admin_port}", f"localhost:{settings.envoy_admin_port}"],
        clusters=_clusters(settings),
        cluster_of=cluster_of,
        compressors=compression.COMPRESSORS,
        compressed_types=compression.TYPES,
        errors={error.name: error for error in protos.errors},
        replies=_local_replies(protos),
        address_groups=ADDRESS_GROUPS,
        browser_headers=browsers.response_headers(
            browsers.origins(settings.cors_origins), has_tls=bool(settings.tls_certificate)
        ),
        preflight_headers=browsers.preflight_headers(),
        grpc_web_browser_headers=browsers.grpc_web_headers(),
        tls_secret=_tls_secret(settings, files),
        tls_secret_name=tls.SECRET_NAME,
        internal_tls=_internal_tls(settings, files),
        docs_files=docs_files() if settings.edge_docs == "on" else [],
        docs_folder=str(files) if files else "",
        jwks=jwks,
        jwks_socket=f"@marketplace-jwks-{secrets.token_hex(16)}",
        clock_skew_seconds=CLOCK_SKEW_SECONDS,
        names=name_patterns,
        mcp=mcp_tools.for_envoy(GENERATED, protos, settings),
        limits=write_limits(protos, settings),
        tracing=tracing_of(settings),
        descriptor_set=str(scripts[-1] / DESCRIPTOR_SET),
        lua_path=";".join(f"{folder}/?.lua" for folder in scripts),
    )


def json_file(output: Path) -> Path:
    """Return the file of JSON that stands beside a bootstrap of this name."""
    return output.with_suffix(".json")


def write(output: Path, text: str) -> None:
    """Write a rendered bootstrap, and its JSON beside it. Raises OSError."""
    output.write_text(text)
    json_file(output).write_bytes(orjson.dumps(yaml.load(text, yaml.CSafeLoader)))


def _tls_secret(settings: EdgeSettings, files: Path | None) -> str:
    """Return the path of Envoy's file with certificate and key; empty without TLS."""
    if not settings.tls_certificate:
        return ""
    if files is None:
        raise BootstrapError("TLS_CERTIFICATE: Envoy reads a copy; name a folder for it with --files")
    return str(files / tls.SECRET_FILE)


def _internal_tls(settings: EdgeSettings, files: Path | None) -> internal_tls.InternalTls | None:
    try:
        return internal_tls.for_envoy(settings, files)
    except ValueError as error:
        raise BootstrapError(str(error)) from error


def copy_files(settings: EdgeSettings, target: Path) -> None:
    """Copy the files that Envoy reads into a folder. Raises BootstrapError and OSError.

    They are readable for everyone but the one with the private key, which is readable for its owner alone.
    """
    if settings.tls_certificate:
        try:
            secret = tls.secret_of(Path(settings.tls_certificate), Path(settings.tls_private_key))
        except tls.TlsError as error:
            raise BootstrapError(str(error)) from error
        tls.write_secret(target / tls.SECRET_FILE, secret)
    else:
        (target / tls.SECRET_FILE).unlink(missing_ok=True)
    internal_tls.write_secrets(settings, target)
    sources = {path.name: path for folder in (TEMPLATES, GENERATED / "envoy") for path in folder.glob("*.lua")}
    sources |= {file.source.name: file.source for file in docs_files()}
    sources[DESCRIPTOR_SET] = GENERATED / "envoy" / DESCRIPTOR_SET
    if ca_file := jwks_source(settings.user_jwks).ca_file:
        sources[CA_COPY] = Path(ca_file)
    for name, source in sources.items():
        shutil.copyfile(source, target / name)
        (target / name).chmod(0o644)


@dataclass(frozen=True)
class ApiRoute:
    """One route of the listener `api`: a route of the contract for one method, with or without an idempotency key."""

    name: str
    method: str
    rpc: contract.Route
    response_context: dict[str, Any]
    """The filter context of `request_headers.lua` and `response.lua`."""
    body_context: dict[str, Any]
    """The filter context of `request_body.lua`."""
    times: RouteTimes
    with_key: bool = False
    """Whether the route matches only requests with an idempotency key."""
    grpc_web: bool = False
    anonymous: bool = False
    """Whether the route matches only requests without a token; then one script checks headers and query."""


def _rest_routes(protos: contract.Contract, settings: EdgeSettings) -> Iterator[ApiRoute]:
    """Yield the routes of the listener `api` for the public paths, literal segments before variables."""
    for route in sorted(protos.routes, key=_literal_first):
        yield from _api_routes(route, settings)


def _api_routes(route: contract.Route, settings: EdgeSettings) -> Iterator[ApiRoute]:
    """Yield the routes of the listener `api` for one route of the contract, the most exact one first."""
    response: dict[str, Any] = {"status": route.status}
    if route.unwrap:
        response["unwrap"] = route.unwrap
    if route.created:
        response["created"] = route.created
    body: dict[str, Any] = {}
    if route.body:
        body["body"] = route.body
    if route.raw:
        body["raw"] = True
    if route.upload:
        body |= _upload_limits(route, settings)
    times = times_of(route, settings)
    if route.stream:
        response["download" if route.download else "stream"] = body["stream"] = True
    elif not (route.body or route.raw or route.upload):
        # A little longer than `api` waits for a worker.
        body["call_milliseconds"] = int(times.response * 1000) + 1000
    if route.query:
        body["query"] = {each.name: each.value_type | {"repeated": each.repeated} for each in route.query}

    if route.method == "GET":
        response["is_read"] = True
        if seconds := max_age(route, settings):
            response["max_age"] = seconds
        if not (route.needs_token or route.stream):
            name = f"{route.name} without a token"
            yield ApiRoute(name, "GET", route, response | body | {"anonymous": True}, {}, times, anonymous=True)
        yield ApiRoute(route.name, "GET", route, response, body, times)
        yield ApiRoute(f"HEAD {route.path}", "HEAD", route, response | {"is_head": True}, body, times)
        return
    if route.takes_key:
        name = f"{route.name} with an idempotency key"
        yield ApiRoute(name, route.method, route, response, body, times, with_key=True)
    yield ApiRoute(route.name, route.method, route, response, body, times)


def _upload_limits(route: contract.Route, settings: EdgeSettings) -> dict[str, Any]:
    """Return what request_body.lua checks of an upload: pictures, or one file of any type."""
    if route.rpc == "UploadImages":
        return {"max_file_bytes": settings.image_max_bytes}
    most = settings.file_max_mib * 1024 * 1024
    return {"max_file_bytes": most, "max_form_bytes": most + MAX_OTHER_BYTES, "any_type": True}


def _grpc_web_routes(route: contract.Route, settings: EdgeSettings) -> Iterator[ApiRoute]:
    """Yield the routes of the listener `api` for an RPC of gRPC-Web, the more exact one first."""
    times = times_of(route, settings)
    name = f"gRPC-Web {route.path}"
    response = {"status": route.status, "grpc_web": True, "is_read": route.method == "GET"}
    response["milliseconds"] = int(times.response * 1000)
    if route.takes_key:
        yield ApiRoute(
            f"{name} with an idempotency key", "POST", route, response, {"grpc_web": True}, times, True, grpc_web=True
        )
    yield ApiRoute(name, "POST", route, response, {"grpc_web": True}, times, grpc_web=True)


@dataclass(frozen=True)
class PublicRoute:
    """A route of the listener `public` for a path that has times of its own."""

    spelling: Spelling
    times: RouteTimes
    is_read: bool
    is_stream: bool


def _public_routes(protos: contract.Contract, settings: EdgeSettings) -> Iterator[PublicRoute]:
    """Yield the routes whose times differ from those of most."""
    for route in protos.routes:
        times = times_of(route, settings)
        if times == ordinary(settings):
            continue
        is_read = route.method == "GET"
        is_watch = route.stream and not route.download
        yield from (PublicRoute(each, times, is_read, is_watch) for each in spellings(route.path))


def cluster_of(service: str) -> str:
    """Return the Envoy cluster of a gRPC service: `gig` for `marketplace.gig.v1.GigService`."""
    name = service.rpartition(".")[2].removesuffix("Service").lower()
    return SERVED_BY.get(name, name)


def _clusters(settings: EdgeSettings) -> dict[str, list[tuple[str, int]]]:
    """Return host and port of each worker by the name of its cluster."""
    addresses = {
        "event": settings.event_service_addresses,
        # The same workers, but calls that come to an end: draining waits for them.
        "file": settings.event_service_addresses,
        "gig": settings.gig_service_addresses,
        "image": settings.image_service_addresses,
        "order": settings.order_service_addresses,
        "review": settings.review_service_addresses,
    }
    return {
        name: [(host, int(port)) for host, _, port in (each.rpartition(":") for each in listed.split(","))]
        for name, listed in addresses.items()
    }


def _media_dir(settings: EdgeSettings) -> str:
    """Return the folder that is served at /media, or an empty text when pictures are in S3."""
    if settings.media_storage == "s3":
        return ""
    if settings.media_dir is None:
        raise BootstrapError("MEDIA_DIR: MEDIA_STORAGE=folder needs the folder")
    return str(settings.media_dir)


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _local_replies(protos: contract.Contract) -> list[tuple[int, contract.ErrorCode]]:
    """Return the error for each status of Envoy's own responses: the first one of the catalogue with that status."""
    errors = {error.name: error for error in protos.errors}
    replies = {status: errors[name] for status, name in REPLACED_STATUSES.items()}
    for error in protos.errors:
        replies.setdefault(error.http, error)
    return sorted(replies.items())


def _paths_by_allow(protos: contract.Contract) -> dict[str, list[str]]:
    """Return, by the methods of a path (`Allow` of a 405), regular expressions for `:path` as clients send it."""
    patterns: dict[str, list[str]] = {}
    for path in sorted(protos.paths(), key=_template_order):
        pattern = re.sub(r"\{[^}]*\}", "[^/?]+", path)
        # The second spelling of /api/gigs.
        pattern = re.sub("^/api/gigs$", "(?:/api/gigs|/gig/?)", pattern).replace("/api/gigs/", "/(?:api/gigs|gig)/")
        patterns.setdefault(", ".join(protos.paths()[path]), []).append(pattern + r"(?:\?.*)?")
    return patterns


def _template_order(path: str) -> list[tuple[bool, str]]:
    """Return a sort key that puts literal segments before variables: the more exact of two templates comes first."""
    return [(segment.startswith("{"), segment) for segment in path.split("/")]


def _literal_first(route: contract.Route) -> list[tuple[bool, str]]:
    return _template_order(route.path)


def main() -> None:
    """Write the bootstrap for the settings of the environment. Exits with 2 when a setting is wrong."""
    parser = argparse.ArgumentParser(description="Renders Envoy's bootstrap from the environment and the protos.")
    parser.add_argument("--output", type=Path, required=True, help="a file of YAML; Envoy's JSON stands beside it")
    parser.add_argument("--files", type=Path, help="copy the files that Envoy reads into this folder, which is made")
    options = parser.parse_args()
    # A process this short leaves no garbage behind; looking for it takes a third of the time of reading the YAML.
    gc.disable()
    output: Path = options.output
    files: Path | None = options.files
    settings = load(EdgeSettings)
    try:
        if files:
            files.mkdir(parents=True, exist_ok=True)
            copy_files(settings, files)
        write(output, render(settings, files))
    except BootstrapError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
