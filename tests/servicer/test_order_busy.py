"""A provider that is slow and has no free places: busy is not doubt, and reads are answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from marketplace.order.v1 import order_pb2, order_pb2_grpc
from order_service.payments.sandbox import scenarios
from servicekit.outside import OutsidePool
from servicekit.pipeline import Pipeline
from servicekit.status import DETAILS_KEY
from tests.support.eventually import eventually
from tests.support.identity import verifier
from tests.support.order_rows import row_counts
from tests.support.orderservice import BUYER, PACKAGE, SELLER, SERVICE, OrderBackend

SECONDS = 60.0


@contextmanager
def serving(world: OrderBackend, places: int) -> Iterator[order_pb2_grpc.OrderServiceStub]:
    """Serve the worker with four threads and so many places at the provider; yield a stub."""
    server = grpc.server(ThreadPoolExecutor(4), maximum_concurrent_rpcs=128)
    pipeline = Pipeline(verifier(), world.worker.idempotency_keys, OutsidePool(places))
    order_pb2_grpc.add_OrderServiceServicer_to_server(pipeline.around(world.worker.servicer, SERVICE), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield order_pb2_grpc.OrderServiceStub(channel)
    server.stop(None).wait()


def bearer(sent_token: str) -> Any:
    return (("authorization", f"Bearer {sent_token}"),)


def reason(error: Any) -> str:
    """Return the catalogue's code of an error."""
    details = dict(error.trailing_metadata())[DETAILS_KEY]
    info = error_details_pb2.ErrorInfo()
    status_pb2.Status.FromString(details).details[0].Unpack(info)
    return str(info.reason)


def place_until_placed(stub: order_pb2_grpc.OrderServiceStub, refused: list[str]) -> str:
    """Place an order without a key, as a client does that repeats after 503. Return its id."""
    request = order_pb2.PlaceOrderRequest(
        package_id=PACKAGE, payment_method="sandbox", payment_token=scenarios.SLOW, expected_price=500
    )
    while True:
        try:
            return str(stub.PlaceOrder(request, timeout=SECONDS, metadata=bearer(BUYER)).order_id)
        except grpc.RpcError as error:
            refused.append(reason(error))
            time.sleep(0.2)


def test_twelve_clients_that_repeat_after_503_place_twelve_orders_and_reads_are_answered(world: OrderBackend) -> None:
    refused: list[str] = []
    reads = 0
    with serving(world, places=2) as stub, ThreadPoolExecutor(12) as pool:
        placings = [pool.submit(place_until_placed, stub, refused) for _ in range(12)]
        while not all(placing.done() for placing in placings):
            world.worker.payment_recovery.recover_due()
            # Eight threads wait for the provider or are refused; a read needs none of them.
            stub.ListOrders(order_pb2.ListOrdersRequest(), timeout=SECONDS, metadata=bearer(BUYER))
            reads += 1
        orders = [placing.result() for placing in placings]
    world.settle_with_retries()

    assert len(set(orders)) == 12
    assert sorted(world.listed(BUYER)) == sorted(orders)
    # Some found no place, and for none of those anything was begun.
    assert set(refused) == {"UNAVAILABLE"}
    assert row_counts(world) == {"orders": 12, "attempts": 0, "keys": 0, "outbox": 0}
    assert len(world.sandbox_payments()) == 12
    assert reads > 12


def test_a_busy_provider_leaves_an_accept_as_if_it_had_not_come_and_binds_no_key(world: OrderBackend) -> None:
    order = world.placed()
    release, running = threading.Event(), threading.Event()
    check_destination = world.sandbox.check_destination

    def wait(destination: str) -> None:
        running.set()
        assert release.wait(SECONDS)
        check_destination(destination)

    world.sandbox.check_destination = wait  # type: ignore[method-assign]
    set_account = order_pb2.SetPayoutAccountRequest(destination="acct_1")
    accept = order_pb2.AcceptOrderRequest(order_id=order)
    place = order_pb2.PlaceOrderRequest(package_id=PACKAGE, payment_method="sandbox")
    with serving(world, places=1) as stub:
        # One call runs, another one waits, and the third one is refused: no place is free.
        busy: list[Any] = [
            stub.SetPayoutAccount.future(set_account, timeout=SECONDS, metadata=bearer(SELLER)) for _ in range(3)
        ]
        eventually(lambda: running.is_set() and sum(call.done() for call in busy) == 1)
        before = row_counts(world)

        keyed = (*bearer(BUYER), ("idempotency-key", "k"))
        refused: list[Any] = [
            stub.AcceptOrder.future(accept, timeout=SECONDS, metadata=bearer(SELLER)),
            stub.PlaceOrder.future(place, timeout=SECONDS, metadata=keyed),
        ]

        assert [reason(call.exception(SECONDS)) for call in refused] == ["UNAVAILABLE"] * 2
        assert row_counts(world) == before == {"orders": 1, "attempts": 0, "keys": 0, "outbox": 0}
        assert (world.payment(order), world.actions(order, BUYER)) == (("AUTHORIZED", 0), ["cancel"])
        release.set()
        assert sorted(reason(call.exception(SECONDS)) for call in busy if call.exception(SECONDS)) == ["UNAVAILABLE"]
