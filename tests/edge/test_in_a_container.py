"""The edge in a container: watched from other hosts, drained by a command, with files that Kubernetes mounts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from uuid import uuid4

import grpc
import httpx
import pytest
from google.api import httpbody_pb2

from deploy.local import envoy_admin
from edge.bootstrap import cluster_of
from edge.drain import PUBLIC, WAITING, active_requests
from marketplace.file.v1 import file_pb2
from marketplace.gig.v1 import gig_pb2
from tests.support.edge import ROOT, Edge, an_edge
from tests.support.eventually import eventually
from tests.support.ports import free_ports


def mount_as_kubernetes_does(file: Path) -> None:
    """Replace a file by a link to one that is reached by `..data`, a link that Kubernetes replaces at a change."""
    folder = file.parent / "..2026_11_29"
    folder.mkdir()
    file.rename(folder / file.name)
    (file.parent / "..data").symlink_to(folder.name)
    file.symlink_to(Path("..data") / file.name)


@pytest.fixture(scope="module")
def contained() -> Iterator[Edge]:
    (port,) = free_ports(1)
    edge = Edge(envoy_metrics_port=port)
    mount_as_kubernetes_does(Path(edge.settings.user_jwks))
    try:
        yield edge.start()
    finally:
        edge.stop()


def watched(edge: Edge) -> str:
    return f"http://127.0.0.1:{edge.settings.envoy_metrics_port}"


@pytest.mark.parametrize("path", ["/ready", "/stats/prometheus"])
def test_other_hosts_read_readiness_and_metrics_by_any_name(contained: Edge, path: str) -> None:
    answer = httpx.get(watched(contained) + path, headers={"Host": "10.1.2.3:10047"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/drain_listeners?graceful", {}),
        ("GET", "/drain_listeners", {}),
        ("GET", "/clusters", {}),
        ("GET", "/stats", {}),
        ("POST", "/stats/prometheus", {}),
        ("GET", "/stats/prometheus", {"origin": "http://127.0.0.1"}),
        ("GET", "/ready", {"sec-fetch-site": "same-site"}),
    ],
)
def test_other_hosts_get_nothing_else(contained: Edge, method: str, path: str, headers: dict[str, str]) -> None:
    with httpx.Client() as client:
        answer = client.send(httpx.Request(method, watched(contained) + path, headers=headers))

    assert answer.status_code == 403


def test_tokens_are_checked_by_a_mounted_key(contained: Edge) -> None:
    with contained.client() as client:
        statuses = [
            client.get("/api/orders", headers=headers).status_code
            for headers in (contained.bearer("seller"), {"Authorization": "Bearer e30.e30.x"})
        ]

    assert statuses == [200, 401]


def test_a_drain_ends_when_the_requests_have_ended() -> None:
    with an_edge() as edge, ThreadPoolExecutor(1) as pool, edge.client() as client:
        begun, may_end = Event(), Event()

        def answer(request: object, context: grpc.ServicerContext) -> gig_pb2.CreateGigResponse:
            begun.set()
            may_end.wait(30)
            return gig_pb2.CreateGigResponse()

        edge.gig.responses["CreateGig"] = answer
        response = pool.submit(client.post, "/api/gigs", json={}, headers=edge.bearer())
        assert begun.wait(30)
        admin_port = str(edge.settings.envoy_admin_port)
        command = [sys.executable, "-m", "edge.drain", "--admin-port", admin_port, "--announce", "0", "--seconds", "60"]
        with subprocess.Popen(command, cwd=ROOT) as drain:
            # Envoy closes a connection after an answer while it drains.
            eventually(lambda: httpx.get(f"{edge.url}/api/x").headers.get("connection") == "close")
            with pytest.raises(subprocess.TimeoutExpired):
                drain.wait(1)
            may_end.set()

            assert response.result().status_code == 201
            assert drain.wait(30) == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_draining_waits_for_downloads_and_uploads_of_files(method: str) -> None:
    with an_edge() as edge, ThreadPoolExecutor(1) as pool, edge.client() as client:
        begun, may_end = Event(), Event()

        def download(request: object, context: grpc.ServicerContext) -> Iterator[httpbody_pb2.HttpBody]:
            begun.set()
            may_end.wait(30)
            yield httpbody_pb2.HttpBody(content_type="application/pdf", data=b"whole")

        def upload(request: object, context: grpc.ServicerContext) -> file_pb2.UploadFileResponse:
            begun.set()
            may_end.wait(30)
            return file_pb2.UploadFileResponse()

        [files] = edge.upstreams[cluster_of("marketplace.file.v1.FileService")]
        files.streams["GetFile"], files.responses["UploadFile"] = download, upload
        path, body = {"GET": (f"/api/files/{uuid4()}", None), "POST": ("/api/files", b"whole")}[method]
        response = pool.submit(client.request, method, path, content=body, headers=edge.bearer())
        assert begun.wait(30)
        admin = edge.settings.envoy_admin_port
        try:
            eventually(lambda: envoy_admin.active_requests(admin) == 1)
            assert active_requests(admin) == 1
        finally:
            may_end.set()

        assert response.result().status_code == {"GET": 200, "POST": 201}[method]
        eventually(lambda: (envoy_admin.active_requests(admin), active_requests(admin)) == (0, 0))


def test_more_watches_than_requests_are_no_requests_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Envoy may have ended a watch's request, and not yet its call to the worker."""
    stats = {"stats": [{"name": PUBLIC, "value": 1}, {"name": WAITING, "value": 2}]}
    monkeypatch.setattr("edge.drain._request", lambda *_: json.dumps(stats).encode())

    assert active_requests(1) == 0


def test_a_drain_of_an_edge_that_has_ended_is_over() -> None:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "edge.drain", "--admin-port", str(port), "--announce", "0"]

    assert subprocess.run(command, cwd=ROOT, check=False, timeout=60).returncode == 0
