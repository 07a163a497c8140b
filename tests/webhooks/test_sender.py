"""Calls to receivers: which address is called, what is checked, and how long a call can take."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3.util.connection

from order_service.domain.webhook_url import BadUrl
from order_service.webhooks.resolver import Resolver, Unresolvable
from order_service.webhooks.secrets import new_secret, signed_headers
from order_service.webhooks.sender import Outcome, Sender
from servicekit.ids import new_id
from tests.support.certificates import server_and_client
from tests.support.webhook_receiver import WebhookReceiver, hanging_receiver, webhook_receiver

PUBLIC, ANOTHER_PUBLIC = "93.184.216.34", "93.184.216.35"
NAME = "hooks.example.com"
SECRET = new_secret()
EVENT = new_id()


class Names:
    """A name server whose answers a test gives, in this order; the last one repeats."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Network:
    """Records the addresses that are connected to, and leads all of them to the local receiver."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connected: list[str] = []
        self.refuses: set[str] = set()
        self.port = 0
        connect = urllib3.util.connection.create_connection

        def create_connection(address: tuple[str, int], *arguments: Any, **options: Any) -> socket.socket:
            self.connected.append(address[0])
            if address[0] in self.refuses:
                raise ConnectionRefusedError
            return connect(("127.0.0.1", self.port), *arguments, **options)

        monkeypatch.setattr(urllib3.util.connection, "create_connection", create_connection)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return server_and_client(tmp_path, NAME)


@pytest.fixture
def receiver(network: Network, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[WebhookReceiver]:
    """Yield a receiver with a certificate for NAME, which has the secret."""
    with webhook_receiver(ssl_context=contexts[0]) as running:
        network.port = int(running.url.rsplit(":", 1)[1])
        running.expect("in", SECRET)
        yield running


def sender(names: Names, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Sender:
    return Sender(Resolver(names), allow_private=False, ssl_context=contexts[1])


def send(to: Sender, url: str = f"https://{NAME}/in?key=1") -> Outcome:
    body = '{"type":"order.placed"}'
    return to.send(url, signed_headers(SECRET, EVENT, body), body)


def test_the_address_that_was_checked_is_called_although_the_name_has_another_a_moment_later(
    network: Network, receiver: WebhookReceiver, contexts: Any
) -> None:
    names = Names([PUBLIC], ["127.0.0.1"])

    assert send(sender(names, contexts)) == Outcome(204)

    assert network.connected == [PUBLIC]
    assert names.asked == [NAME]
    (received,) = receiver.deliveries("in")
    assert received.event_id == str(EVENT)
    assert received.headers["host"] == NAME
    assert received.headers["content-type"] == "application/json"
    # The next call asks again, and is not made.
    assert send(sender(names, contexts)) == Outcome(None, "NotPublic")
    assert network.connected == [PUBLIC]


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["::ffff:169.254.169.254"], ["fd00::1"], ["64:ff9b::a00:1"], []]
)
def test_a_name_with_any_address_that_is_not_public_is_not_called(
    addresses: list[str], network: Network, receiver: WebhookReceiver, contexts: Any
) -> None:
    assert send(sender(Names(addresses), contexts)).status is None
    assert network.connected == []


def test_an_address_in_the_url_is_checked_at_the_call_too(network: Network, contexts: Any) -> None:
    assert send(sender(Names([PUBLIC]), contexts), "https://10.0.0.1/in") == Outcome(None, "BadUrl")
    assert send(sender(Names([PUBLIC]), contexts), "http://93.184.216.34/in") == Outcome(None, "BadUrl")
    assert network.connected == []


def test_the_next_address_is_called_when_the_first_one_refuses(
    network: Network, receiver: WebhookReceiver, contexts: Any
) -> None:
    network.refuses = {PUBLIC}

    assert send(sender(Names([PUBLIC, ANOTHER_PUBLIC]), contexts)) == Outcome(204)
    assert network.connected == [PUBLIC, ANOTHER_PUBLIC]


def test_a_certificate_for_another_name_is_refused(network: Network, receiver: WebhookReceiver, contexts: Any) -> None:
    outcome = send(sender(Names([PUBLIC]), contexts), "https://other.example.com/in")

    assert (outcome.status, receiver.deliveries("in")) == (None, [])


def test_a_certificate_of_an_unknown_authority_is_refused(network: Network, receiver: WebhookReceiver) -> None:
    assert send(Sender(Resolver(Names([PUBLIC])), allow_private=False)).status is None
    assert receiver.deliveries("in") == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status: int, network: Network, receiver: WebhookReceiver, contexts: Any) -> None:
    receiver.expect("in", SECRET, status)
    receiver.expect("redirected", SECRET)

    assert send(sender(Names([PUBLIC]), contexts)) == Outcome(status)
    assert receiver.deliveries("redirected") == []
    assert network.connected == [PUBLIC]


def test_no_proxy_of_the_environment_is_used(
    network: Network, receiver: WebhookReceiver, contexts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert send(sender(Names([PUBLIC]), contexts)) == Outcome(204)
    assert network.connected == [PUBLIC]


def test_a_new_url_is_checked_with_its_addresses_and_may_have_none_yet(contexts: Any) -> None:
    def fails(host: str, port: int) -> list[str]:
        raise socket.gaierror

    sender(Names([PUBLIC]), contexts).check("https://hooks.example.com/", 1)
    Sender(Resolver(fails), allow_private=False).check("https://hooks.example.com/", 1)
    with pytest.raises(BadUrl):
        sender(Names([PUBLIC, "127.0.0.1"]), contexts).check("https://hooks.example.com/", 1)


def test_a_name_server_that_does_not_answer_ends_nothing_but_the_call() -> None:
    asked = threading.Event()
    answers = threading.Event()

    def waits(host: str, port: int) -> list[str]:
        asked.set()
        answers.wait(30)
        return [PUBLIC]

    began = time.monotonic()
    with pytest.raises(Unresolvable):
        Resolver(waits).addresses(NAME, 443, 0.1)
    answers.set()

    assert asked.is_set()
    assert time.monotonic() - began < 10


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection with raw bytes. Yields the URL."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            try:
                answer(connection)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/in?secret=1"


def drip(connection: socket.socket) -> None:
    """Send a header without end, each byte long before any timeout of a socket."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def test_a_receiver_that_sends_byte_by_byte_cannot_hold_a_call_beyond_its_time() -> None:
    private = Sender(Resolver(), allow_private=True, call_seconds=0.5)
    with answering(drip) as url:
        began = time.monotonic()
        outcome = send(private, url)

    assert outcome.status is None
    assert 0.4 < time.monotonic() - began < 5


def test_a_receiver_that_never_responds_cannot_hold_a_call_beyond_its_time() -> None:
    private = Sender(Resolver(), allow_private=True, call_seconds=0.3)
    with hanging_receiver() as url:
        assert send(private, url).status is None


def test_the_body_of_a_response_is_not_waited_for() -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        connection.recv(1)

    with answering(endless) as url:
        began = time.monotonic()
        assert send(Sender(Resolver(), allow_private=True), url) == Outcome(200)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "response", [b"", b"\0\1\2\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"]
)
def test_a_response_that_is_none_counts_as_none(response: bytes) -> None:
    with answering(lambda connection: connection.sendall(response)) as url:
        assert send(Sender(Resolver(), allow_private=True), url).status is None


def test_nothing_is_logged_of_a_url(caplog: pytest.LogCaptureFixture) -> None:
    bad_headers = b"HTTP/1.1 200 OK\r\nA: b\r\nno header\r\n\r\n"
    with caplog.at_level(logging.DEBUG), answering(lambda connection: connection.sendall(bad_headers)) as url:
        send(Sender(Resolver(), allow_private=True), url)

    assert "secret" not in caplog.text
