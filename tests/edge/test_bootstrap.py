"""The rendered bootstrap and the scripts: Envoy takes them, and wrong settings are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from edge import check, signing_keys, tls, tokens
from edge.bootstrap import BootstrapError, jwks_source
from edge.settings import EdgeSettings
from tests.support.edge import ROOT, Edge, assert_refused, fetches, free_ports
from tests.support.eventually import eventually

ADDRESSES = {f"{service}_service_addresses": "127.0.0.1:1,127.0.0.1:2" for service in ("gig", "order", "review")}


def test_envoy_takes_what_is_rendered(tmp_path: Path) -> None:
    # `make lint` checks all variants.
    assert not list(check.bootstrap_errors(tmp_path, **check.VARIANTS["defaults"]))


def test_a_bootstrap_that_envoy_refuses_is_an_error(tmp_path: Path) -> None:
    [error] = check.bootstrap_errors(tmp_path, edge_host="no address")

    assert "no address" in error


def test_every_script_compiles_and_uses_no_unknown_global() -> None:
    assert "request_headers.lua" in [script.name for script in check.scripts()]
    for script in check.scripts():
        assert not list(check.script_errors(script.name, script.read_bytes()))


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("local x = = 1", "a.lua:1: unexpected symbol near '='"),
        ("x = 1", "a.lua: writes the global 'x'"),
        ("function on_request() end", "a.lua: writes the global 'on_request'"),
        (
            "return { f = function() return function() return misspelt end end }",
            "a.lua: reads the global 'misspelt'",
        ),
        ("return os.getenv", "a.lua: reads the global 'os'"),
    ],
)
def test_an_error_of_a_script_is_found(source: str, error: str) -> None:
    assert list(check.script_errors("a.lua", source.encode())) == [error]


def environment(folder: Path, **changes: str) -> dict[str, str]:
    """Return the environment that a stack sets for the edge."""
    values = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PORT": "18080",
        "ENVOY_ADMIN_PORT": "18081",
        "USER_JWKS": str(signing_keys.user_key(folder).jwks),
        "USER_JWT_ISSUER": "i",
        "USER_JWT_AUDIENCE": "a",
        "IMAGE_SERVICE_ADDRESSES": "127.0.0.1:3",
        "EVENT_SERVICE_ADDRESSES": "127.0.0.1:5",
        "MEDIA_DIR": str(folder / "media"),
        "INTERNAL_TLS_FOLDER": str(folder / "tls"),
        **{name.upper(): value for name, value in ADDRESSES.items()},
    }
    return {name: value for name, value in {**values, **changes}.items() if value}


def run(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command that a stack runs; an empty change leaves a variable out."""
    files = folder / "files"
    files.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "edge.bootstrap", "--output", str(folder / "envoy.yaml"), "--files", str(files)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(folder, **changes), cwd=folder
    )


def test_the_command_writes_the_bootstrap(tmp_path: Path) -> None:
    result = run(tmp_path)

    assert result.returncode == 0, result.stderr
    written = (tmp_path / "envoy.yaml").read_text()
    assert '{ address: "127.0.0.1", port_value: 18080 }' in written
    assert written.count('{ address: "127.0.0.1", port_value: 2 }') == 3
    # As the stack does by default: every worker has to show the identity of its service.
    # Two clusters have the workers of `order-events`.
    assert written.count("spiffe://marketplace/") == 6


def test_what_envoy_reads_is_what_people_read(tmp_path: Path) -> None:
    assert run(tmp_path).returncode == 0

    for_people = yaml.load((tmp_path / "envoy.yaml").read_text(), yaml.CSafeLoader)
    assert json.loads((tmp_path / "envoy.json").read_text()) == for_people


def test_tls_with_the_services_needs_a_folder_of_certificates_unless_it_is_off(tmp_path: Path) -> None:
    result = run(tmp_path, INTERNAL_TLS_FOLDER="")

    assert result.returncode == 2
    assert result.stderr == "INTERNAL_TLS=on needs INTERNAL_TLS_FOLDER\n"
    assert not (tmp_path / "envoy.yaml").exists()
    (tmp_path / "off").mkdir()
    result = run(tmp_path / "off", INTERNAL_TLS_FOLDER="", INTERNAL_TLS="off")
    assert result.returncode == 0, result.stderr
    assert "spiffe://" not in (tmp_path / "off" / "envoy.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "http"),
        ("ENVOY_ADMIN_PORT", ""),
        ("GIG_SERVICE_ADDRESSES", ""),
        ("ORDER_SERVICE_ADDRESSES", "nonsense"),
        ("MEDIA_DIR", ""),
        ("REVIEW_SERVICE_ADDRESSES", "a:1,b"),
        ("USER_JWKS", ""),
        ("USER_JWKS", "ftp://login.example/jwks"),
        ("USER_JWKS", "/nowhere/missing.json"),
        ("USER_JWT_ISSUER", ""),
        ("EDGE_REQUEST_TIMEOUT_SECONDS", "-1"),
        ("EDGE_MAX_CONNECTIONS", "many"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://a.example,null"),
        ("CORS_ORIGINS", "https://a.example,"),
        ("CORS_ORIGINS", "https://a.example/"),
        ("CORS_ORIGINS", "https://A.example"),
        ("CORS_ORIGINS", "https://a.example:443"),
        ("CORS_ORIGINS", "http://a.example:80"),
        ("CORS_ORIGINS", "https://*.example"),
        ("CORS_ORIGINS", "https://a.example' || true || '"),
        ("CORS_ORIGINS", "a.example"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    result = run(tmp_path, **{name: value})

    assert result.returncode == 2
    assert result.stderr.startswith(f"{name}: ")
    assert not (tmp_path / "envoy.yaml").exists()


@pytest.mark.parametrize("name", ["TLS_CERTIFICATE", "TLS_PRIVATE_KEY"])
def test_a_certificate_goes_with_its_key(tmp_path: Path, name: str) -> None:
    result = run(tmp_path, **{name: "/etc/hostname"})

    assert result.returncode == 2
    assert result.stderr == "TLS_CERTIFICATE and TLS_PRIVATE_KEY go together: set both or none\n"


def test_a_certificate_that_cannot_be_used_leaves_envoy_the_one_that_it_has(tmp_path: Path) -> None:
    copy = tmp_path / "files" / tls.SECRET_FILE
    copy.parent.mkdir()
    copy.write_text("the certificate before")

    result = run(tmp_path, TLS_CERTIFICATE="/etc/hostname", TLS_PRIVATE_KEY="/etc/hostname")

    assert result.returncode == 2
    assert "has no certificate in PEM" in result.stderr
    assert copy.read_text() == "the certificate before"


def test_keys_come_from_a_file_or_a_url(tmp_path: Path) -> None:
    assert jwks_source(str(tmp_path / "jwks.json")).file == str(tmp_path / "jwks.json")
    secure = jwks_source("https://login.example/jwks")
    assert (secure.host, secure.port, secure.tls) == ("login.example", 443, True)
    plain = jwks_source("http://login.example:81/jwks")
    assert (plain.host, plain.port, plain.tls) == ("login.example", 81, False)
    with pytest.raises(BootstrapError, match="USER_JWKS"):
        jwks_source("file:///etc/jwks.json")


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in EdgeSettings.model_fields.items():
        assert field.description, name


class _Keys(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.keys)  # type: ignore[attr-defined]

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def key_server() -> Iterator[ThreadingHTTPServer]:
    """Start a server that keys are fetched from; `keys` are its bytes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Keys)
    server.keys = b"{}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_keys_can_be_fetched(key_server: ThreadingHTTPServer) -> None:
    edge = Edge(user_jwks=f"http://127.0.0.1:{key_server.server_port}/jwks.json")
    key_server.keys = signing_keys.user_key(edge.folder).jwks.read_bytes()  # type: ignore[attr-defined]
    try:
        edge.start()
        with edge.client() as api:
            assert api.get("/api/orders", headers=edge.bearer()).status_code == 200
            assert_refused(api.get("/api/orders", headers={"Authorization": "Bearer a.b.c"}), 401, "UNAUTHORIZED")
    finally:
        edge.stop()


def test_a_published_jwks_is_fetched_again_and_its_keys_stay_while_it_is_away(
    key_server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    edge = Edge(user_jwks=f"http://127.0.0.1:{key_server.server_port}/jwks.json")
    key_server.keys = signing_keys.user_key(edge.folder).jwks.read_bytes()  # type: ignore[attr-defined]
    other = {"Authorization": f"Bearer {tokens.mint(tmp_path, 'someone', ['buyer'])}"}
    try:
        edge.start()
        with edge.client() as api:
            taken_out = edge.bearer()
            assert api.get("/api/orders", headers=taken_out).status_code == 200

            key_server.keys = signing_keys.user_key(tmp_path).jwks.read_bytes()  # type: ignore[attr-defined]

            eventually(lambda: api.get("/api/orders", headers=taken_out).status_code == 401, 60, every=0.2)
            assert api.get("/api/orders", headers=other).status_code == 200
            key_server.keys = b"away"  # type: ignore[attr-defined]
            failed = fetches(edge, "failed")
            # Longer than the keys are cached.
            eventually(lambda: fetches(edge, "failed") > failed + 10, 90, every=0.5)
            assert api.get("/api/orders", headers=other).status_code == 200
    finally:
        edge.stop()


def test_while_keys_cannot_be_fetched_a_token_is_neither_good_nor_bad() -> None:
    edge = Edge(user_jwks=f"http://127.0.0.1:{free_ports(1)[0]}/jwks.json")
    try:
        edge.start()
        with edge.client() as api:
            assert_refused(api.get("/api/orders", headers=edge.bearer()), 503, "UNAVAILABLE")
            assert_refused(api.get("/api/orders"), 401, "UNAUTHORIZED")
            assert api.get("/api/categories").status_code == 200
    finally:
        edge.stop()


def test_one_line_of_json_is_logged_for_a_request(edge: Edge, api: httpx.Client) -> None:
    api.head("/gig/0190a000-0000-7000-8000-000000000001", headers={"X-Request-Id": "logged"})

    [line] = edge.access_log("logged")
    assert line["method"] == "HEAD"
    assert line["path"] == "/api/gigs/0190a000-0000-7000-8000-000000000001"
    assert line["code"] == 200
    assert line["upstream"] == f"127.0.0.1:{edge.gig.port}"
    assert isinstance(line["milliseconds"], int)


def test_what_never_came_to_a_route_is_logged_as_well(edge: Edge) -> None:
    edge.raw(b"GET /api/%00 HTTP/1.1\r\nHost: x\r\nX-Request-Id: odd\r\n\r\n")

    [line] = edge.access_log("odd")
    assert line["listener"] == "public"
    assert line["code"] == 404


def test_the_access_log_holds_no_token(edge: Edge, api: httpx.Client) -> None:
    token = edge.token()
    api.get("/api/orders", headers={"Authorization": f"Bearer {token}", "X-Request-Id": "secret"})
    edge.access_log("secret")

    assert token not in edge.log.read_text()
    assert json.dumps(token) not in edge.log.read_text()
