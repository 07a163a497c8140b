"""Streams that a thread listens to while a test goes on."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any

import grpc
import httpx
from google.protobuf.message import Message

from tests.support.eventually import eventually


class Listener(ABC):
    """Collects what a stream sends, as texts, until its `with` block ends."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def text(self) -> str:
        """All that has been received."""
        return "\n".join(list(self._texts))

    def wait_for(self, part: str) -> None:
        """Wait until a text has been received that has this part. Raises AssertionError."""
        eventually(lambda: part in self.text)

    def wait_for_id(self) -> None:
        """Wait until there is an id to resume after. Raises AssertionError."""
        eventually(lambda: self.last_id)

    def __enter__(self) -> Listener:
        self._open()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._thread.join(20)

    def _run(self) -> None:
        # Closing ends a read with an error.
        with contextlib.suppress(httpx.HTTPError, httpx.StreamError, OSError, grpc.RpcError):
            self._listen()

    @property
    @abstractmethod
    def last_id(self) -> str:
        """The newest id to resume after."""

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _listen(self) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...


class SseListener(Listener):
    """Listens to server-sent events."""

    def __init__(self, client: httpx.Client, path: str, last_id: str = "") -> None:
        super().__init__()
        self._client = client
        headers = {"accept": "text/event-stream"} | ({"last-event-id": last_id} if last_id else {})
        self._request = client.build_request("GET", path, headers=headers, timeout=60)
        self.status = 0

    @property
    def last_id(self) -> str:
        ids = [line.removeprefix("id:").strip() for line in self.text.splitlines() if line.startswith("id:")]
        return ids[-1] if ids else ""

    def _open(self) -> None:
        self._response = self._client.send(self._request, stream=True)
        self.status = self._response.status_code
        self._texts.append(f"{self._response.headers.raw!r}")

    def _listen(self) -> None:
        for line in self._response.iter_lines():
            self._texts.append(line)

    def _close(self) -> None:
        connection = self._response.extensions["network_stream"].get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._response.close()


class GrpcListener(Listener):
    """Listens to a server-streaming RPC."""

    def __init__(self, method: Any, request: Message, token: str) -> None:
        super().__init__()
        self._method = method
        self._request = request
        self._token = token
        self._last_id = ""

    @property
    def last_id(self) -> str:
        return self._last_id

    def _open(self) -> None:
        self._call = self._method(self._request, metadata=[("authorization", f"Bearer {self._token}")], timeout=60)

    def _listen(self) -> None:
        for message in self._call:
            self._last_id = message.id
            self._texts.append(str(message))

    def _close(self) -> None:
        self._call.cancel()
