"""A proxy in the environment is for calls to the outside: no call inside the stack goes to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from tests.support.stack import Stack
from tests.support.story import Market, ok, whole_story

VARIABLES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
PICTURE = Path(__file__).resolve().parents[2] / "docs" / "website.jpg"


class Recorder:
    """A proxy that keeps the first bytes of each connection and answers none."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        # A port that nothing else of the tests uses: what comes is the stack's.
        [self.port] = free_ports(1)
        self._socket = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.received.append(connection.recv(200))

    def close(self) -> None:
        self._socket.close()


@contextmanager
def behind(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Run a stack whose environment names this proxy everywhere, and excludes nothing from it."""
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    stack = Stack()
    try:
        with monkeypatch.context() as environment:
            for name in VARIABLES:
                environment.setenv(name, f"http://127.0.0.1:{port}")
            stack.start()
        yield stack
    finally:
        stack.stop()


def tell_the_story(stack: Stack) -> None:
    """Do what each service needs the others for, and upload a picture."""
    whole_story(stack)
    market = Market.of(stack)
    gig = market.gig()
    with PICTURE.open("rb") as picture:
        files = {"file": ("a.jpg", picture, "image/jpeg")}
        ok(market.seller.post(f"/api/gigs/{gig['id']}/images", files=files), 201)


def test_a_stack_behind_a_dead_proxy_does_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    [dead_port] = free_ports(1)
    with behind(dead_port, monkeypatch) as stack:
        tell_the_story(stack)


def test_a_proxy_gets_nothing_of_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Recorder()) as proxy:
        with behind(proxy.port, monkeypatch) as stack:
            tell_the_story(stack)

        assert proxy.received == []
