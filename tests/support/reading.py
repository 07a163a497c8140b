"""A response that is read while it comes, over HTTP: a watch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.events import parse


class Reading:
    """A response that is read in a thread while it comes."""

    def __init__(self, client: httpx.Client, path: str, **headers: str) -> None:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self._client = httpx.Client(
            base_url=client.base_url, headers={**client.headers, **sent}, timeout=httpx.Timeout(15, read=60)
        )
        self.text = ""
        self.response: httpx.Response | None = None
        self.is_over = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(path,), daemon=True)
        self._thread.start()

    def _read(self, path: str) -> None:
        try:
            with self._client.stream("GET", path) as response:
                self.response = response
                for text in response.iter_text():
                    self.text += text
        except httpx.HTTPError:
            pass
        finally:
            self.is_over.set()

    def events(self) -> list[dict[str, Any]]:
        return parse(self.text)

    def close(self) -> None:
        self._client.close()


@contextmanager
def reading(client: httpx.Client, path: str, **headers: str) -> Iterator[Reading]:
    """Read a response for the block."""
    response = Reading(client, path, **headers)
    try:
        yield response
    finally:
        response.close()
