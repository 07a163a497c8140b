"""`python -m edge.drain`: let Envoy's requests end before it is stopped, where no launcher does it, as in a container.

For `--announce` seconds it goes on as before, while load balancers learn that it stops. Then it asks clients to close
their connections, and ends when no request is under way that comes to an end, or after `--seconds`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import time
from typing import Any
from urllib.parse import quote

_TIMEOUT_SECONDS = 2.0
_LOOK_SECONDS = 0.2
# The gauges of all public requests under way, and of watches and long-polls. These have no end of their own: their
# clients come back to another edge. Transfers of files have an end, and so a cluster of their own.
PUBLIC, WAITING = "http.public.downstream_rq_active", "cluster.event.upstream_rq_active"
# Asks clients to close their connections after the current response.
DRAIN_PATH = "/drain_listeners?graceful&skip_exit&inboundonly"


def drain(admin_port: int, seconds: float) -> None:
    """Have Envoy end its connections; return when its requests have ended, or after that time."""
    deadline = time.monotonic() + seconds
    _request(admin_port, "POST", DRAIN_PATH)
    while time.monotonic() < deadline and active_requests(admin_port):
        time.sleep(_LOOK_SECONDS)


def active_requests(admin_port: int) -> int:
    """Return the number of public requests under way that come to an end; 0 when Envoy does not answer."""
    body = _request(admin_port, "GET", f"/stats?format=json&filter={quote(f'^({PUBLIC}|{WAITING})$')}")
    stats: list[dict[str, Any]] = json.loads(body)["stats"] if body else []
    values = {stat["name"]: stat["value"] for stat in stats if "name" in stat}
    # Envoy may have ended a watch's request, and not yet its call to the worker.
    return max(0, int(values.get(PUBLIC, 0)) - int(values.get(WAITING, 0)))


def _request(port: int, method: str, path: str) -> bytes:
    """Return the body; an empty one when nothing answers, as when Envoy has ended already."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
        return body if response.status == http.client.OK else b""
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        connection.close()


def main() -> None:
    """Wait for load balancers, then drain."""
    parser = argparse.ArgumentParser(prog="python -m edge.drain", description="Lets Envoy's requests end.")
    parser.add_argument("--admin-port", type=int, required=True, help="ENVOY_ADMIN_PORT of the Envoy")
    parser.add_argument("--announce", type=float, default=5, help="seconds for load balancers to notice")
    parser.add_argument("--seconds", type=float, default=20, help="the most seconds for requests to end")
    options = parser.parse_args()
    time.sleep(options.announce)
    drain(options.admin_port, options.seconds)


if __name__ == "__main__":
    main()
