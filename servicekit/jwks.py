"""Public keys that access tokens are checked with: a JWKS file or URL that is read again and again.

A key that is taken out of a JWKS is unknown here within a minute. While a JWKS cannot be read, its known keys count for
another hour.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jwt
import structlog

from servicekit.errors import Unavailable

# The age at which keys are read again, and the age from which a call waits for that. Seconds.
REFRESH_SECONDS = 25.0
STALE_SECONDS = 50.0
# The shortest time between two reads because of a key id that nobody knows, or after a failed one.
RETRY_SECONDS = 5.0
# The time for which known keys count while the JWKS cannot be read.
OUTAGE_SECONDS = 3600.0
FETCH_TIMEOUT_SECONDS = 3


class _Entry(NamedTuple):
    jwk: object
    key: jwt.PyJWK


class Jwks(Protocol):
    """A source of public keys."""

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key with this id. Without an id, return the only key, if there is exactly one."""
        ...


class CachedJwks:
    """The keys that `read` returns as a JWKS, cached. `stamp` changes when the source says that it has changed.

    One thread reads at a time. The others go on with the known keys, unless these are STALE_SECONDS old and the last
    read did not fail: then they wait. Key ids that nobody knows make one read in RETRY_SECONDS, whoever sends them.
    """

    def __init__(
        self,
        read: Callable[[], Any],
        name: str,
        stamp: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._name = name
        self._stamp = stamp
        self._clock = clock
        self._reading = threading.Lock()
        self._keys: Mapping[str | None, _Entry] = {}
        self._stamped: object = None
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._failed = False
        self._reads = 0

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key with this id, as Jwks.find does. Raises Unavailable when the JWKS cannot be read."""
        if self._is_due():
            self._refresh(wait=self._age() >= STALE_SECONDS and not self._failed)
        key = self._known(kid)
        if key is None and self._may_retry():
            self._refresh(wait=not self._failed)
            key = self._known(kid)
        if self._age() >= OUTAGE_SECONDS or (key is None and self._failed):
            raise Unavailable
        return key

    def _known(self, kid: str | None) -> jwt.PyJWK | None:
        keys = self._keys
        if kid is None and len(keys) == 1:
            return next(iter(keys.values())).key
        found = keys.get(kid)
        return found.key if found else None

    def _age(self) -> float:
        return self._clock() - self._read_at

    def _may_retry(self) -> bool:
        return self._clock() - self._tried_at >= RETRY_SECONDS

    def _is_due(self) -> bool:
        changed = self._source_stamp() != self._stamped
        return (self._age() >= REFRESH_SECONDS or changed) and (not self._failed or changed or self._may_retry())

    def _source_stamp(self) -> object:
        try:
            return self._stamp()
        except OSError:
            return None

    def _refresh(self, *, wait: bool) -> None:
        """Read the JWKS, unless another thread does. With `wait`, return only after its read."""
        reads = self._reads
        if not self._reading.acquire(blocking=wait):
            return
        try:
            if self._reads == reads:
                self._read_once()
        finally:
            self._reading.release()

    def _read_once(self) -> None:
        # Taken before the content: a change between the two is seen at the next call.
        stamp = self._source_stamp()
        try:
            keys = {entry.key.key_id: entry for entry in _entries(self._read())}
        # A half-written file, a proxy's error page, a key of an unknown kind: anything may come.
        except Exception as error:
            if not self._failed or stamp != self._stamped:
                structlog.get_logger().error("the JWKS cannot be read", jwks=self._name, reason=str(error))
            self._failed = True
        else:
            # A key that has not changed stays the same object: tokens that it has verified stay verified.
            known = self._keys
            self._keys = {
                kid: known[kid] if kid in known and known[kid].jwk == entry.jwk else entry
                for kid, entry in keys.items()
            }
            self._read_at = self._clock()
            self._failed = False
        self._stamped = stamp
        self._tried_at = self._clock()
        self._reads += 1


def _entries(jwks: Any) -> Iterator[_Entry]:
    """Yield the keys of a JWKS; those of an unknown kind are left out. Raises ValueError when it is no JWKS."""
    if not isinstance(jwks, dict) or not isinstance(jwks.get("keys"), list):
        raise ValueError("it is no JSON object with a list of keys")
    for jwk in jwks["keys"]:
        with suppress(jwt.PyJWTError):
            if isinstance(jwk, dict):
                yield _Entry(jwk, jwt.PyJWK(jwk))


class FileJwks(CachedJwks):
    """The keys of a JWKS file, read again when it has changed, and every 25 seconds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        def stamp() -> tuple[int, int, int]:
            status = path.stat()
            return status.st_mtime_ns, status.st_size, status.st_ino

        super().__init__(lambda: json.loads(path.read_text()), str(path), stamp, clock)


class UrlJwks(CachedJwks):
    """The keys of a JWKS that an identity provider publishes, fetched again every 25 seconds while they are used."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_TIMEOUT_SECONDS)
        super().__init__(client.fetch_data, url, clock=clock)


def jwks_from(source: str) -> Jwks:
    """Return the keys of a JWKS, given as an http(s) URL or as a file's path."""
    return UrlJwks(source) if source.startswith(("https://", "http://")) else FileJwks(Path(source))
