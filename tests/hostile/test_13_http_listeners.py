"""HTTP around the API: pictures by ranges, refused uploads, and the listeners for operators."""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
from contextlib import ExitStack, suppress

import httpx
import pytest
from PIL import Image

from tests.support.bystanders import bystanders
from tests.support.memory import peak_mib, reset_peaks
from tests.support.stack import Stack
from tests.support.story import Market, ok

ELEVEN_MB = b"x" * (11 << 20)


def a_picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "PNG")
    return file.getvalue()


def test_a_range_of_a_picture_is_answered_whatever_it_asks_for(stack: Stack) -> None:
    market = Market.of(stack)
    gig = market.gig()
    made = market.seller.post(
        f"/api/gigs/{gig['id']}/images", content=a_picture(), headers={"content-type": "image/png"}
    )
    url = ok(made, 201)["images"][0]["url"]
    whole = httpx.get(url).content
    size = len(whole)

    with bystanders(stack) as others:
        beyond = httpx.get(url, headers={"range": f"bytes={size}-"})
        behind = httpx.get(url, headers={"range": f"bytes=10-{size + 100}"})
        suffix = httpx.get(url, headers={"range": "bytes=-5"})
    others.require_served()

    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert beyond.json()["code"] == "RANGE_NOT_SATISFIABLE"
    assert (behind.status_code, behind.content) == (206, whole[10:])
    assert behind.headers["content-range"] == f"bytes 10-{size - 1}/{size}"
    assert (suffix.status_code, suffix.content) == (206, whole[-5:])


def test_a_client_that_writes_all_before_it_reads_sees_each_refusal(stack: Stack) -> None:
    market = Market.of(stack)
    gig = market.gig()["id"]
    owner, other = market.seller.headers["authorization"], market.buyer.headers["authorization"]
    unknown = "0190a000-0000-7000-8000-000000000001"
    small = ELEVEN_MB[: 9 << 20]
    cases = [
        (f"/api/gigs/{gig}/images", "image/jpeg", owner, ELEVEN_MB, 413),
        (f"/api/gigs/{gig}/images", "image/jpeg", "", ELEVEN_MB, 401),
        (f"/api/gigs/{gig}/images", "image/jpeg", f"{owner[:-10]}AAAAAAAAAA", ELEVEN_MB, 401),
        (f"/api/gigs/{gig}/images", "text/plain", owner, ELEVEN_MB, 415),
        (f"/api/gigs/{gig}/images", "image/jpeg", other, small, 403),
        (f"/api/gigs/{unknown}/images", "image/jpeg", owner, small, 404),
        (f"/api/gigs/{gig}/images", "image/jpeg", owner, small, 400),
        ("/api/nothing", "image/jpeg", owner, ELEVEN_MB, 404),
        ("/api/gigs", "application/json", owner, ELEVEN_MB, 413),
    ]
    reset_peaks(stack)
    before = peak_mib(stack)["envoy"]

    with bystanders(stack) as others:
        for path, kind, authorization, body, status in cases:
            headers = {"Content-Type": kind, **({"Authorization": authorization} if authorization else {})}
            for _ in range(3):
                connection = http.client.HTTPConnection("127.0.0.1", stack.ports.edge, timeout=20)
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                assert response.status == status, (path, kind, response.read())
                assert json.loads(response.read())["code"]
                connection.close()
    others.require_served()

    assert peak_mib(stack)["envoy"] - before < 250


def test_envoys_admin_page_takes_nothing_from_a_browser(stack: Stack) -> None:
    admin = f"http://127.0.0.1:{stack.ports.envoy_admin}"

    assert "envoy_server_live 1" in httpx.get(f"{admin}/stats/prometheus").text.replace("{} ", " ")
    for path in (
        "/quitquitquit",
        "/healthcheck/fail",
        "/logging?level=trace",
        "/runtime_modify?x=1",
        "/reset_counters",
    ):
        for method in ("POST", "GET"):
            assert httpx.request(method, admin + path).status_code == 403, (method, path)
    for headers in ({"origin": "http://evil.example"}, {"host": "evil.example"}, {"sec-fetch-site": "cross-site"}):
        for method, path in (("POST", "/drain_listeners?graceful&skip_exit"), ("GET", "/stats")):
            assert httpx.request(method, admin + path, headers=headers).status_code == 403, (headers, path)
    with stack.client() as client:
        assert client.get("/api/categories").status_code == 200


@pytest.mark.parametrize("listener", ["envoy", "worker"])
def test_a_listener_for_operators_bounds_its_connections_and_answers_soon_after(stack: Stack, listener: str) -> None:
    port = stack.ports.envoy_admin if listener == "envoy" else stack.ports.metrics("gig", 0)
    path = "/stats/prometheus" if listener == "envoy" else "/metrics"
    name = "envoy" if listener == "envoy" else "gig-0"
    threads = stack.processes()[name].num_threads()

    with bystanders(stack) as others, ExitStack() as held:
        for _ in range(200):
            with suppress(OSError):
                connection = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=2))
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        time.sleep(1)
        assert stack.processes()[name].num_threads() <= threads + 10
        # Those that hold their places without a request lose them after five seconds.
        deadline = time.monotonic() + 30
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.5)
    others.require_served()
