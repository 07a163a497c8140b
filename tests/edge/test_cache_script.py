"""The cache's script by itself: how long it keeps an answer, how many, and who asks for a new one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.encodings import ENCODINGS
from tests.support.scripts import Scripts

MAX_AGE = 20
# From this part of its life on, every answer is old enough to ask for a new one.
REFRESHED = 0.9
MIB = 1024 * 1024

# Requests and answers of the cache, with a clock that the test sets.
HANDLES = """
local cache, fake_handle = require("cache"), require("fake_handle")

local function begin(path, accept_encoding, protocol, now)
  local values = { [":method"] = "GET", [":path"] = path, [":scheme"] = "http", [":authority"] = "edge" }
  values["accept-encoding"] = accept_encoding
  local context = { kind = "requests", per_address = 4 }
  local request = { headers = values, context = context, now = now, protocol = protocol, address = "192.0.2.1:1" }
  local handle = fake_handle.new(request)
  function handle.respond(_, answer, body)
    -- Envoy ends the script here.
    if not handle.status then handle.status, handle.body, handle.age = answer[":status"], body, answer.age end
  end
  cache.on_request(handle)
  handle.result = values["x-edge-cache"] or (handle.metadata.cache or {}).result
  handle.counted = handle.metadata.clients ~= nil
  handle.encoding = values["accept-encoding"]
  return handle
end

local function finish(handle, body, headers)
  handle.headers = function() return fake_handle.headers(headers) end
  handle.bodyChunks = function()
    local at = 0
    return function()
      at = at + 1
      local piece = at == 1 and body:sub(1, 3) or at == 2 and body:sub(4)
      return piece and { length = function() return #piece end, getBytes = function() return piece end } or nil
    end
  end
  cache.on_response(handle)
end

return { begin = begin, finish = finish, configure = cache.configure }
"""


class Cache:
    """The script with a clock. Each instance has kept nothing yet."""

    def __init__(self, max_bytes: int = MIB) -> None:
        self.now = 1_000.0
        self._scripts = Scripts()
        self._handles = self._scripts.run(HANDLES)
        settings = self._scripts.run("return {}")
        settings[b"max_age"], settings[b"max_bytes"] = MAX_AGE, max_bytes
        self._handles[b"configure"](settings)

    def begin(self, path: str, encodings: str | None = None, protocol: str = "HTTP/1.1") -> Any:
        """Send a request as far as the cache."""
        accepted = None if encodings is None else encodings.encode()
        return self._handles[b"begin"](path.encode(), accepted, protocol.encode(), self.now)

    def finish(self, handle: Any, body: str, **headers: str) -> None:
        """Answer a request that the cache has let pass."""
        answer = {
            ":status": "200",
            "content-type": "application/json",
            "cache-control": f"public, max-age={MAX_AGE}",
            "content-length": str(len(body)),
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        table = self._scripts.run("return {}")
        for name, value in answer.items():
            table[name.encode()] = value.encode()
        self._handles[b"finish"](handle, body.encode(), table)

    def overload(self, service: str) -> None:
        """Have all reads of a service late for a moment."""
        script = self._scripts.module("overload")
        for _ in range(2):
            self.now += 0.1
            number = script[b"passed"](service.encode())
            script[b"answered"](service.encode(), number, self.now - 1, self.now, True, True, 0.5)

    def keep(self, path: str, body: str = "{}") -> None:
        """Ask for a path that is not kept, and answer it."""
        handle = self.begin(path)
        assert handle[b"body"] is None
        self.finish(handle, body)

    def kept(self, path: str, encodings: str | None = None) -> str | None:
        """Return the body that the cache answers with, or None when the request has to go on."""
        handle = self.begin(path, encodings)
        if handle[b"body"] is None:
            self.finish(handle, "", cache_control="no-store")
            return None
        return bytes(handle[b"body"]).decode()


def test_an_answer_is_kept_for_its_time_and_no_longer() -> None:
    cache = Cache()
    cache.keep("/api/categories", "[1]")

    assert cache.kept("/api/categories") == "[1]"
    cache.now += MAX_AGE - 0.001
    assert [cache.kept("/api/categories") for _ in range(2)] == [None, "[1]"], "the first one asks for a new one"
    cache.now += 0.001
    assert cache.kept("/api/categories") is None


def test_the_age_counts_from_the_request_not_from_the_response() -> None:
    cache = Cache()
    slow = cache.begin("/api/categories")
    cache.now += 4
    cache.finish(slow, "[1]")

    assert cache.begin("/api/categories")[b"age"] == b"4"
    cache.now += MAX_AGE - 4
    assert cache.kept("/api/categories") is None


def test_a_slow_answer_does_not_replace_a_newer_one() -> None:
    cache = Cache()
    slow = cache.begin("/api/categories")
    cache.now += 1
    cache.keep("/api/categories", "new")

    cache.finish(slow, "old")

    assert cache.kept("/api/categories") == "new"


def test_a_clock_that_is_set_back_makes_no_answer_last() -> None:
    cache = Cache()
    cache.keep("/api/categories")

    cache.now -= 3600

    assert cache.kept("/api/categories") is None


def test_one_request_a_second_asks_again_before_an_answer_is_too_old_and_all_others_get_the_old_one() -> None:
    cache = Cache()
    cache.keep("/api/categories", "old")
    cache.now += MAX_AGE * REFRESHED

    results = [cache.begin("/api/categories")[b"result"] for _ in range(100)]

    assert results == [b"refresh"] + [b"hit"] * 99
    cache.now += 1
    refreshing = cache.begin("/api/categories")
    assert refreshing[b"result"] == b"refresh"
    cache.finish(refreshing, "new")
    assert cache.kept("/api/categories") == "new"


def test_answers_that_came_together_are_not_asked_for_again_together() -> None:
    cache = Cache()
    paths = [f"/api/gigs/{number}" for number in range(200)]
    for path in paths:
        cache.keep(path)

    refreshed = []
    for _ in range(MAX_AGE - 1):
        cache.now += 1
        handles = {path: cache.begin(path) for path in paths}
        again = [path for path, handle in handles.items() if handle[b"result"] == b"refresh"]
        for path in again:
            cache.finish(handles[path], "{}")
        refreshed.append(len(again))

    assert sum(refreshed) >= len(paths)
    assert max(refreshed) < len(paths) / 4, refreshed


@pytest.mark.parametrize(("accepted", "encoding"), [*ENCODINGS, ("GZIP", "gzip"), ("identity, gzip;q=0.5", None)])
def test_a_request_goes_on_with_the_encoding_that_its_client_likes_best(accepted: str, encoding: str | None) -> None:
    sent = Cache().begin("/api/categories", accepted)[b"encoding"]

    assert sent == (encoding and encoding.encode())


def test_nobody_asks_again_while_the_service_is_overloaded_until_the_answer_is_too_old() -> None:
    cache = Cache()
    cache.keep("/api/categories", "old")
    cache.now += MAX_AGE * REFRESHED

    cache.overload("marketplace.gig.v1.GigService")

    assert [cache.begin("/api/categories")[b"result"] for _ in range(2)] == [b"hit", b"hit"]
    cache.now += MAX_AGE * (1 - REFRESHED)
    assert cache.begin("/api/categories")[b"result"] == b"miss"


def test_an_answer_of_another_service_than_the_overloaded_one_is_asked_for_again() -> None:
    cache = Cache()
    cache.keep("/api/categories", "old")
    cache.now += MAX_AGE * REFRESHED

    cache.overload("marketplace.review.v1.ReviewService")

    assert cache.begin("/api/categories")[b"result"] == b"refresh"


def test_an_answer_is_kept_in_each_encoding_that_it_came_in() -> None:
    cache = Cache()
    for encodings, body in (("gzip, deflate", "gzipped"), ("br", "by Brotli"), ("zstd", "plain")):
        cache.finish(cache.begin("/api/categories", encodings), body)

    assert cache.kept("/api/categories", "deflate, gzip;q=0.9") == "gzipped"
    assert cache.kept("/api/categories", "br, gzip") == "by Brotli"
    assert cache.kept("/api/categories") == "plain"


def test_thousands_of_ways_to_write_an_encoding_share_an_answer() -> None:
    cache = Cache()
    cache.finish(cache.begin("/api/categories", "gzip"), "gzipped")

    for number in range(2000):
        assert cache.kept("/api/categories", f"gzip, unknown-{number}") == "gzipped"


def test_requests_that_go_on_are_counted_until_their_answer_is_read() -> None:
    cache = Cache()
    going_on = [cache.begin(f"/api/gigs?q={number}") for number in range(4)]
    assert all(each[b"counted"] for each in going_on)
    assert cache.begin("/api/gigs?q=5")[b"status"] == b"429"

    for each in going_on:
        cache.finish(each, "[1]")

    assert cache.begin("/api/gigs?q=5")[b"counted"]


@pytest.mark.parametrize(
    ("protocol", "length", "is_counted"),
    [("HTTP/1.1", 70_000, True), ("HTTP/1.1", 60_000, False), ("HTTP/2", 10, True)],
)
def test_a_hit_is_counted_when_a_client_could_make_many_wait(protocol: str, length: int, is_counted: bool) -> None:
    cache = Cache()
    cache.keep("/api/categories", "x" * length)

    hits = [cache.begin("/api/categories", protocol=protocol) for _ in range(5)]

    assert [hit[b"counted"] for hit in hits] == [is_counted] * 4 + [False]
    assert [hit[b"status"] for hit in hits] == [b"200"] * 4 + [b"429" if is_counted else b"200"]


def test_what_the_cache_keeps_never_exceeds_its_bytes() -> None:
    cache = Cache(max_bytes=MIB)
    for number in range(3000):
        cache.keep(f"/api/gigs?q={number}", "x" * 2000)

    kept = [number for number in range(3000) if cache.kept(f"/api/gigs?q={number}")]

    assert kept == list(range(kept[0], 3000)), "the oldest went first"
    assert len(kept) * 2000 <= MIB
    assert len(kept) * 4000 > MIB / 2


def test_an_answer_that_comes_again_and_again_takes_the_place_of_one() -> None:
    cache = Cache(max_bytes=MIB)
    cache.keep("/api/categories", "[1]")
    for _ in range(1000):
        cache.now += MAX_AGE
        cache.keep("/api/gigs?q=hot", "x" * 2000)
        cache.keep("/api/categories", "[1]")

    assert cache.kept("/api/categories") == "[1]"


@pytest.mark.parametrize(
    "changed",
    [
        {"cache_control": "no-cache"},
        {"cache_control": "no-store"},
        {"cache_control": "private, no-store"},
        {"set_cookie": "a=b"},
        {"content_type": "text/plain"},
        {"age": "1"},
        {"content_length": "8"},
        {"content_length": ""},
        {":status": "404"},
        {":status": "206"},
        {":status": "304"},
    ],
    ids=str,
)
def test_an_answer_that_not_all_may_have_as_it_is_is_not_kept(changed: dict[str, str]) -> None:
    cache = Cache()

    cache.finish(cache.begin("/api/categories"), "[1, 2]", **changed)

    assert cache.kept("/api/categories") is None


def test_large_answers_and_long_paths_are_not_kept() -> None:
    cache = Cache()

    for path, body in (("/api/gigs", "x" * 300_000), ("/api/gigs?q=" + "x" * 3000, "[1]")):
        cache.finish(cache.begin(path), body)
        assert cache.kept(path) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/gig", "/api/gigs"),
        ("/gig/", "/api/gigs"),
        ("/gig?q=a", "/api/gigs?q=a"),
        ("/gig/?q=a", "/api/gigs?q=a"),
        ("/gig/0190", "/api/gigs/0190"),
        ("/gig/0190/reviews?sort=NEWEST", "/api/gigs/0190/reviews?sort=NEWEST"),
    ],
)
def test_both_spellings_of_a_path_share_an_answer(one: str, other: str) -> None:
    cache = Cache()
    cache.keep(one, "[1]")

    assert cache.kept(other) == "[1]"


@pytest.mark.parametrize("other", ["/api/gigs?q=b", "/api/gigs?q=A", "/api/gigs?q=a&", "/api/gigs", "/gigs?q=a"])
def test_another_path_or_query_has_another_answer(other: str) -> None:
    cache = Cache()
    cache.keep("/api/gigs?q=a")

    assert cache.kept(other) is None
