"""The public keys of tokens: read again when they change, kept while they cannot be read."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest

from servicekit.errors import Unavailable
from servicekit.jwks import OUTAGE_SECONDS, CachedJwks, FileJwks, UrlJwks
from tests.support.identity import signing_key


def jwks(*names: str) -> dict[str, Any]:
    """Return a JWKS with the public keys of these names, which are their ids as well."""
    keys = [jwt.algorithms.ECAlgorithm.to_jwk(signing_key(name).public_key(), as_dict=True) for name in names]
    return {"keys": [key | {"kid": name, "alg": "ES256"} for key, name in zip(keys, names, strict=True)]}


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Source:
    """A JWKS that counts how often it is read; an exception in `content` is raised."""

    def __init__(self, *names: str) -> None:
        self.content: Any = jwks(*names)
        self.reads = 0

    def __call__(self) -> Any:
        self.reads += 1
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


@pytest.fixture
def clock() -> Clock:
    return Clock()


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_rename(path: Path, text: str) -> None:
    other = path.with_suffix(".new")
    other.write_text(text)
    other.replace(path)


@pytest.mark.parametrize("write", [in_place, by_rename])
def test_a_file_that_changes_is_read_again_at_once(
    tmp_path: Path, clock: Clock, write: Callable[[Path, str], None]
) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(jwks("old", "kept")))
    keys = FileJwks(path, clock)
    kept = keys.find("kept")
    assert keys.find("old") and kept

    write(path, json.dumps(jwks("kept", "new and longer")))

    assert keys.find("new and longer")
    assert keys.find("old") is None
    assert keys.find("kept") is kept


def test_a_file_whose_time_and_size_do_not_tell_of_its_change_is_read_again_soon(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(jwks("old")))
    before = path.stat()
    keys = FileJwks(path, clock)
    assert keys.find("old")

    path.write_text(json.dumps(jwks("new")))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    clock.now += 30

    assert keys.find("old") is None
    assert keys.find("new")


@pytest.mark.parametrize(
    "text",
    ["", "x", '{"keys": [', "[]", "null", '{"keys": 5}', "\0" * 100, "[" * 100_000],
    ids=lambda text: ascii(text)[:9],
)
def test_a_half_written_file_leaves_the_known_keys(tmp_path: Path, clock: Clock, text: str) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(jwks("user")))
    keys = FileJwks(path, clock)
    assert keys.find("user")

    path.write_text(text)
    assert keys.find("user")
    clock.now += 60
    assert keys.find("user")
    path.write_text(json.dumps(jwks("other")))

    assert keys.find("user") is None
    assert keys.find("other")


def test_a_jwks_without_any_key_takes_all_of_them_away(clock: Clock) -> None:
    source = Source("user")
    keys = CachedJwks(source, "test", clock=clock)
    assert keys.find("user")

    source.content = {"keys": []}
    clock.now += 30

    assert keys.find("user") is None


def test_a_key_of_an_unknown_kind_hides_no_other(clock: Clock) -> None:
    source = Source("user")
    source.content["keys"][:0] = [{}, 5, {"kty": "unknown", "kid": "x"}, {"kty": "EC", "kid": "y"}]

    assert CachedJwks(source, "test", clock=clock).find("user")


def test_a_removed_key_is_unknown_within_a_minute(clock: Clock) -> None:
    source = Source("old", "user")
    keys = CachedJwks(source, "test", clock=clock)
    assert keys.find("old")

    source.content = jwks("user")
    for _ in range(59):
        clock.now += 1
        keys.find("user")

    assert keys.find("old") is None


def test_a_removed_key_is_unknown_to_the_first_call_after_a_long_rest(clock: Clock) -> None:
    source = Source("old")
    keys = CachedJwks(source, "test", clock=clock)
    assert keys.find("old")

    source.content = jwks("user")
    clock.now += 600

    assert keys.find("old") is None


def test_a_new_key_is_found_at_once(clock: Clock) -> None:
    source = Source("user")
    keys = CachedJwks(source, "test", clock=clock)
    keys.find("user")
    clock.now += 6

    source.content = jwks("user", "new")

    assert keys.find("new")


def test_unknown_key_ids_make_few_reads(clock: Clock) -> None:
    source = Source("user")
    keys = CachedJwks(source, "test", clock=clock)
    for number in range(1000):
        clock.now += 0.01
        assert keys.find(f"unknown {number}") is None

    assert source.reads <= 3


def test_while_it_cannot_be_read_known_keys_count_for_an_hour(clock: Clock) -> None:
    source = Source("user")
    keys = CachedJwks(source, "test", clock=clock)
    known = keys.find("user")
    source.content = OSError("away")

    for _ in range(int(OUTAGE_SECONDS / 10) - 1):
        clock.now += 10
        assert keys.find("user") is known
    with pytest.raises(Unavailable):
        keys.find("unknown")
    clock.now += 10

    with pytest.raises(Unavailable):
        keys.find("user")
    assert source.reads <= OUTAGE_SECONDS / 5


def test_without_any_read_nothing_is_known(clock: Clock) -> None:
    source = Source()
    source.content = OSError("away")

    with pytest.raises(Unavailable):
        CachedJwks(source, "test", clock=clock).find("user")


def test_one_thread_reads_while_others_go_on_with_known_keys(clock: Clock) -> None:
    source, reading, go_on = Source("user"), threading.Event(), threading.Event()

    def read() -> Any:
        if source.reads:
            reading.set()
            assert go_on.wait(10)
        return source()

    keys = CachedJwks(read, "test", clock=clock)
    keys.find("user")
    clock.now += 30
    slow = threading.Thread(target=keys.find, args=("user",))
    slow.start()
    assert reading.wait(10)

    assert keys.find("user")

    go_on.set()
    slow.join()
    assert source.reads == 2


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.server.jwks else 500)  # type: ignore[attr-defined]
        self.end_headers()
        self.wfile.write(json.dumps(self.server.jwks).encode())  # type: ignore[attr-defined]

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def provider() -> Iterator[ThreadingHTTPServer]:
    """Start an identity provider; `jwks` is its JWKS, None an error."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_published_jwks_is_fetched_again(provider: ThreadingHTTPServer, clock: Clock) -> None:
    provider.jwks = jwks("old")  # type: ignore[attr-defined]
    keys = UrlJwks(f"http://127.0.0.1:{provider.server_port}/", clock)
    assert keys.find("old")
    provider.jwks = jwks("new")  # type: ignore[attr-defined]
    clock.now += 30
    assert keys.find("old") is None
    assert keys.find("new")
    provider.jwks = None  # type: ignore[attr-defined]
    clock.now += 30
    assert keys.find("new")
