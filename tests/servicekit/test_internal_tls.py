"""mTLS between the parts, over real connections: who is refused, and certificates that change."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import psutil
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from marketplace.gig.v1 import gig_pb2, gig_pb2_grpc
from servicekit import internal_tls
from servicekit.aio import AioPipeline
from servicekit.authority import Authority
from servicekit.clients import Stub
from servicekit.health import Health
from servicekit.internal_tls import AUTHORITIES, CERTIFICATE, PRIVATE_KEY, InternalTls, InternalTlsError, peer_of
from servicekit.pipeline import Pipeline
from servicekit.server import server_options
from servicekit.span_export import Outbound
from servicekit.spans import OFF, install
from servicekit.tracing import Tracing
from tests.support.aio import AioServer
from tests.support.authority import DAY, ago, serial_in, write_identity
from tests.support.events import event_settings
from tests.support.eventually import eventually
from tests.support.identity import service_token, token, verifier
from tests.support.workers import Worker, client_context

SERVICE = gig_pb2.DESCRIPTOR.services_by_name["GigService"]
REGISTER = gig_pb2_grpc.add_GigServiceServicer_to_server
RATING = gig_pb2.ApplyRatingRequest(gig_id=str(UUID(int=1)), version=1)
RATINGS = gig_pb2.ListRatingsRequest(after_gig_id=str(UUID(int=1)), until_gig_id=str(UUID(int=2)))
AUTHORITY = Authority.new()


class Gigs:
    """Handlers of GigService: each returns an empty response, that of ListRatings after both sides are at `gate`."""

    gate = threading.Barrier(2, timeout=10)

    def __init__(self, *, is_aio: bool) -> None:
        self._is_aio = is_aio

    def __getattr__(self, name: str) -> Any:
        response = getattr(gig_pb2, f"{name}Response", None)
        if response is None:
            raise AttributeError(name)

        def respond(request: Any, call: Any) -> Any:
            if name == "ListRatings":
                self.gate.wait()  # under way
                self.gate.wait()  # may end
            return response()

        async def respond_aio(request: Any, call: Any) -> Any:
            return await asyncio.to_thread(respond, request, call)

        return respond_aio if self._is_aio else respond


@contextmanager
def _serving(tls: InternalTls) -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(4))
    REGISTER(Pipeline(verifier(), peers=peer_of).around(Gigs(is_aio=False), SERVICE), server)
    health = Health()
    health.add_to(server)
    health.serve()
    port = server.add_secure_port("127.0.0.1:0", internal_tls.server_credentials(tls))
    server.start()
    try:
        yield port
    finally:
        health.end()
        server.stop(None).wait()


@contextmanager
def _serving_aio(tls: InternalTls) -> Iterator[int]:
    pipeline = AioPipeline(verifier(), peers=peer_of)
    with AioServer(Gigs(is_aio=True), SERVICE, REGISTER, pipeline, tls=tls) as server:
        yield server.port


@pytest.fixture(params=[_serving, _serving_aio], ids=["grpc", "aio"])
def gig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Worker]:
    """Yield a server with the identity `gig`. Its own files are in `tmp_path / "gig"`."""
    tls = InternalTls(write_identity(tmp_path, AUTHORITY, "gig"), "gig")
    with request.param(tls) as port:
        yield Worker(f"127.0.0.1:{port}", "gig")


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internal_tls, "LOOK_SECONDS", 0)


def a_client(gig: Worker, folder: Path) -> Worker:
    """Return the server as a client with these files sees it."""
    return Worker(gig.address, gig.server, folder)


def call(worker: Worker, rpc: str, request: Any, access: str = "") -> str:
    """Call an RPC of GigService. Return the name of its status."""
    metadata = [("authorization", f"Bearer {access}")] if access else []
    with worker.channel() as channel:
        try:
            getattr(gig_pb2_grpc.GigServiceStub(channel), rpc)(request, metadata=metadata, timeout=10)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def test_a_service_calls_with_its_certificate_and_its_token(gig: Worker, tmp_path: Path) -> None:
    review = a_client(gig, write_identity(tmp_path, AUTHORITY, "review"))

    assert call(review, "ApplyRating", RATING, service_token("review")) == "OK"


@pytest.mark.parametrize(
    ("identity", "access"),
    [
        ("order", lambda: service_token("order")),
        ("order", lambda: service_token("review")),
        ("review", lambda: service_token("order")),
        ("review", lambda: token("ann", "admin")),
        ("review", lambda: ""),
        ("edge", lambda: service_token("review")),
        ("developer", lambda: service_token("review")),
        ("gig", lambda: service_token("review")),
    ],
)
def test_neither_the_certificate_nor_the_token_alone_is_enough(
    gig: Worker, tmp_path: Path, identity: str, access: Callable[[], str]
) -> None:
    caller = a_client(gig, write_identity(tmp_path / "clients", AUTHORITY, identity))

    refused = call(caller, "ApplyRating", RATING, access())

    assert refused == ("UNAUTHENTICATED" if identity == "review" and not access() else "PERMISSION_DENIED")


@pytest.mark.parametrize(
    ("identity", "expected"),
    [("edge", "OK"), ("developer", "OK"), ("order", "PERMISSION_DENIED"), ("gig-images", "PERMISSION_DENIED")],
)
def test_calls_of_users_come_from_the_edge_alone(gig: Worker, tmp_path: Path, identity: str, expected: str) -> None:
    caller = a_client(gig, write_identity(tmp_path, AUTHORITY, identity))

    assert call(caller, "ListCategories", gig_pb2.ListCategoriesRequest()) == expected


def is_refused(context: ssl.SSLContext, gig: Worker) -> bool:
    """Return whether the server ends a handshake, or the connection after it, without a word of HTTP/2."""
    with socket.create_connection(gig.host_and_port, timeout=10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="gig.marketplace.internal") as encrypted:
                encrypted.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
                return not encrypted.recv(100)
        except OSError:
            return True


def test_only_clients_with_a_valid_certificate_of_the_authority_are_let_in(gig: Worker, tmp_path: Path) -> None:
    pem = AUTHORITY.pem
    nobody = ssl.create_default_context(cadata=pem.decode())
    nobody.set_alpn_protocols(["h2"])
    stranger = write_identity(tmp_path / "other", Authority.new(), "edge", trusted=pem)
    expired = write_identity(tmp_path / "expired", AUTHORITY, "edge", begins=ago(2 * DAY))
    early = write_identity(tmp_path / "early", AUTHORITY, "edge", begins=ago(-DAY))

    assert not is_refused(client_context(write_identity(tmp_path, AUTHORITY, "edge")), gig)
    assert is_refused(nobody, gig)
    assert [is_refused(client_context(folder), gig) for folder in (stranger, expired, early)] == [True] * 3


def test_plain_text_gets_no_answer(gig: Worker) -> None:
    assert call(gig, "ListCategories", gig_pb2.ListCategoriesRequest()) == "UNAVAILABLE"


def test_a_certificate_of_another_marketplace_has_no_identity(
    gig: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("servicekit.authority.spiffe_id", lambda identity: f"spiffe://other/{identity}")
        folder = write_identity(tmp_path, AUTHORITY, "edge")

    refused = call(a_client(gig, folder), "ListCategories", gig_pb2.ListCategoriesRequest())

    assert refused == "PERMISSION_DENIED"
    assert internal_tls.identity_of(x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())) == ""


def test_a_client_refuses_a_server_with_another_identity(gig: Worker, tmp_path: Path) -> None:
    folder = write_identity(tmp_path, AUTHORITY, "edge")

    assert call(Worker(gig.address, "order", folder), "ListCategories", gig_pb2.ListCategoriesRequest()) == (
        "UNAVAILABLE"
    )


def serial_of(gig: Worker, folder: Path) -> int:
    """Return the serial number of the certificate that the server shows in a handshake."""
    with (
        socket.create_connection(gig.host_and_port, timeout=10) as plain,
        client_context(folder).wrap_socket(plain, server_hostname="gig.marketplace.internal") as encrypted,
    ):
        return x509.load_der_x509_certificate(encrypted.getpeercert(binary_form=True) or b"").serial_number


def test_a_servers_new_certificate_is_used_at_once_and_calls_under_way_go_on(gig: Worker, tmp_path: Path) -> None:
    edge = write_identity(tmp_path, AUTHORITY, "edge")
    with a_client(gig, edge).channel() as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        next(watch)
        before = serial_of(gig, edge)

        write_identity(tmp_path, AUTHORITY, "gig")

        assert before != serial_of(gig, edge) == serial_in(tmp_path / "gig")
        assert watch.is_active()
        stub = gig_pb2_grpc.GigServiceStub(channel)
        stub.ListCategories(gig_pb2.ListCategoriesRequest(), timeout=10)


def test_a_new_authority_is_trusted_without_a_restart_and_an_old_one_no_longer(gig: Worker, tmp_path: Path) -> None:
    new = Authority.new()
    edge = a_client(gig, write_identity(tmp_path, AUTHORITY, "edge"))
    later = a_client(gig, write_identity(tmp_path / "later", new, "edge"))
    listed = gig_pb2.ListCategoriesRequest()
    assert (call(edge, "ListCategories", listed), call(later, "ListCategories", listed)) == ("OK", "UNAVAILABLE")

    write_identity(tmp_path, new, "gig")

    assert call(later, "ListCategories", listed) == "OK"
    assert is_refused(client_context(tmp_path / "edge"), gig)


def connections_to(gig: Worker) -> int:
    """Count the connections of clients in this process to a server."""
    connections = psutil.Process().net_connections("tcp")
    # gRPC's addresses are those of IPv6.
    ports = [each.raddr.port for each in connections if each.raddr and each.status == psutil.CONN_ESTABLISHED]
    return ports.count(gig.host_and_port[1])


@pytest.fixture(params=["without traces", "with traces"])
def _traces(request: pytest.FixtureRequest) -> Iterator[None]:
    """Put both kinds of channels to use: OpenTelemetry wraps one."""
    if request.param == "without traces":
        yield
        return
    tracing = Tracing(Outbound(InMemorySpanExporter()), 1, "review", "review-0")
    install(tracing)
    yield
    install(OFF)
    tracing.stop()
    Psycopg2Instrumentor().uninstrument()


@pytest.mark.usefixtures("_traces")
def test_the_clients_new_certificate_is_used_and_no_call_fails(gig: Worker, tmp_path: Path) -> None:
    tls = InternalTls(write_identity(tmp_path, AUTHORITY, "review"), "review")
    stub = Stub(gig_pb2_grpc.GigServiceStub, gig.address, "gig", tls)
    metadata = (("authorization", f"Bearer {service_token('review')}"),)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(stub().ListRatings, RATINGS, metadata=metadata, timeout=10)
        Gigs.gate.wait()

        for _ in range(3):
            write_identity(tmp_path, AUTHORITY, "review")
            stub().ApplyRating(RATING, metadata=metadata, timeout=10)

        # The call's own, and that of the newest certificate.
        eventually(lambda: connections_to(gig) == 2, 10)
        assert not under_way.done()
        Gigs.gate.wait()
        under_way.result(10)
    del under_way
    eventually(lambda: connections_to(gig) == 1, 10)


def test_files_that_cannot_be_used_leave_the_earlier_ones_in_use(gig: Worker, tmp_path: Path) -> None:
    edge = write_identity(tmp_path, AUTHORITY, "edge")
    (tmp_path / "gig" / CERTIFICATE).write_bytes(b"half a certif")

    assert call(a_client(gig, edge), "ListCategories", gig_pb2.ListCategoriesRequest()) == "OK"

    write_identity(tmp_path, AUTHORITY, "gig")
    assert serial_of(gig, edge) == serial_in(tmp_path / "gig")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (CERTIFICATE, None, "cannot be read: No such file"),
        (CERTIFICATE, b"", "has no certificate in PEM"),
        (AUTHORITIES, b"nonsense", "has no certificate in PEM"),
        (PRIVATE_KEY, b"nonsense", "has no private key in PEM without a password"),
        (PRIVATE_KEY, AUTHORITY.key_pem, "is not the key of"),
        (CERTIFICATE, AUTHORITY.pem, "is of nobody, not of spiffe://marketplace/gig"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    folder = write_identity(tmp_path, AUTHORITY, "gig")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)

    with pytest.raises(InternalTlsError, match=f"^{folder / name} {reason}"):
        InternalTls(folder, "gig")


def test_the_certificate_of_another_part_is_refused_at_the_start(tmp_path: Path) -> None:
    folder = write_identity(tmp_path, AUTHORITY, "order", name="gig")

    with pytest.raises(InternalTlsError, match="is of order, not of spiffe://marketplace/gig"):
        InternalTls(folder, "gig")


def test_a_connection_is_replaced_after_its_time_and_a_watch_on_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.server.CONNECTION_SECONDS", 1)
    write_identity(tmp_path, AUTHORITY, "order-events")
    settings = event_settings(internal_tls="on", internal_tls_folder=tmp_path)
    server = grpc.server(ThreadPoolExecutor(4), options=server_options(settings))
    clients_of_calls: set[str] = set()

    def note(context: Any) -> str:
        clients_of_calls.add(context.peer())
        return peer_of(context)

    REGISTER(Pipeline(verifier(), peers=note).around(Gigs(is_aio=False), SERVICE), server)
    health = Health()
    health.add_to(server)
    health.serve()
    assert settings.tls
    port = server.add_secure_port("127.0.0.1:0", internal_tls.server_credentials(settings.tls))
    server.start()
    edge = Worker(f"127.0.0.1:{port}", "order-events", write_identity(tmp_path, AUTHORITY, "edge"))
    try:
        with edge.channel() as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            next(watch)
            stub = gig_pb2_grpc.GigServiceStub(channel)

            def has_another_connection() -> bool:
                stub.ListCategories(gig_pb2.ListCategoriesRequest(), timeout=10)
                return len(clients_of_calls) > 1

            eventually(has_another_connection, 20)
            assert watch.is_active()
    finally:
        health.end()
        server.stop(None).wait()
