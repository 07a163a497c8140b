"""Calls to the running edge: its public port, and Envoy's admin page for health, statistics and draining."""

import http.client
import json
import ssl
from typing import Any
from urllib.parse import quote, urlsplit

from edge.drain import DRAIN_PATH, PUBLIC, WAITING

_TIMEOUT_SECONDS = 1.0


def edge_answers(edge_url: str) -> bool:
    """Return whether a public read gets through the edge to a service and its database."""
    url = urlsplit(edge_url)
    # The certificate is for the name that clients use, not for this address of our own.
    context = ssl._create_unverified_context() if url.scheme == "https" else None  # noqa: S323  # as above
    status, _ = _request("GET", url.netloc, "/api/categories", context)
    return status == 200


def healthy_upstreams(admin_port: int) -> set[int] | None:
    """Return the ports of the upstreams that Envoy considers healthy; `None` while its admin page does not answer.

    A worker that is in several clusters is healthy when it is in all of them: each has its own checks.
    """
    status, body = _request("GET", _admin(admin_port), "/clusters?format=json")
    if status != 200:
        return None
    clusters: list[dict[str, Any]] = json.loads(body).get("cluster_statuses", [])
    hosts = [host for cluster in clusters for host in cluster.get("host_statuses", [])]
    # The internal listener is an upstream as well, but has no socket.
    sockets = [(host["address"].get("socket_address"), host["health_status"]) for host in hosts]
    checked = [(address["port_value"], _healthy(health)) for address, health in sockets if address]
    return {port for port, _ in checked} - {port for port, is_healthy in checked if not is_healthy}


def _healthy(health: dict[str, Any]) -> bool:
    return health.get("eds_health_status") == "HEALTHY" and len(health) == 1


def epoch(admin_port: int) -> int | None:
    """Return the number of the Envoy that serves, counted from 0 with each takeover; `None` while none does."""
    status, body = _request("GET", _admin(admin_port), "/server_info")
    info: dict[str, Any] = json.loads(body) if status == 200 else {}
    return info["command_line_options"].get("restart_epoch", 0) if info.get("state") == "LIVE" else None


def drain(admin_port: int) -> None:
    """Have Envoy close each connection after its current response. Do nothing when Envoy is not running."""
    _request("POST", _admin(admin_port), DRAIN_PATH)


def active_requests(admin_port: int) -> int:
    """Return the number of public requests in progress that come to an end; 0 when Envoy is not running.

    Watches and long-polls do not count: their clients come back by themselves.
    """
    active = counters(admin_port, f"^({WAITING}|{PUBLIC})$")
    return max(0, active.get(PUBLIC, 0) - active.get(WAITING, 0))


def waiting_requests(admin_port: int) -> int:
    """Return the number of watches and long-polls under way; 0 when Envoy is not running."""
    return counters(admin_port, f"^{WAITING}$").get(WAITING, 0)


def counters(admin_port: int, name_pattern: str) -> dict[str, int]:
    """Return the values of Envoy's counters and gauges by name; without those that have never counted."""
    status, body = _request("GET", _admin(admin_port), f"/stats?format=json&usedonly&filter={quote(name_pattern)}")
    stats: list[dict[str, Any]] = json.loads(body)["stats"] if status == 200 else []
    return {stat["name"]: stat["value"] for stat in stats if "name" in stat}


def _admin(port: int) -> str:
    return f"127.0.0.1:{port}"


def _request(method: str, address: str, path: str, tls: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    """Return status and body; status 0 when nothing answers."""
    if tls:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address, timeout=_TIMEOUT_SECONDS, context=tls
        )
    else:
        connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
