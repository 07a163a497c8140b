"""A client that retries: on 503 and 504, and when the connection breaks."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

# Responses after which a request may be sent again.
RETRIED = frozenset((503, 504))
GIVE_UP_SECONDS = 120.0


class GivenUpError(Exception):
    """No definite response in two minutes."""


@dataclass
class Counts:
    """Counters by name, shared by all clients."""

    numbers: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, number: int = 1) -> None:
        with self._lock:
            self.numbers[name] += number


class RetryingClient:
    """One person's client."""

    def __init__(self, client: httpx.Client, counts: Counts) -> None:
        self._client = client
        self._counts = counts

    def once(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Return the response, or None when the outcome is unknown."""
        self._counts.add("requests")
        try:
            answer = self._client.request(method, path, **options)
        except httpx.TransportError:
            self._counts.add("answers that were lost")
            return None
        if answer.status_code in RETRIED:
            self._counts.add(f"answers {answer.status_code}")
            return None
        return answer

    def until_definite(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Return the response of a request that may be sent again: a read, or a call with an idempotency key."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while (answer := self.once(method, path, **options)) is None:
            if time.monotonic() > deadline:
                raise GivenUpError(f"{method} {path}")
            time.sleep(0.25)
        return answer

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON of a read."""
        answer = self.until_definite("GET", path, params=params)
        if answer.status_code != 200:
            raise GivenUpError(f"GET {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def all(self, path: str, **params: Any) -> list[Any]:
        """Return all pages of a list."""
        results: list[Any] = []
        while True:
            page = self.get(path, pageSize=100, **params)
            results += page["results"]
            if "nextPageToken" not in page:
                return results
            params["pageToken"] = page["nextPageToken"]

    def close(self) -> None:
        self._client.close()
