"""Envoy's side of TLS with the services: which workers it believes, and its own certificate when that is renewed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography import x509

from edge.bootstrap import BootstrapError, render
from marketplace.gig.v1 import gig_pb2
from servicekit.authority import Authority
from servicekit.internal_tls import InternalTls
from tests.support.authority import serial_in, write_identity
from tests.support.edge import Edge, free_ports, settings_for_tests
from tests.support.eventually import eventually
from tests.support.upstream import Upstream

AUTHORITY = Authority.new()
IDENTITIES = {"event": "order-events", "file": "order-events", "gig": "gig", "image": "gig-images", "order": "order"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all identities."""
    made = tmp_path_factory.mktemp("internal-tls")
    for identity in ("edge", "review", *IDENTITIES.values()):
        write_identity(made, AUTHORITY, identity)
    write_identity(made / "strange", Authority.new(), "review")
    return made


@pytest.fixture(scope="module")
def impostors(folder: Path) -> Iterator[dict[str, Upstream]]:
    """Yield workers that say they are ReviewService's: one is OrderService's, one has another authority, one no TLS."""
    credentials = {
        "another service": InternalTls(folder / "order", "order"),
        "another authority": InternalTls(folder / "strange" / "review", "review"),
        "plain text": None,
    }
    made = {
        name: Upstream(port, tls=tls)
        for port, (name, tls) in zip(free_ports(len(credentials)), credentials.items(), strict=True)
    }
    for each in made.values():
        each.start()
    yield made
    for each in made.values():
        each.stop()


@pytest.fixture(scope="module")
def secure(folder: Path, impostors: dict[str, Upstream]) -> Iterator[Edge]:
    """Yield an edge whose workers speak TLS; behind ReviewService are impostors alone."""
    addresses = ",".join(f"127.0.0.1:{each.port}" for each in impostors.values())
    edge = Edge(internal_tls="on", internal_tls_folder=folder, review_service_addresses=addresses)
    for service, upstreams in edge.upstreams.items():
        upstreams[0].tls = InternalTls(folder / IDENTITIES[service], IDENTITIES[service])
    try:
        yield edge.start()
    finally:
        edge.stop()


def test_the_edge_calls_workers_that_have_the_identity_of_their_service(secure: Edge) -> None:
    assert httpx.get(f"{secure.url}/api/categories").status_code == 200
    assert httpx.get(f"{secure.url}/api/orders", headers=secure.bearer()).status_code == 200


def test_no_call_reaches_a_worker_that_is_not_what_it_says(secure: Edge, impostors: dict[str, Upstream]) -> None:
    response = httpx.get(f"{secure.url}/api/gigs/{uuid4()}/reviews")

    assert (response.status_code, response.json()["code"]) == (503, "UNAVAILABLE")
    assert {name: each.received for name, each in impostors.items()} == {name: [] for name in impostors}


def test_the_edge_shows_its_new_certificate_without_a_restart(secure: Edge, folder: Path) -> None:
    shown: list[tuple[str, int]] = []

    def note(request: Any, context: Any) -> gig_pb2.ListCategoriesResponse:
        (pem,) = context.auth_context()["x509_pem_cert"]
        shown.append((context.peer(), x509.load_pem_x509_certificate(pem).serial_number))
        return gig_pb2.ListCategoriesResponse()

    secure.gig.responses["ListCategories"] = note
    old = serial_in(folder / "edge")
    # Each thread of Envoy has connections of its own to a worker; one connection of a client stays with one thread.
    with secure.client() as api:
        api.get("/api/categories")

        write_identity(folder, AUTHORITY, "edge")

        api.get("/api/categories")
    (first, again) = shown
    assert first == again, "a connection goes on with what it began with"
    assert first[1] == old

    def shows_the_new_one() -> bool:
        secure.gig.stop()
        secure.gig.start()
        eventually(lambda: httpx.get(f"{secure.url}/api/categories").status_code == 200)
        return shown[-1][1] == serial_in(folder / "edge") != old

    eventually(shows_the_new_one)


def test_without_a_folder_for_envoys_files_there_is_no_bootstrap(tmp_path: Path) -> None:
    settings = settings_for_tests(tmp_path, internal_tls="on", internal_tls_folder=tmp_path)

    with pytest.raises(BootstrapError, match=r"^INTERNAL_TLS: "):
        render(settings)
