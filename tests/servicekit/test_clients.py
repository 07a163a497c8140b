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
from servicekit import status
from servicekit.call import Call, current_call
from servicekit.clients import MAX_SECONDS, Client, channel
from servicekit.errors import Conflict, MarketplaceError, NotFound
from servicekit.identity import ServiceTokens
from tests.support.identity import signing_key, verifier

Answer = Callable[[grpc.ServicerContext], Any]
SERVICE = order_pb2.DESCRIPTOR.services_by_name["OrderService"]
REQUEST = order_pb2.DescribeOrderRequest(order_id=str(uuid4()))


class Orders:
    """Answers what a test wants, and remembers what came."""

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
def served(*workers: Orders) -> Iterator[tuple[Callable[[], str], list[grpc.Server]]]:
    """A client's call, over workers of which each has a server."""
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
        addresses.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
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
    """As if a handler of this call ran."""
    token = current_call.set(call)
    try:
        yield
    finally:
        current_call.reset(token)


def test_calls_go_round_the_workers() -> None:
    with served(Orders("one"), Orders("two")) as (call, _):
        answers = {call() for _ in range(20)}

    assert answers == {"one", "two"}


def test_a_worker_that_is_gone_is_not_noticed() -> None:
    with served(Orders("one"), Orders("two")) as (call, servers):
        call()
        servers[0].stop(None).wait()

        assert [call() for _ in range(10)] == ["two"] * 10


def test_the_service_calls_as_itself_with_the_requests_id_and_trace() -> None:
    worker = Orders()
    handed = {"traceparent": "00-aa-bb-01", "authorization": "Bearer of-the-user", "cookie": "no"}

    with served(worker) as (call, _), within(Call(metadata=handed, request_id="abc-1")):
        call()

    seen = worker.metadata[0]
    assert (seen["x-request-id"], seen["traceparent"]) == ("abc-1", "00-aa-bb-01")
    assert "cookie" not in seen
    assert verifier().caller(seen["authorization"]).roles == {"service"}


def test_a_call_has_a_deadline_of_its_own_without_one_from_outside() -> None:
    worker = Orders()

    with served(worker) as (call, _):
        call()

    assert MAX_SECONDS - 1 < worker.seconds_left[0] < MAX_SECONDS + 0.1


def test_what_is_left_of_a_deadline_is_handed_on_less_a_reserve() -> None:
    worker = Orders()

    with served(worker) as (call, _), within(Call(deadline=time.monotonic() + 1)):
        call()

    assert worker.seconds_left[0] < 0.95


def test_a_deadline_that_passes_is_told_as_such() -> None:
    def sleep(context: grpc.ServicerContext) -> None:
        time.sleep(0.5)

    with served(Orders(answer=sleep)) as (call, _), within(Call(deadline=time.monotonic() + 0.3)):
        with pytest.raises(MarketplaceError) as told:
            call()
        assert told.value.code == "DEADLINE_EXCEEDED"


def test_nobody_there_is_unavailable() -> None:
    with served(Orders()) as (call, servers):
        servers[0].stop(None).wait()

        with pytest.raises(MarketplaceError) as told:
            call()
    assert told.value.code == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (NotFound("Order"), ("NOT_FOUND", "Order not found")),
        (Conflict("Not now", code="INVALID_TRANSITION"), ("INVALID_TRANSITION", "Not now")),
        (MarketplaceError("UNAUTHORIZED"), ("INTERNAL", "Internal error")),
        (MarketplaceError("FORBIDDEN"), ("INTERNAL", "Internal error")),
        (MarketplaceError("INTERNAL"), ("INTERNAL", "Internal error")),
    ],
)
def test_errors_come_out_as_they_were_but_for_those_about_this_service(
    said: MarketplaceError, told: tuple[str, str]
) -> None:
    def refuse(context: grpc.ServicerContext) -> None:
        answer = status.from_error(said)
        context.set_trailing_metadata(answer.metadata)
        context.abort(answer.code, answer.message)

    with served(Orders(answer=refuse)) as (call, _), pytest.raises(MarketplaceError) as heard:
        call()
    assert (heard.value.code, heard.value.message) == told
