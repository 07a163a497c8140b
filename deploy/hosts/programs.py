"""The programs of a host: their commands and their environments."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from deploy.hosts.inventory import Host, Inventory
from deploy.local.environment import EDGE, EVENTS, SERVICE_GRACE_SECONDS, SETTINGS
from deploy.local.postgres import programs as postgres_programs
from deploy.local.supervise import COMPONENT_LOG_LEVELS, DRAIN_OPTIONS, envoy_program
from edge import signing_keys
from servicekit.failover import NEW_PRIMARY_SECONDS

RPC_PORTS = {"gig": 50051, "order": 50052, "review": 50053, "gig-images": 50061, "order-events": 50062}
METRICS_OFFSET = 1000
ENVOY_ADMIN_PORT = 9901
MODULES = {
    "gig": "gig_service",
    "order": "order_service",
    "review": "review_service",
    "gig-images": "gig_service.images",
    "order-events": "order_service.events",
}
# A worker that stops takes calls for up to 8 s, until every Envoy has noticed, and then finishes them for up to
# SERVICE_GRACE_SECONDS (15).
STOP_SECONDS = 25
# How long Envoy's requests have to end: most take 30 s at most. Transfers of files that take longer are cut off.
DRAIN_SECONDS = 40


@dataclass(frozen=True)
class Program:
    """A program of a host. `before` is run first, and has to succeed. `user` is empty for root.

    `stop` is run before the program gets SIGTERM. Each of the two may take `stop_seconds`.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    stop_seconds: int = STOP_SECONDS
    after: str = "network-online.target"
    user: str = ""


def programs(inventory: Inventory, host: Host, python: str = sys.executable) -> list[Program]:
    """Return the programs of a host, in the order in which they start."""
    patroni = [python, "-m", "patroni", str(inventory.etc / "patroni.yml")]
    envoy = [str(envoy_program()), "-c", str(inventory.state / "envoy.json"), "--disable-hot-restart"]
    envoy += ["--log-level", "warn", "--component-log-level", COMPONENT_LOG_LEVELS, *DRAIN_OPTIONS]
    render = [python, "-m", "edge.bootstrap", "--output", str(inventory.state / "envoy.yaml")]
    render += ["--files", str(inventory.state / "edge")]
    # Load balancers notice only when Envoy has ended, so nothing is gained by waiting for them.
    drain = [python, "-m", "edge.drain", "--admin-port", str(ENVOY_ADMIN_PORT)]
    drain += ["--announce", "0", "--seconds", str(DRAIN_SECONDS)]
    paths = {"PYTHONPATH": f"{inventory.code}:{inventory.code / 'generated'}", "PYTHONUNBUFFERED": "1"}
    services = [
        Program(
            name, [python, "-m", module], paths | _service(inventory, host, name), after="marketplace-patroni.service"
        )
        for name, module in MODULES.items()
    ]
    return [
        Program("etcd", ["/usr/bin/etcd"], _etcd(inventory, host), user="marketplace-db"),
        Program("patroni", patroni, paths, after="marketplace-etcd.service", user="marketplace-db"),
        *services,
        Program("envoy", envoy, paths | _edge(inventory, host), render, stop=drain, stop_seconds=DRAIN_SECONDS + 5),
    ]


def postgres_folder() -> str:
    """Return the folder of PostgreSQL's programs."""
    return str(postgres_programs())


def _etcd(inventory: Inventory, host: Host) -> dict[str, str]:
    url = f"http://{host.address}"
    return {
        "ETCD_NAME": host.name,
        "ETCD_DATA_DIR": str(inventory.state / "etcd"),
        "ETCD_LISTEN_PEER_URLS": f"{url}:2380",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": f"{url}:2380",
        "ETCD_LISTEN_CLIENT_URLS": f"{url}:2379",
        "ETCD_ADVERTISE_CLIENT_URLS": f"{url}:2379",
        "ETCD_INITIAL_CLUSTER": ",".join(f"{each.name}=http://{each.address}:2380" for each in inventory.hosts),
        "ETCD_INITIAL_CLUSTER_TOKEN": "marketplace",
        # Without it, a host that comes back from a cut ends the leader's term: etcd stops, and the primary with it.
        "ETCD_PRE_VOTE": "true",
        "ETCD_LOGGER": "zap",
        "ETCD_LOG_LEVEL": "warn",
    }


def _shared(inventory: Inventory) -> dict[str, str]:
    return {
        "INTERNAL_TLS": "on",
        "INTERNAL_TLS_FOLDER": str(inventory.certificates),
        "USER_JWKS": str(inventory.keys / "user.jwks.json"),
        "USER_JWT_ISSUER": signing_keys.USER_ISSUER,
        "USER_JWT_AUDIENCE": signing_keys.USER_AUDIENCE,
        "GIG_SERVICE_ADDRESSES": inventory.everywhere(RPC_PORTS["gig"]),
        "ORDER_SERVICE_ADDRESSES": inventory.everywhere(RPC_PORTS["order"]),
        "REVIEW_SERVICE_ADDRESSES": inventory.everywhere(RPC_PORTS["review"]),
        "IMAGE_SERVICE_ADDRESSES": inventory.everywhere(RPC_PORTS["gig-images"]),
        "EVENT_SERVICE_ADDRESSES": inventory.everywhere(RPC_PORTS["order-events"]),
        # Where the edge serves the folder. With S3 the inventory names where clients find the bucket.
        "MEDIA_URL": f"{inventory.public_url}/media",
        **inventory.media,
        **inventory.more,
    }


def _of_program(name: str, values: dict[str, str]) -> dict[str, str]:
    """Return the variables that a program reads: no other service's secrets."""
    needed = {field.upper() for field in SETTINGS[name].model_fields}
    uses_s3 = (name.startswith("gig") or name == EVENTS) and values.get("MEDIA_STORAGE") == "s3"
    return {
        variable: value
        for variable, value in values.items()
        if variable in needed or (uses_s3 and variable.startswith("AWS_"))
    }


def _service(inventory: Inventory, host: Host, name: str) -> dict[str, str]:
    service = name.split("-")[0]
    own = {f"{service.upper()}_DATABASE_URL": inventory.database_url(service)}
    if name == "order":
        own |= {"PAYMENTS": inventory.payments, "WEBHOOK_KEYS": inventory.webhook_keys}
        if inventory.payments == "sandbox":
            own["SANDBOX_DATABASE_URL"] = inventory.database_url("sandbox")
    port = RPC_PORTS[name]
    values = (
        _shared(inventory)
        | own
        | {
            "WORKER": f"{name}-{host.name}",
            "LISTEN": f"{host.address}:{port}",
            "METRICS_LISTEN": f"{host.address}:{port + METRICS_OFFSET}",
            "DATABASE_OWN_HOST": str(host.address),
            "SERVICE_JWKS": str(inventory.keys / "service.jwks.json"),
            "SERVICE_SIGNING_KEY": str(inventory.keys / "service.pem"),
            "SHUTDOWN_GRACE_SECONDS": str(SERVICE_GRACE_SECONDS),
            "LOG_FORMAT": "json",
        }
    )
    return _of_program(name, values)


def _edge(inventory: Inventory, host: Host) -> dict[str, str]:
    values = _shared(inventory) | {
        "EDGE_HOST": str(host.address),
        "PORT": str(inventory.port),
        "ENVOY_ADMIN_PORT": str(ENVOY_ADMIN_PORT),
        "EDGE_FAILOVER_SECONDS": str(NEW_PRIMARY_SECONDS),
    }
    return _of_program(EDGE, values)
