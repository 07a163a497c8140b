"""Calls of the public API by the people of the seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from edge import tokens

_SECONDS = 30.0
_CONNECTIONS = 8
# What says by itself that nothing has begun, and when to come back.
_RETRIES = urllib3.Retry(
    total=6, connect=2, read=0, redirect=0, status_forcelist=(429, 503), allowed_methods=None, raise_on_status=False
)


class ApiError(Exception):
    """A response that the seed did not expect; the text has the call and the API's own words."""

    def __init__(self, call: str, status: int, body: str) -> None:
        super().__init__(f"{call}: {status} {body}")
        self.status = status


class Person:
    """Somebody who calls the API; without a name, anyone."""

    def __init__(self, pool: urllib3.PoolManager, url: str, token: str = "") -> None:
        self._pool, self._url = pool, url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a GET. Raises ApiError."""
        return self._call("GET", path + ("?" + urlencode(query) if query else ""))

    def all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Return the results of all pages of a list. Raises ApiError."""
        results: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self.get(path, pageSize=100, **query, **({"pageToken": token} if token else {}))
            results += page["results"]
            token = page.get("nextPageToken", "")
            if not token:
                return results

    def post(self, path: str, body: dict[str, Any] | None = None, *, key: str = "", method: str = "POST") -> Any:
        """Return the JSON of a write; one with a key is done once. Raises ApiError."""
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        return self._call(method, path, headers, json.dumps(body or {}).encode())

    def upload(self, path: str, picture: bytes) -> Any:
        """Upload a picture. Raises ApiError."""
        return self._call("POST", path, {"Content-Type": "image/jpeg"}, picture)

    def _call(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Any:
        response = self._pool.request(
            method, self._url + path, headers=self._headers | (headers or {}), body=body, timeout=_SECONDS
        )
        if response.status >= 300:
            raise ApiError(f"{method} {path}", response.status, response.data.decode(errors="replace"))
        return response.json()


class Api:
    """The API of one deployment, whose tokens are signed with the keys of its DATA_DIR."""

    def __init__(self, url: str, data_dir: Path) -> None:
        self._pool = urllib3.PoolManager(maxsize=_CONNECTIONS, block=True, retries=_RETRIES)
        self._url, self._data_dir = url, data_dir

    def anyone(self) -> Person:
        """Return a caller without a token."""
        return Person(self._pool, self._url)

    def person(self, name: str, role: str) -> Person:
        """Return a local user with one role."""
        return Person(self._pool, self._url, tokens.mint(self._data_dir, name, [role]))
