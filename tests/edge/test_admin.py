"""The listener for operators: metrics, health and draining, and nothing for a browser."""

from __future__ import annotations

import httpx
import pytest

from tests.support.edge import Edge


@pytest.mark.parametrize(
    "path", ["/ready", "/clusters?format=json", "/stats", "/stats/prometheus", "/listeners", "/server_info", "/memory"]
)
def test_what_operators_read_is_served(edge: Edge, path: str) -> None:
    assert httpx.get(edge.admin + path).status_code == 200
    assert httpx.get(edge.admin.replace("127.0.0.1", "localhost") + path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/quitquitquit", {}),
        ("POST", "/healthcheck/fail", {}),
        ("POST", "/logging?level=trace", {}),
        ("POST", "/stats/prometheus", {}),
        ("GET", "/drain_listeners", {}),
        ("GET", "/config_dump", {}),
        ("GET", "/", {}),
        ("GET", "/stats/../quitquitquit", {}),
        ("GET", "/ready", {"host": "evil.example"}),
        ("GET", "/ready", {"host": "127.0.0.1.evil.example"}),
        ("GET", "/ready", {"origin": "http://127.0.0.1"}),
        ("GET", "/ready", {"sec-fetch-site": "same-site"}),
        ("POST", "/drain_listeners?graceful&skip_exit&inboundonly", {"origin": "null"}),
        ("POST", "/drain_listeners?graceful&skip_exit&inboundonly", {"host": "evil.example"}),
    ],
)
def test_all_else_is_refused(edge: Edge, method: str, path: str, headers: dict[str, str]) -> None:
    request = httpx.Request(method, edge.admin + path, headers=headers)

    with httpx.Client() as client:
        assert client.send(request).status_code == 403
