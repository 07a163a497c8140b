"""A body that goes to its service as it is: a payment provider signs it byte by byte."""

from __future__ import annotations

import httpx
import pytest

from tests.support.edge import Edge, assert_refused

WEBHOOK = "/api/webhooks/stripe"
MIB = 1024 * 1024


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "evt_1",  "amount":5.10, "x": "\\u00e4"}\n',
        b"[1, 2]",
        b"no JSON at all \x00\xff",
        b"x" * (MIB - 100),
        b"",
    ],
    ids=["spaced", "a list", "no JSON", "nearly a MiB", "empty"],
)
def test_it_arrives_byte_by_byte_with_its_signature(edge: Edge, api: httpx.Client, body: bytes) -> None:
    headers = {"content-type": "application/json; charset=utf-8", "stripe-signature": "t=1,v1=abc"}

    response = api.post(WEBHOOK, content=body, headers=headers)

    assert response.status_code == 200
    assert response.json() == {}
    received = edge.order.last()
    assert received.request.event.data == body
    assert received.metadata["stripe-signature"] == "t=1,v1=abc"


def test_no_kind_of_body_makes_the_transcoder_step_aside(edge: Edge, api: httpx.Client) -> None:
    for kind in ("application/grpc", "application/grpc-web", "text/plain", "multipart/form-data; boundary=x"):
        response = api.post(WEBHOOK, content=b"{}", headers={"content-type": kind})

        assert response.status_code == 200, kind
        assert edge.order.last().request.event.data == b"{}"


def test_what_is_too_large_is_refused(edge: Edge, api: httpx.Client) -> None:
    assert_refused(api.post(WEBHOOK, content=b"x" * (MIB + 1)), 413, "PAYLOAD_TOO_LARGE")

    assert edge.received() == 0


def test_a_token_says_nothing_here_but_a_bad_one_is_refused(edge: Edge, api: httpx.Client) -> None:
    assert api.post(WEBHOOK, content=b"{}").status_code == 200
    assert_refused(api.post(WEBHOOK, content=b"{}", headers={"authorization": "Bearer x.y.z"}), 401, "UNAUTHORIZED")
