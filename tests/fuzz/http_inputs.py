"""Inputs of the fuzzer `http`: requests of HTTP/1 and connections of HTTP/2, each broken in a few places.

All of it follows from the random generator that a function gets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.support.http2 import PREFACE, headers_frames

GIG = "0190a000-0000-7000-8000-000000000001"
PATHS = (
    "/api/gigs",
    "/api/gigs?q=logo&minPrice=5",
    f"/api/gigs/{GIG}",
    f"/gig/{GIG}",
    "/gig/",
    "/api/orders",
    "/api/categories",
    f"/api/orders/{GIG}/accept",
    f"/api/gigs/{GIG}/images",
    f"/api/gigs/{GIG}/reviews",
    "/api/webhooks/stripe",
    "/api/watch",
    f"/api/orders/{GIG}/watch",
    "/api/events",
    f"/media/ab/{'0' * 32}.jpg",
    "/nothing",
)
ODD_PATHS = (
    "*",
    "",
    "/",
    "//api/gigs",
    "/api/gigs/",
    "/api/%67igs",
    "/api/gigs/%00",
    "/api/gigs/%",
    "/api/gigs/%zz",
    "/api/./gigs",
    "/api/../api/gigs",
    "/api/gigs/..%2f",
    "/api/gigs\t",
    "/api/gigs\x01",
    "/api/gigs\x7f",
    "/api/gig\xe4",
    "/api/gigs#x",
    "http://edge/api/gigs",
    "http://a@b/api/gigs",
    "https://edge/api/gigs",
    "HTTP://EDGE/api/gigs",
    "http:///api/gigs",
    "edge:80",
    "api/gigs",
    "?q=a",
    "/api/gigs?q=%ff",
    "/api/gigs?\x80",
    "/api/gigs?q=a b",
    "/api/gigs?" + "q=a&" * 300,
    "/" + "a" * 9000,
    "/api/gigs/" + "%2e" * 50,
    "/api\\gigs",
    "/api/gigs;x=1",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ODD_METHODS = ("QUERY", "TRACE", "CONNECT", "PRI", "get", "BREW", "", "G\x00T", "GE T", "A" * 300, "M-SEARCH", "\xe4")
HOSTS = (
    "",
    " ",
    "a@b",
    "a b",
    "edge:80:80",
    "[::1]",
    "[::1",
    "edge:x",
    "edge:99999",
    "\x01",
    "edge\x00",
    "\xe4",
    "a,b",
    "a/b",
    "edge?x",
    "%",
    "%zz",
    "-",
    "*",
    "a" * 4000,
    "xn--",
    "_",
    "http://edge",
    "user:pass@edge",
    "edge#",
    "e\tdge",
    ".",
    "..",
)
VALUES = (
    "",
    " ",
    "a",
    "a\tb",
    "\t",
    "a\x00b",
    "a\x01b",
    "a\x7fb",
    "a\rb",
    "a\nb",
    "\xe4",
    "\xff\xfe",
    "a\x80",
    "\u00a0",
    "a" * 2000,
    "a" * 9000,
    "a,b",
    '"',
    '"a',
    "%00",
    "-1",
    "0",
    "1e9",
    "18446744073709551616",
    "99999999999999999999",
    "chunked",
    "gzip",
    "identity",
    "close",
    "upgrade",
    "trailers",
    "*/*",
    "bytes=0-",
    "Bearer a.b.c",
    "Bearer " + "a" * 3000,
    "\x1b[31m",
)
INSERTED = (b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b"\r\n ", b"\r\n\r\n", b":", b"%0d%0a")
VERSIONS = ("HTTP/1.0", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "http/1.1", "")
CHUNKED_ENDS = (b"0\r\n\r\n", b"", b"0\r\nX-T: 1\r\n\r\n", b"g\r\n")
NAMES = (
    "host",
    "content-length",
    "transfer-encoding",
    "te",
    "connection",
    "upgrade",
    "expect",
    "trailer",
    "keep-alive",
    "cookie",
    "proxy-connection",
    "http2-settings",
    "authorization",
    "content-type",
    "content-encoding",
    "idempotency-key",
    "last-event-id",
    "if-match",
    "if-none-match",
    "traceparent",
    "tracestate",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-envoy-retry-on",
    "x-edge-body",
    "x-edge-complete",
    "x-error-status",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-status",
    "a-bin",
    "accept",
    "x_y",
    "range",
    "origin",
    "stripe-signature",
    ":path",
    ":status",
    ":authority",
    ":scheme",
    ":method",
    ":protocol",
    "",
    " a",
    "a ",
    "a b",
    "A",
    "\xe4",
    "a\x00",
    "a:",
    "a(",
    "x" * 200,
    "http2",
    "via",
    "forwarded",
    "accept-encoding",
    "x-envoy-",
    "x-envoy-original-path",
    "x-envoy-internal",
    "x-envoy-upstream-rq-timeout-ms",
    "content-range",
    "max-forwards",
    "date",
)


def header(random: Random) -> tuple[str, str]:
    """Return a header that an ordinary client would not send like this."""
    name, value = random.choice(NAMES), random.choice(VALUES)
    if random.random() < 0.1:
        value += chr(random.randrange(256))
    if random.random() < 0.05:
        name += chr(random.randrange(256))
    return name, value


def body(random: Random) -> bytes:
    """Return a body, mostly no good one."""
    return random.choice((b"", b"{}", b"{", b"\x00", b'{"title": "a"}', b"[1]", b"a" * 70_000, random.randbytes(50)))


def http1(random: Random, token: str) -> bytes:
    """Return the bytes of a connection of HTTP/1: one request or a few."""
    requests = [_request(random, token) for _ in range(random.choice((1, 1, 1, 2, 3)))]
    data = b"".join(requests)
    return _mutated(random, data) if random.random() < 0.25 else data


def _request(random: Random, token: str) -> bytes:
    # Half of the requests are good but for a few headers, so that they reach the services.
    is_good = random.random() < 0.5
    method = random.choice(METHODS if is_good or random.random() < 0.8 else ODD_METHODS)
    path = random.choice(PATHS if is_good or random.random() < 0.7 else ODD_PATHS)
    version = "HTTP/1.1" if is_good or random.random() < 0.7 else random.choice(VERSIONS)
    host = "Host: edge"
    if not is_good and random.random() < 0.3:
        host = random.choice(("", "Host: a\r\nHost: b", f"Host: {random.choice(HOSTS)}"))
    lines = [f"{method} {path} {version}", host] if host else [f"{method} {path} {version}"]
    if random.random() < 0.5:
        lines.append(f"Authorization: Bearer {token}")
    content = body(random) if method not in ("GET", "HEAD") or random.random() < 0.2 else b""
    framing = random.randrange(6 if is_good else 8)
    if framing == 0:
        lines.append("Transfer-Encoding: chunked")
        content = b"%x\r\n%s\r\n" % (len(content), content) + random.choice(CHUNKED_ENDS)
    elif framing == 1:
        lines.append(f"Content-Length: {len(content) + random.randint(-2, 5)}")
    elif content:
        lines.append(f"Content-Length: {len(content)}")
    for _ in range(random.choice((0, 0, 1, 1, 2, 3))):
        name, value = header(random)
        separator = ": " if is_good or random.random() < 0.7 else random.choice((":", " : ", ":\t", ":\r\n ", ""))
        lines.insert(random.randint(1, len(lines)), f"{name}{separator}{value}")
    if random.random() < 0.03:
        lines += [f"X-{number}: 1" for number in range(random.choice((90, 101, 500)))]
    end = "\r\n" if is_good else random.choice(("\r\n",) * 9 + ("\n", "\r"))
    return end.join([*lines, "", ""]).encode("latin-1", "replace") + content


def _mutated(random: Random, data: bytes) -> bytes:
    """Change a few bytes; mostly within the head."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        if not changed:
            break
        at = random.randrange(min(len(changed), 300))
        match random.randrange(5):
            case 0:
                changed[at] = random.randrange(256)
            case 1:
                del changed[at]
            case 2:
                changed.insert(at, random.randrange(256))
            case 3:
                changed[at:at] = random.choice(INSERTED)
            case _:
                del changed[at + 20 :]
    return bytes(changed)


@dataclass
class Http2:
    """The bytes of a connection of HTTP/2. The streams in `good` must be answered with 200, whatever the others are."""

    data: bytes = b""
    good: list[int] = field(default_factory=list)


def http2(random: Random, token: str) -> Http2:
    """Return a connection with broken streams between good ones, or one whose frames are broken."""
    encoder, frames = hpack.Encoder(), []
    good, stream = [], 1
    breaks_connection = random.random() < 0.4
    for _ in range(random.randint(1, 4)):
        if random.random() < 0.5:
            frames.append(headers_frames(encoder, stream, _good_request(), end=True))
            good.append(stream)
        else:
            frames += _broken_stream(random, encoder, stream, token)
        stream += 2
    frames.append(headers_frames(encoder, stream, _good_request(), end=True))
    good.append(stream)
    if breaks_connection:
        for _ in range(random.randint(1, 3)):
            frames.insert(random.randint(0, len(frames)), _odd_frame(random, encoder, stream))
    settings = SettingsFrame(0, settings=_settings(random) if breaks_connection else {}).serialize()
    data = PREFACE + settings + b"".join(frames)
    if breaks_connection and random.random() < 0.4:
        data = PREFACE + _mutated(random, data[len(PREFACE) :])
    return Http2(data, [] if breaks_connection else good)


def _good_request() -> list[tuple[str, str]]:
    return [(":method", "GET"), (":scheme", "http"), (":authority", "edge"), (":path", "/api/categories")]


def _broken_stream(random: Random, encoder: hpack.Encoder, stream: int, token: str) -> list[bytes]:
    """Return the frames of one stream that is wrong in itself, and not as a part of the connection."""
    is_good = random.random() < 0.5
    headers = [
        (":method", random.choice(METHODS if is_good or random.random() < 0.7 else ODD_METHODS)),
        (":scheme", "http" if is_good else random.choice(("http", "https", "", "ftp", "\x00", "a" * 50))),
        (":authority", "edge" if is_good or random.random() < 0.6 else random.choice(HOSTS)),
        (":path", random.choice(PATHS if is_good or random.random() < 0.6 else ODD_PATHS)),
    ]
    if random.random() < 0.5:
        headers.append(("authorization", f"Bearer {token}"))
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        headers.insert(random.randint(0, len(headers)) if random.random() < 0.2 else len(headers), header(random))
    if not is_good and random.random() < 0.2:
        del headers[random.randrange(len(headers))]
    if random.random() < 0.1:
        random.shuffle(headers)
    content = body(random)[:16_000] if random.random() < 0.6 else None
    frames = [headers_frames(encoder, stream, headers, end=content is None)]
    if content is not None:
        has_trailers = random.random() < 0.3
        ends = [] if has_trailers or random.random() < 0.2 else ["END_STREAM"]
        frames.append(DataFrame(stream, content, flags=ends).serialize())
        if has_trailers:
            frames.append(headers_frames(encoder, stream, [header(random)], end=True))
    if random.random() < 0.2:
        frames.append(RstStreamFrame(stream, error_code=random.choice((0, 7, 8, 99))).serialize())
    return frames


def _settings(random: Random) -> dict[int, int]:
    return {random.choice((1, 2, 3, 4, 5, 6, 8, 99)): random.choice((0, 1, 100, 65535, 2**31 - 1, 2**32 - 1))}


def _odd_frame(random: Random, encoder: hpack.Encoder, last: int) -> bytes:
    """Return a frame, or some of them, that a connection may not survive."""
    stream = random.choice((0, 1, 2, last, last + 2, 2**31 - 1))
    count = random.choice((1, 1, 20, 300))
    match random.randrange(10):
        case 0:
            return WindowUpdateFrame(stream, window_increment=random.choice((1, 65535, 2**31 - 1))).serialize() * count
        case 1:
            return RstStreamFrame(max(stream, 1), error_code=8).serialize() * count
        case 2:
            return PingFrame(0, b"12345678").serialize() * count
        case 3:
            return SettingsFrame(0, settings=_settings(random)).serialize() * count
        case 4:
            return PriorityFrame(max(stream, 1), depends_on=0, stream_weight=1).serialize() * count
        case 5:
            return ContinuationFrame(max(stream, 1), b"\x82" * 10).serialize() * count
        case 6:
            return GoAwayFrame(0, last_stream_id=1, error_code=0).serialize()
        case 7:
            opened = HeadersFrame(last + 2, b"\x82" * 5).serialize()
            return opened + ContinuationFrame(last + 2, b"\x00\x01a\x01b" * 100).serialize() * count
        case 8:
            reset = RstStreamFrame(last + 2, error_code=8).serialize()
            return b"".join(headers_frames(encoder, last + 2, _good_request(), end=True) + reset for _ in range(count))
        case _:
            kind, flags = random.randrange(20), random.randrange(256)
            payload = random.randbytes(random.choice((0, 1, 8, 50)))
            return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
