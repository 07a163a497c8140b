"""Secrets in the wrong place of a request: they stand in no log."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx

from tests.support.bystanders import bystanders
from tests.support.stack import Stack
from tests.support.story import Market, a_gig, ok


def written(stack: Stack) -> Iterator[tuple[Path, str]]:
    """Yield the logs of all processes, and the foreground process's output."""
    yield stack.output, stack.output.read_text(errors="replace")
    for path in stack.data_dir.rglob("*.log*"):
        yield path, path.read_text(errors="replace")


def assert_in_no_log(stack: Stack, *hidden: str) -> None:
    # Envoy writes its log after a second at most, the services at once.
    time.sleep(2)
    for path, text in written(stack):
        for each in hidden:
            assert each not in text, f"{each} stands in {path}"


def test_a_token_stands_in_no_log_wherever_a_request_has_it(stack: Stack) -> None:
    token = stack.token("leaky", "seller", "buyer")
    parts = token.split(".")
    other = [secrets.token_urlsafe(90) for _ in range(3)]
    forged = ".".join(other)
    escaped = "".join(f"%{ord(letter):02X}" for letter in token)
    with bystanders(stack) as others, stack.client() as client:
        for each in (token, forged):
            for path in (
                f"/api/gigs?access_token={each}",
                f"/api/gigs?{each}=1",
                f"/api/gigs?pageToken={each}",
                f"/api/gigs?q={each}",
                f"/api/gigs/{each}",
                f"/gig/{each}/images",
                f"/{each}",
                f"/media/{each}",
                f"/media/ab/{'ab' * 16}.jpg?{each}",
                f"/api/orders/{each}?{each}",
            ):
                for method in ("GET", "POST", "QUERY"):
                    client.request(method, path)
            for name in ("X-Request-Id", "Cookie", "User-Agent", "X-Api-Key", "Traceparent", "Tracestate", "If-Match"):
                client.get("/api/gigs", headers={name: each})
                client.post("/api/gigs", json=a_gig(), headers={name: each, "authorization": f"Bearer {token}"})
            for authorization in (f"Basic {each}", f"Bearer {each}x", f"Bearer {each}", each, f"Bearer  {each} {each}"):
                client.get("/api/orders", headers={"authorization": authorization})
            client.request(each, "/api/gigs")
            for body in (f'{{"title": "{each}"}}', f'{{"{each}": 1}}', each, f'{{"title": {{"{each}": "\\ud800"}}}}'):
                json_type = {"content-type": "application/json"}
                client.post("/api/gigs", content=body, headers={**json_type, "authorization": f"Bearer {token}"})
            for line in (
                f"GET /{each}\x01 HTTP/1.1",
                f"GET / HTTP/1.1\r\nContent-Length: {each}",
                f"{each} / HTTP/1.0",
            ):
                with suppress(OSError, ValueError), socket.create_connection(("127.0.0.1", stack.ports.edge), 5) as raw:
                    raw.sendall(f"{line}\r\nHost: {each}\r\n\r\n".encode())
                    raw.recv(65536)
        client.get(f"/api/gigs/{escaped}")
        client.get(f"/api/gigs?q={escaped}")
    others.require_served()

    assert_in_no_log(stack, *parts[1:], *other, escaped, escaped.lower())


def test_texts_keys_and_cards_of_ordinary_requests_stand_in_no_log(stack: Stack) -> None:
    market = Market.of(stack)
    text, key, card, search = (f"{kind}-{secrets.token_hex(12)}" for kind in ("text", "key", "tok_visa", "search"))
    gig = market.gig()
    order = market.order_request(gig, card) | {"requirements": text}
    with suppress(httpx.HTTPError):
        for _ in range(2):
            market.buyer.post("/api/orders", json=order, headers={"idempotency-key": key})
        changed = order | {"requirements": f"{text} changed"}
        market.buyer.post("/api/orders", json=changed, headers={"idempotency-key": key})
        market.buyer.post("/api/orders", json=order, headers={"idempotency-key": f"{key}\x7f"})
        market.buyer.post(f"/api/orders/{uuid4()}/cancel", json={"message": text})
        market.seller.post("/api/gigs", json=a_gig(title=text + "\x00"))
        market.seller.post("/api/gigs", json=a_gig(categoryId=text))
        market.seller.put("/api/payout-account", json={"destination": card})
        ok(market.buyer.get(f"/api/gigs?q={quote(search)}"))
        market.buyer.get(f"/api/gigs?pageToken={search}")
        market.buyer.get(f"/api/orders?pageToken={search}")

    assert_in_no_log(stack, text, key, card, search)
