"""The programs run with the variables that the chart gives them, on a database and ports of the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.helm.check import CHART, RELEASE, ROOT, containers, render
from edge import signing_keys
from servicekit.authority import Authority
from servicekit.database import Database
from tests.support.authority import write_identity
from tests.support.eventually import eventually
from tests.support.orderservice import WEBHOOK_KEY
from tests.support.ports import free_ports
from tests.support.postgres import url_of

Serving = health_pb2.HealthCheckResponse.SERVING
# The values with which every file and every address can be one of the test's.
VALUES, TLS = CHART.parent / "values-small.yaml", "internalTls.mode=secrets"


class Pod:
    """A program as its container starts it, but for places: files of Secrets, folders, ports and the database."""

    def __init__(self, program: str, folder: Path, databases: dict[str, str]) -> None:
        deployment = next(
            each
            for each in render(VALUES, TLS)
            if each["kind"] == "Deployment" and each["metadata"]["name"] == f"{RELEASE}-{program}"
        )
        (self.container,) = containers(deployment)
        self.grpc, self.metrics, self.probes = free_ports(3)
        given = {variable["name"]: variable.get("value", "") for variable in self.container["env"]}
        user, service = signing_keys.user_key(folder), signing_keys.service_key(folder)
        # What a Secret has in the cluster.
        write_identity(folder / "tls", Authority.new(), program)
        places = {
            "INTERNAL_TLS_FOLDER": str(folder / "tls"),
            "WORKER": f"{program}-7d4b9c-x2x4z",
            "LISTEN": f"127.0.0.1:{self.grpc}",
            "METRICS_LISTEN": f"127.0.0.1:{self.metrics}",
            "PROBE_LISTEN": f"127.0.0.1:{self.probes}",
            "USER_JWKS": str(user.jwks),
            "SERVICE_JWKS": str(service.jwks),
            "SERVICE_SIGNING_KEY": str(service.private),
            "MEDIA_DIR": str(folder / "media"),
            "UPLOAD_DIR": str(folder / "uploads"),
            "FILES_DIR": str(folder / "files"),
            "FILE_UPLOAD_DIR": str(folder / "uploads"),
            "WEBHOOK_KEYS": WEBHOOK_KEY,
            **databases,
        }
        own = given | {name: value for name, value in places.items() if name in given}
        own |= {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", "PYTHONSAFEPATH": "1"}
        python, *words = self.container["command"]
        assert python == "python"
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([sys.executable, *words], env=own, cwd="/", stdout=log, stderr=log)

    def is_ready(self) -> bool:
        """Return what the readiness probe of the container would find."""
        assert self.process.poll() is None, self.log.read_text()
        probe = self.container["readinessProbe"]["grpc"]
        with grpc.insecure_channel(f"127.0.0.1:{self.probes}") as channel:
            request = health_pb2.HealthCheckRequest(service=probe["service"])
            try:
                return bool(health_pb2_grpc.HealthStub(channel).Check(request, timeout=5).status == Serving)
            except grpc.RpcError:
                return False


@pytest.fixture
def databases(gig_database: Database, order_database: Database, review_database: Database) -> dict[str, str]:
    found = {"GIG": gig_database, "ORDER": order_database, "REVIEW": review_database}
    return {f"{name}_DATABASE_URL": url_of(database) for name, database in found.items()}


@pytest.fixture(params=["gig", "gig-images", "order-events", "review"])
def pod(request: pytest.FixtureRequest, tmp_path: Path, databases: dict[str, str]) -> Iterator[Pod]:
    for name in ("media", "files"):
        (tmp_path / name).mkdir()
    started = Pod(request.param, tmp_path, databases)
    yield started
    started.process.kill()
    started.process.wait()


def test_a_pod_becomes_ready_shows_its_metrics_and_stops_in_order(pod: Pod) -> None:
    eventually(pod.is_ready)
    metrics = httpx.get(f"http://127.0.0.1:{pod.metrics}/metrics")

    pod.process.send_signal(signal.SIGTERM)

    assert "marketplace_worker_info" in metrics.text
    assert pod.process.wait(60) == 0, pod.log.read_text()
    assert '"event":"stopped"' in pod.log.read_text().replace('": "', '":"')
