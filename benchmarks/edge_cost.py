"""`python -m benchmarks.edge_cost`: what a request costs in Envoy alone, and what each part of the edge costs of it.

Envoys with the shipped bootstrap stand before one stand-in of the services; each has a part switched off. `wrk` asks
them in turn, in short rounds, so that a busy machine slows all alike. The CPU is that of Envoy's process, in µs a
request. The stand-in answers at once: a gRPC server in Python would be what is measured.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml  # type: ignore[import-untyped]

from benchmarks import instant_grpc
from marketplace.gig.v1 import gig_pb2
from marketplace.order.v1 import order_pb2
from tests.support.edge import SERVICES, Edge
from tests.support.ports import free_ports

GIG = "/api/gigs/0190a000-0000-7000-8000-000000000001"
ORDER = '{"gigId": "0190a000-0000-7000-8000-000000000001", "packageId": "0190a000-0000-7000-8000-000000000002"}'
CONNECTIONS = 16

Config = dict[str, Any]


def managers(config: Config, listener: str) -> list[dict[str, Any]]:
    """Return the HTTP connection managers of a listener; chains that share one have it once."""
    found = {}
    for each in config["static_resources"]["listeners"]:
        if each["name"] == listener:
            for chain in each["filter_chains"]:
                for item in chain["filters"]:
                    if "http_filters" in item["typed_config"]:
                        found[id(item["typed_config"])] = item["typed_config"]
    return list(found.values())


def without_filters(*patterns: str) -> Callable[[Config], None]:
    """Return a change that takes out the HTTP filters whose names match, and what routes say of them."""

    def change(config: Config) -> None:
        wanted = re.compile("|".join(patterns))
        for listener in ("public", "api"):
            for manager in managers(config, listener):
                manager["http_filters"] = [
                    each for each in manager["http_filters"] if not wanted.fullmatch(each["name"])
                ]
                for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
                    of_filters = route.get("typed_per_filter_config") or {}
                    for name in [each for each in of_filters if wanted.fullmatch(each)]:
                        del of_filters[name]

    return change


def without(key: str, *listeners: str) -> Callable[[Config], None]:
    """Return a change that takes a setting out of the connection managers of the listeners."""

    def change(config: Config) -> None:
        for listener in listeners:
            for manager in managers(config, listener):
                manager.pop(key, None)

    return change


def as_it_is(config: Config) -> None:
    """Change nothing."""


PARTS: dict[str, Callable[[Config], None]] = {
    "as it is": as_it_is,
    "access log": without("access_log", "public", "api"),
    "early headers": without("early_header_mutation_extensions", "public"),
    "clients": without_filters("clients"),
    "browsers": without_filters("browsers"),
    "holds": without_filters("early_response_.*"),
    "write limits": without_filters("writes_.*"),
    "grpc-web": without_filters("without_grpc"),
    "compression": without_filters("compress_.*"),
    "name in the token": without_filters("envoy.filters.http.rbac"),
    "request headers": without_filters("request_headers.*"),
    "request body": without_filters("request_body"),
}


class AlteredEdge(Edge):
    """An edge whose bootstrap is changed before Envoy reads it."""

    def __init__(self, alter: Callable[[Config], None], threads: int, **changes: Any) -> None:
        super().__init__(**changes)
        self.alter, self.threads = alter, threads

    def bootstrap(self) -> str:
        """Return the altered bootstrap."""
        config = yaml.load(super().bootstrap(), Loader=yaml.CSafeLoader)
        # The stand-in has no health.
        for cluster in config["static_resources"]["clusters"]:
            cluster.pop("health_checks", None)
        self.alter(config)
        return str(yaml.dump(config, Dumper=yaml.CSafeDumper))


@dataclass(frozen=True)
class Kind:
    """A kind of request, and the status of its answer."""

    path: str
    status: int = 200
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    with_token: bool = False

    def script(self, edge: Edge, file: Path) -> Path:
        """Ask once, and write wrk's description of the request. Raises RuntimeError when the answer is another one."""
        headers = self.headers | (edge.bearer() if self.with_token else {})
        response = httpx.request(self.method, f"{edge.url}{self.path}", headers=headers, content=self.body or None)
        if response.status_code // 100 != self.status // 100:
            raise RuntimeError(f"{self}: {response.status_code} {response.text}")
        lines = [f'wrk.method = "{self.method}"']
        lines += [f"wrk.headers[{json.dumps(key)}] = {json.dumps(value)}" for key, value in headers.items()]
        lines += [f"wrk.body = {json.dumps(self.body)}"] if self.body else []
        file.write_text("\n".join(lines))
        return file


KINDS = {
    "read": Kind(GIG),
    "read, token": Kind(GIG, with_token=True),
    "read, gzip": Kind(GIG, headers={"Accept-Encoding": "gzip"}),
    "304": Kind(GIG, 304, headers={"If-None-Match": '"one"'}),
    "write": Kind(
        "/api/orders", 201, "POST", {"Content-Type": "application/json", "Idempotency-Key": "one"}, ORDER, True
    ),
    "error": Kind("/api/orders", 401),
}


def cost(edge: Edge, path: str, script: Path, seconds: float) -> tuple[float, float]:
    """Return the µs of CPU that Envoy takes for a request, and the requests a second."""
    process = psutil.Process(edge.pid)
    before = process.cpu_times()
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "-s", str(script), f"{edge.url}{path}"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = process.cpu_times()
    found = re.search(r"(\d+) requests in", output)
    assert found, output
    count = int(found[1])
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert rate
    return (after.user - before.user + after.system - before.system) / count * 1e6, float(rate[1])


def a_gig() -> gig_pb2.Gig:
    """Return a gig that is as large as most."""
    packages = [
        gig_pb2.Package(
            id=f"0190a000-0000-7000-8000-00000000010{tier}",
            title="A package of the gig",
            description="x" * 150,
            price=50,
        )
        for tier in range(3)
    ]
    return gig_pb2.Gig(
        id=GIG.rpartition("/")[2],
        title="I will write the page of your shop",
        description="A plain text. " * 40,
        packages=packages,
    )


def stand_ins(cleanup: ExitStack) -> dict[str, str]:
    """Start the stand-ins of all services. Return their addresses, as settings."""
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    order = order_pb2.PlaceOrderResponse(order_id=GIG.rpartition("/")[2]).SerializeToString()
    gig = gig_pb2.GetGigResponse(gig=a_gig()).SerializeToString()
    process = instant_grpc.start(
        {port: gig if service == "gig" else order for service, port in ports.items()}, [("etag", '"one"')]
    )
    cleanup.callback(process.terminate)
    return {f"{service}_service_addresses": f"127.0.0.1:{port}" for service, port in ports.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=1, help="of each measurement")
    parser.add_argument("--threads", type=int, default=1, help="of Envoy")
    parser.add_argument("--kinds", default="", help="regular expression: only these kinds of requests")
    parser.add_argument("--parts", default="", help="regular expression: only these parts")
    parser.add_argument("--cache", action="store_true", help="with the cache: anonymous reads are hits")
    options = parser.parse_args()
    wanted = {name: change for name, change in PARTS.items() if re.search(options.parts, name)}
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="mkt-edge-cost-")))
        addresses = stand_ins(cleanup)
        edges: dict[str, Edge] = {}
        cache = {"edge_cache": "on", "edge_cache_seconds": 60} if options.cache else {}
        for name, change in wanted.items():
            edges[name] = AlteredEdge(change, options.threads, **addresses, **cache)
            cleanup.callback(edges[name].stop)
            edges[name].start()
        kinds = {name: kind for name, kind in KINDS.items() if re.search(options.kinds, name)}
        scripts = {
            (name, kind): each.script(edge, folder / f"{len(name)}{name[:3]}{kind}.lua".replace(" ", ""))
            for name, edge in edges.items()
            for kind, each in kinds.items()
        }
        measured: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in scripts}
        for _ in range(options.rounds):
            for kind, each in kinds.items():
                for name, edge in edges.items():
                    measured[name, kind].append(cost(edge, each.path, scripts[name, kind], options.seconds))
        print("without".ljust(18), *(each.rjust(18) for each in kinds))
        for name in edges:
            medians = [
                [statistics.median(values) for values in zip(*measured[name, kind], strict=True)] for kind in kinds
            ]
            print(name.ljust(18), *(f"{micros:7.0f} ({rate:6.0f}/s)" for micros, rate in medians))


if __name__ == "__main__":
    main()
