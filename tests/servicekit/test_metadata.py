"""The metadata of a call: what is taken of headers from outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit import metadata

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def parsed(**headers: str) -> dict[str, str]:
    """Parse headers, whose names have underscores here."""
    return metadata.parse([(name.replace("_", "-"), value) for name, value in headers.items()])


def test_a_trace_is_passed_on() -> None:
    known = parsed(traceparent=TRACE, tracestate="congo=t61rcWkgMzE, rojo=00f067aa0ba902b7,a@b=1,")

    assert dict(metadata.forwarded(known)) == known
    assert known["traceparent"] == TRACE
    assert known["tracestate"] == "congo=t61rcWkgMzE, rojo=00f067aa0ba902b7,a@b=1,"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        TRACE + "\t",
        "\t" + TRACE,
        TRACE.replace("-", "\t", 1),
        TRACE.upper(),
        TRACE + "-00",
        TRACE + "\n",
        TRACE + "\0",
        "ff" + TRACE[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        "\u0660" + TRACE[1:],
        TRACE + "0" * 10_000,
    ],
    ids=lambda value: ascii(value)[:70],
)
def test_a_malformed_trace_is_left_out_with_its_state(value: str) -> None:
    assert set(parsed(traceparent=value, tracestate="a=1")) == {"x-request-id"}


@pytest.mark.parametrize(
    "value",
    ["x", "a=", "a=1\t2", "A=1", "=1", "a=b=c", "a=1,b", "a=\u00e9", "a=1\0", "a=" + "x" * 257, ",".join(["a=1"] * 33)],
    ids=lambda value: ascii(value)[:30],
)
def test_a_malformed_state_of_a_trace_is_left_out(value: str) -> None:
    known = parsed(traceparent=TRACE, tracestate=value)

    assert known["traceparent"] == TRACE
    assert "tracestate" not in known


@pytest.mark.parametrize("value", ["", "a b", "a" * 65, "a\tb", "\u00e9", "a\0", "a\n"])
def test_a_request_id_of_another_form_is_replaced(value: str) -> None:
    assert parsed(x_request_id=value)["x-request-id"] != value
    assert len(parsed(x_request_id=value)["x-request-id"]) == 36


def test_unknown_headers_and_bytes_are_left_out() -> None:
    known = metadata.parse([("cookie", "a"), ("x-user-id", "b"), ("trace-bin", b"c"), ("authorization", "Bearer x")])

    assert known == {"authorization": "Bearer x", "x-request-id": known["x-request-id"]}


def test_a_header_that_comes_twice_is_one_list() -> None:
    known = metadata.parse([("if-match", '"1-0-1"'), ("if-match", "*"), ("traceparent", TRACE), ("traceparent", TRACE)])

    assert known["if-match"] == '"1-0-1", *'
    assert "traceparent" not in known


@given(st.lists(st.tuples(st.sampled_from(sorted(metadata.KNOWN)), st.text() | st.binary())))
def test_whatever_is_forwarded_can_be_sent(headers: list[tuple[str, str | bytes]]) -> None:
    for name, value in metadata.forwarded(metadata.parse(headers)):
        assert name in metadata.FORWARDED
        assert value.isascii() and value.isprintable()
