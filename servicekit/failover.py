"""The primary among several PostgreSQL hosts: which one it is, and that no thread waits while there is none.

A database URL with several hosts, or with `target_session_attrs`, has a `Primary`. Threads connect to the host that is
known to be the primary. When it is lost, one thread, the prober, asks all hosts in turn until one of them is the
primary; meanwhile every other use fails at once. The edge repeats calls that have failed so; those whose bodies it does
not keep wait here, by `until_primary`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg2
import structlog
from psycopg2.extensions import parse_dsn

from servicekit.call import current_call
from servicekit.errors import MarketplaceError

# A host that is gone sends no reset: these say within some seconds that a connection is dead.
OPTIONS: dict[str, Any] = {
    "tcp_user_timeout": 3000,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}
PROBE_SECONDS = 0.25
# How long a call waits for a new primary: Patroni has one after 20 to 25 s.
NEW_PRIMARY_SECONDS = 27
_REPEAT_SECONDS = 0.5
# Threads that have waited so long for the primary may be waiting for one that is gone.
SLOW_SECONDS = 1.0
# SQLSTATEs of a server that is a standby, or that is shutting down or starting up.
NOT_PRIMARY = frozenset(("25006", "57P01", "57P02", "57P03"))

Place = tuple[str, int]
R = TypeVar("R")


class PrimaryAway(psycopg2.OperationalError):
    """No host is the primary now. Nothing was sent."""


def fails_over(url: str) -> bool:
    """Return whether another host may become the primary: the URL has several, or says which sort it wants."""
    parts = parse_dsn(url)
    return "," in parts.get("host", "") or "target_session_attrs" in parts


def own_host_first(url: str, own: str) -> dict[str, Any]:
    """Return the parameters of connections to any host of a URL, the own one first.

    Raises ValueError when the URL has no such host.
    """
    parts = parse_dsn(url)
    hosts = parts.get("host", "").split(",")
    if own not in hosts:
        raise ValueError(f"the database's URL has no host {own}")
    ports = parts.get("port", "5432").split(",")
    places = list(zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=False))
    places.sort(key=lambda place: place[0] != own)
    return {
        **OPTIONS,
        "host": ",".join(host for host, _ in places),
        "port": ",".join(port for _, port in places),
        "target_session_attrs": "any",
    }


async def until_primary(work: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Return the result of work on a database, repeated while there is no primary and the call has written nothing.

    Raises what the work raises; for want of a primary after NEW_PRIMARY_SECONDS.
    """
    end = time.monotonic() + NEW_PRIMARY_SECONDS
    while True:
        try:
            return await work()
        except MarketplaceError as error:
            call = current_call.get()
            may_have_written = call is not None and call.may_have_written
            if not error.primary_away or may_have_written or time.monotonic() > end:
                raise
        await asyncio.sleep(_REPEAT_SECONDS)


class Primary:
    """Knows the primary of one database, for all threads of a process.

    `connect` gets a place, or None for all hosts, and returns a connection to the primary. At most `threads` of the
    process's threads wait for a primary that may be gone.
    """

    def __init__(self, connect: Callable[[Place | None], Any], threads: int) -> None:
        self._connect = connect
        self._threads = max(1, threads)
        self._lock = threading.Lock()
        self._place: Place | None = None
        self._is_away = False
        # When each thread began what it waits for.
        self._since: dict[int, float] = {}
        # How often another connection than before became the right one.
        self.generation = 0

    def connection(self) -> Any:
        """Return a new connection to the primary. Raises psycopg2.Error, of which the prober then knows."""
        with self.use():
            try:
                connection = self._connect(self._place)
            except psycopg2.Error:
                self.lost()
                raise
            self._place = self._place or _place_of(connection)
            return connection

    @contextmanager
    def use(self) -> Iterator[None]:
        """Wait for the primary in this block. Raises PrimaryAway when there is none, or too many wait already."""
        me, now = threading.get_ident(), time.monotonic()
        with self._lock:
            is_nested = me in self._since
            slow = sum(now - since > SLOW_SECONDS for thread, since in self._since.items() if thread != me)
            if self._is_away or slow >= self._threads:
                raise PrimaryAway("no primary answers")
            self._since.setdefault(me, now)
        try:
            yield
        finally:
            if not is_nested:
                with self._lock:
                    self._since.pop(me, None)

    def lost(self) -> None:
        """Start the prober, unless it runs already: a connection to the primary was lost, or could not be made."""
        with self._lock:
            if self._is_away:
                return
            self._is_away = True
        threading.Thread(target=self._probe, name="primary", daemon=True).start()

    def _probe(self) -> None:
        log, began = structlog.get_logger(), time.monotonic()
        while True:
            try:
                connection = self._connect(None)
                place = _place_of(connection)
                connection.close()
                break
            except psycopg2.Error:
                time.sleep(PROBE_SECONDS)
        with self._lock:
            self._place, self._is_away = place, False
            self.generation += 1
        log.info("primary found", host=place[0], seconds=round(time.monotonic() - began, 2))


def _place_of(connection: Any) -> Place:
    return connection.info.host, connection.info.port
