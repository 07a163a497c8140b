"""Calls between services, over real gRPC."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from marketplace.order.v1 import order_pb2, order_pb2_grpc
from servicekit.call import MIN_CALL_SECONDS, RESERVE_SECONDS, Call, current_call
from servicekit.clients import MAX_SECONDS, Client, channel
from servicekit.errors import Conflict, DeadlineExceeded, MarketplaceError, NotFound
from servicekit.identity import ServiceTokens
from servicekit.status import status_from_error
from tests.support.identity import signing_key, verifier

Answer = Callable[[grpc.ServicerContext], Any]
SERVICE = order_pb2.DESCRIPTOR.services_by_name["OrderService"]
REQUEST = order_pb2.DescribeOrderRequest(order_id=str(uuid4()))


class Orders:
    """A worker of OrderService that runs `answer` before it responds, and keeps what it received."""

    def __init__(self, name: str = "", answer: Answer | None = None) -> None:
        self.name = name
        self.answer = answer
        self.metadata: list[dict[str, str]] = []
        self.seconds_left: list[float] = []

    def describe(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.metadata.append({entry.key: str(entry.value) for entry in context.invocation_metadata()})  # type: ignore[attr-defined]
        self.seconds_left.append(context.time_remaining())
        if self.answer:
            self.answer(context)
        return order_pb2.DescribeOrderResponse(order_id=self.name)


@contextmanager
def serving(*workers: Orders, host: str = "127.0.0.1") -> Iterator[tuple[Callable[[], str], list[grpc.Server]]]:
    """Run a server for each worker. Yields a client's call, and the servers."""
    servers, addresses = [], []
    for worker in workers:
        server = grpc.server(ThreadPoolExecutor(4))
        handler = grpc.unary_unary_rpc_method_handler(
            worker.describe,
            request_deserializer=order_pb2.DescribeOrderRequest.FromString,
            response_serializer=order_pb2.DescribeOrderResponse.SerializeToString,
        )
        service = grpc.method_handlers_generic_handler(SERVICE.full_name, {"DescribeOrder": handler})
        server.add_generic_rpc_handlers((service,))
        addresses.append(f"{host}:{server.add_insecure_port('127.0.0.1:0')}")
        server.start()
        servers.append(server)
    pem = signing_key("service").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    client = Client(ServiceTokens(pem, "review"))
    try:
        with channel(",".join(addresses)) as through:
            stub = order_pb2_grpc.OrderServiceStub(through)
            yield lambda: client.call(stub.DescribeOrder, REQUEST).order_id, servers
    finally:
        for server in servers:
            server.stop(None)


@contextmanager
def within(call: Call) -> Iterator[None]:
    """Run the block as this call's handler does."""
    token = current_call.set(call)
    try:
        yield
    finally:
        current_call.reset(token)


def test_calls_go_round_the_workers() -> None:
    with serving(Orders("one"), Orders("two")) as (call, _):
        answers = {call() for _ in range(20)}

    assert answers == {"one", "two"}


def test_workers_are_found_by_one_name() -> None:
    with serving(Orders("found"), host="localhost") as (call, _):
        assert call() == "found"


def test_a_worker_that_is_gone_is_not_noticed() -> None:
    with serving(Orders("one"), Orders("two")) as (call, servers):
        call()
        servers[0].stop(None).wait()

        assert [call() for _ in range(10)] == ["two"] * 10


def test_a_call_that_a_stopping_worker_cancels_is_answered_by_another() -> None:
    def cancel(context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.CANCELLED, "")

    stopping = Orders("stopping", cancel)
    with serving(stopping, Orders("staying")) as (call, _):
        answers = {call() for _ in range(20)}

    assert answers == {"staying"}
    assert stopping.metadata


def test_the_service_calls_as_itself_with_the_requests_id_and_trace() -> None:
    worker = Orders()
    metadata = {"traceparent": "00-aa-bb-01", "authorization": "Bearer of-the-user", "cookie": "no"}

    with serving(worker) as (call, _), within(Call(metadata=metadata, request_id="abc-1")):
        call()

    seen = worker.metadata[0]
    assert (seen["x-request-id"], seen["traceparent"]) == ("abc-1", "00-aa-bb-01")
    assert "cookie" not in seen
    assert verifier().caller(seen["authorization"]).roles == {"service"}


def test_a_call_has_a_deadline_of_its_own_without_one_from_outside() -> None:
    worker = Orders()

    with serving(worker) as (call, _):
        call()

    assert MAX_SECONDS - 1 < worker.seconds_left[0] < MAX_SECONDS + 0.1


def test_the_remaining_time_is_forwarded_less_a_reserve() -> None:
    worker = Orders()

    with serving(worker) as (call, _), within(Call(deadline=time.monotonic() + 2)):
        call()

    assert worker.seconds_left[0] < 2 - RESERVE_SECONDS + 0.05


def test_a_call_without_enough_time_is_refused_before_it_is_made() -> None:
    worker = Orders()
    too_little = RESERVE_SECONDS + MIN_CALL_SECONDS - 0.01

    with (
        serving(worker) as (call, _),
        within(Call(deadline=time.monotonic() + too_little)),
        pytest.raises(DeadlineExceeded),
    ):
        call()

    assert worker.metadata == []


def test_a_deadline_that_passes_is_deadline_exceeded() -> None:
    def sleep(context: grpc.ServicerContext) -> None:
        time.sleep(1)

    with serving(Orders(answer=sleep)) as (call, _), within(Call(deadline=time.monotonic() + 0.4)):
        with pytest.raises(MarketplaceError) as raised:
            call()
        assert raised.value.code == "DEADLINE_EXCEEDED"


def test_nobody_there_is_unavailable() -> None:
    with serving(Orders()) as (call, servers):
        servers[0].stop(None).wait()

        with pytest.raises(MarketplaceError) as raised:
            call()
    assert raised.value.code == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotFound("Order"), ("NOT_FOUND", "Order not found")),
        (Conflict("Not now", code="INVALID_TRANSITION"), ("INVALID_TRANSITION", "Not now")),
        (MarketplaceError("UNAUTHORIZED"), ("INTERNAL", "Internal error")),
        (MarketplaceError("FORBIDDEN"), ("INTERNAL", "Internal error")),
        (MarketplaceError("INTERNAL"), ("INTERNAL", "Internal error")),
    ],
)
def test_errors_come_out_as_they_were_but_for_those_about_this_service(
    error: MarketplaceError, expected: tuple[str, str]
) -> None:
    def refuse(context: grpc.ServicerContext) -> None:
        status = status_from_error(error)
        context.set_trailing_metadata(status.metadata)
        context.abort(status.code, status.message)

    with serving(Orders(answer=refuse)) as (call, _), pytest.raises(MarketplaceError) as raised:
        call()
    assert (raised.value.code, raised.value.message) == expected
