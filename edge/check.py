"""The check of Envoy's input: `python -m edge.check` compiles the Lua scripts and validates the bootstrap.

A script must compile with LuaJIT, as in Envoy, and use no global variable that Lua does not have. Envoy must take the
bootstrap in each of `VARIANTS`. Needs the development dependency lupa.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from lupa.luajit21 import LuaRuntime  # type: ignore[import-untyped]

from edge import signing_keys
from edge.bootstrap import GENERATED, TEMPLATES, copy_files, json_file, render, write
from edge.self_signed import certificate_and_key
from edge.settings import EdgeSettings
from servicekit import internal_tls
from servicekit.authority import Authority

ENVOY = Path(sys.executable).parent / "envoy"

# Warnings that do not count. Envoy calls `allow_custom_methods` (an unknown method is a 405), the file server (for
# pictures), custom responses (for HEAD on a stream), the access logger `stats` (for the cache) and the bridge for MCP
# work in progress. A JWKS cannot be fetched while a bootstrap is validated.
KNOWN_WARNINGS = (
    "allow_custom_methods",
    "Jwks async fetching",
    "file_server.v3",
    "async_files.v3",
    "custom_response.v3",
    "local_response_policy.v3",
    "mcp_json_rest_bridge.v3",
    "access_loggers.stats.v3",
)

SERVICES = ("event", "gig", "image", "order", "review")

# A file with a certificate and its key, made for the check.
CERTIFICATE = "certificate.pem"

# The settings of a bootstrap beside the required ones.
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "several workers": {f"{service}_service_addresses": "127.0.0.1:1,127.0.0.1:2" for service in SERVICES},
    "all addresses": {"edge_host": "0.0.0.0", "envoy_metrics_port": 18082},  # noqa: S104  # only rendered
    "no limits of writes": {"edge_writes_per_minute_per_address": 0, "edge_writes_per_minute_per_user": 0},
    "trusted proxies": {"trusted_proxies": "10.0.0.0/8, 2001:db8::/32,192.0.2.1"},
    "workers by name": {"gig_service_addresses": "gigs.example:10000,10.0.0.1:10000"},
    "pictures in S3": {"media_storage": "s3", "media_dir": None},
    "without docs": {"edge_docs": "off"},
    "no cache": {"edge_cache": "off"},
    "a cache of a minute": {"edge_cache_seconds": 60, "edge_cache_mib": 1},
    "JWKS by https": {"user_jwks": "https://login.example/.well-known/jwks.json?x=%20y"},
    "JWKS by http": {"user_jwks": "http://login.example:8081/jwks"},
    "origins": {"cors_origins": "https://shop.example, http://localhost:3000,http://[::1]:3000"},
    "no MCP": {"edge_mcp": "off"},
    "traces": {"otel_exporter_otlp_endpoint": "http://127.0.0.1:4317", "otel_traces_sampler_arg": 0.25},
    "traces by name": {"otel_exporter_otlp_endpoint": "http://collector.example"},
    "a certificate": {"tls_certificate": CERTIFICATE, "tls_private_key": CERTIFICATE},
    "TLS with the services": {"internal_tls": "on", "internal_tls_folder": Path("tls")},
    "odd characters": {"user_jwt_issuer": 'https://"login".example/\\ä', "user_jwt_audience": "{{ 1 }} # x: 'y'"},
}

# The global variables that a script may read. It may write none: every table is local to its module.
KNOWN_GLOBALS = frozenset(
    (
        "collectgarbage",
        "error",
        "io",
        "ipairs",
        "math",
        "pairs",
        "pcall",
        "require",
        "setmetatable",
        "string",
        "table",
        "tonumber",
        "tostring",
        "type",
    )
)

# Lua that compiles a script. It returns an error; or nil and the names of the globals that the script reads and writes,
# from the bytecode of all its functions. A sample that has one of each tells the numbers of the two instructions.
_COMPILE = """
local source, name = ...
local util = require("jit.util")
local function instruction(func, at)
  local word = util.funcbc(func, at)
  if word then return word % 256, math.floor(word / 65536) end
end
local sample = assert(loadstring("x = y"))
local read, write = instruction(sample, 1), instruction(sample, 2)
local script, fault = loadstring(source, "=" .. name)
if not script then return fault end
local reads, writes = {}, {}
local function visit(func)
  local at = 1
  while true do
    local code, constant = instruction(func, at)
    if not code then break end
    if code == read then reads[util.funck(func, -constant - 1)] = true end
    if code == write then writes[util.funck(func, -constant - 1)] = true end
    at = at + 1
  end
  local index = -1
  while util.funck(func, index) ~= nil do
    if type(util.funck(func, index)) == "proto" then visit(util.funck(func, index)) end
    index = index - 1
  end
end
visit(script)
return nil, reads, writes
"""


def scripts() -> list[Path]:
    """Return all Lua files that Envoy loads."""
    return sorted([*TEMPLATES.glob("*.lua"), *(GENERATED / "envoy").glob("*.lua")])


def script_errors(name: str, source: bytes) -> Iterator[str]:
    """Yield the errors of a script: it does not compile, or it uses a global that it must not use."""
    lua = LuaRuntime(encoding=None)
    compiled = lua.execute(_COMPILE.encode(), source, name.encode())
    if isinstance(compiled, bytes):
        yield compiled.decode(errors="replace")
        return
    _, reads, writes = compiled
    for each in sorted(key.decode() for key in reads):
        if each not in KNOWN_GLOBALS:
            yield f"{name}: reads the global {each!r}"
    for each in sorted(key.decode() for key in writes):
        yield f"{name}: writes the global {each!r}"


def bootstrap_errors(folder: Path, **changes: Any) -> Iterator[str]:
    """Yield Envoy's errors and unknown warnings about a bootstrap. Files are written into `folder`."""
    values: dict[str, Any] = {
        # Every setting that a caller's environment may have, so that it changes nothing here.
        "port": 18080,
        "envoy_admin_port": 18081,
        "user_jwks": str(signing_keys.user_key(folder).jwks),
        "user_jwt_issuer": signing_keys.USER_ISSUER,
        "user_jwt_audience": signing_keys.USER_AUDIENCE,
        "media_dir": folder / "media",
        "internal_tls": "off",
        **{f"{service}_service_addresses": "127.0.0.1:1" for service in SERVICES},
    }
    config = folder / "envoy.yaml"
    settings, files = EdgeSettings(**{**values, **changes}), None
    if settings.tls_certificate:
        certificate = folder / CERTIFICATE
        certificate.write_bytes(b"".join(certificate_and_key("edge.example")))
        settings = settings.model_copy(
            update={"tls_certificate": str(certificate), "tls_private_key": str(certificate)}
        )
    if settings.internal_tls_folder:
        settings = settings.model_copy(update={"internal_tls_folder": _identity_of_the_edge(folder)})
    if settings.tls_certificate or settings.internal_tls_folder:
        files = folder / "files"
        files.mkdir()
        copy_files(settings, files)
    write(config, render(settings, files))
    command = [str(ENVOY), "--mode", "validate", "--disable-hot-restart", "-c", str(json_file(config))]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        yield result.stderr[-2000:].strip()
        return
    for line in result.stderr.splitlines():
        if "[warning]" in line and not any(each in line for each in KNOWN_WARNINGS):
            yield line


def _identity_of_the_edge(folder: Path) -> Path:
    """Write the files of the edge's identity. Return the folder of identities."""
    authority = Authority.new()
    certificate, private_key = authority.issue(internal_tls.EDGE, timedelta(days=1))
    identity = folder / "tls" / internal_tls.EDGE
    identity.mkdir(parents=True)
    for name, content in (
        (internal_tls.CERTIFICATE, certificate),
        (internal_tls.PRIVATE_KEY, private_key),
        (internal_tls.AUTHORITIES, authority.pem),
    ):
        (identity / name).write_bytes(content)
    return identity.parent


def main() -> int:
    """Check scripts and bootstraps; print every error. Return 1 when there is one."""
    argparse.ArgumentParser(prog="python -m edge.check", description=main.__doc__).parse_args()
    errors = [error for script in scripts() for error in script_errors(script.name, script.read_bytes())]
    for name, changes in VARIANTS.items():
        with tempfile.TemporaryDirectory(prefix="mkt-edge-check-") as folder:
            errors += [f"bootstrap ({name}): {error}" for error in bootstrap_errors(Path(folder), **changes)]
    for error in errors:
        sys.stderr.write(f"{error}\n")
    if not errors:
        sys.stdout.write(f"The edge's {len(scripts())} scripts and {len(VARIANTS)} bootstraps are good.\n")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
