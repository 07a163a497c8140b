"""Handlers that call outside run in threads of their own, with a bounded queue."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import UUID

import grpc
import pytest

from marketplace.review.v1 import review_pb2, review_pb2_grpc
from servicekit.call import ANYONE, Call, Caller
from servicekit.outside import OutsidePool, calls_outside
from servicekit.pipeline import Pipeline
from tests.support.eventually import eventually
from tests.support.identity import token, verifier

ORDER = "550e8400-e29b-41d4-a716-446655440000"
SERVICE = review_pb2.DESCRIPTOR.services_by_name["ReviewService"]
CAPACITY = 128


class Handlers:
    """A read, and a write that calls outside until `release` is set. `running` counts the calls that were begun."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.running: list[str] = []

    @calls_outside
    def SubmitReview(self, request: review_pb2.SubmitReviewRequest, call: Call) -> review_pb2.SubmitReviewResponse:
        self.running.append(threading.current_thread().name)
        assert self.release.wait(30)
        return review_pb2.SubmitReviewResponse(review_id="1")

    def ListReviews(self, request: review_pb2.ListReviewsRequest, call: Call) -> review_pb2.ListReviewsResponse:
        return review_pb2.ListReviewsResponse(total=7)

    def ReplyToReview(self, request: review_pb2.ReplyToReviewRequest, call: Call) -> review_pb2.ReplyToReviewResponse:
        return review_pb2.ReplyToReviewResponse()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name) if name.startswith("_") else AssertionError(name)


@contextmanager
def serving(handlers: Any, threads: int) -> Iterator[review_pb2_grpc.ReviewServiceStub]:
    """Serve the handlers with two threads for reads and so many for calls outside; yield a stub."""
    server = grpc.server(ThreadPoolExecutor(2), maximum_concurrent_rpcs=CAPACITY)
    wrapped = Pipeline(verifier(), outside_pool=OutsidePool(threads)).around(handlers, SERVICE)
    review_pb2_grpc.add_ReviewServiceServicer_to_server(wrapped, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield review_pb2_grpc.ReviewServiceStub(channel)
    server.stop(None).wait()


def submit(stub: review_pb2_grpc.ReviewServiceStub, seconds: float = 30, user: str = "ann") -> Any:
    request = review_pb2.SubmitReviewRequest(order_id=ORDER, rating=5)
    metadata = (("authorization", f"Bearer {token(user, 'buyer')}"),)
    return stub.SubmitReview.future(request, metadata=metadata, timeout=seconds)


def outcome(call: Any) -> grpc.StatusCode:
    error = call.exception(30)
    return grpc.StatusCode.OK if error is None else error.code()


def test_reads_are_served_while_every_place_outside_is_taken() -> None:
    handlers = Handlers()
    with serving(handlers, threads=3) as stub:
        calls = [submit(stub) for _ in range(100)]
        eventually(lambda: len(handlers.running) == 3)

        reads = [stub.ListReviews(review_pb2.ListReviewsRequest(gig_id=ORDER), timeout=30).total for _ in range(20)]
        handlers.release.set()
        outcomes = [outcome(call) for call in calls]

    assert reads == [7] * 20
    # Three that run and three that wait; the rest is refused before it has begun.
    assert sorted(outcomes, key=str) == [grpc.StatusCode.OK] * 6 + [grpc.StatusCode.UNAVAILABLE] * 94
    assert len(handlers.running) == 6


def test_a_refused_call_is_unavailable_with_a_time_to_retry() -> None:
    handlers = Handlers()
    with serving(handlers, threads=1) as stub:
        first, second = submit(stub), submit(stub)
        eventually(lambda: len(handlers.running) == 1)

        third = submit(stub)

        assert third.exception(30).code() is grpc.StatusCode.UNAVAILABLE
        assert ("retry-after", "1") in [tuple(entry) for entry in third.trailing_metadata()]
        handlers.release.set()
        assert [outcome(first), outcome(second)] == [grpc.StatusCode.OK] * 2
        eventually(lambda: outcome(submit(stub)) is grpc.StatusCode.OK)


def test_the_wait_for_a_place_counts_against_the_deadline() -> None:
    handlers = Handlers()
    with serving(handlers, threads=1) as stub:
        first = submit(stub)
        eventually(lambda: len(handlers.running) == 1)
        waiting = submit(stub, seconds=0.3)

        assert outcome(waiting) is grpc.StatusCode.DEADLINE_EXCEEDED
        handlers.release.set()
        assert outcome(first) is grpc.StatusCode.OK
        # A place is free a moment after its call has been answered.
        eventually(lambda: outcome(submit(stub)) is grpc.StatusCode.OK)

    # The call whose time was over in the queue has begun nothing.
    assert len(handlers.running) == 2


def test_a_user_whose_calls_are_slow_has_half_of_the_threads_and_others_are_served() -> None:
    handlers = Handlers()
    with serving(handlers, threads=10) as stub:
        slow = [submit(stub) for _ in range(5)]
        eventually(lambda: len(handlers.running) == 5)

        refused = [submit(stub) for _ in range(64)]
        # Refused within the time of a call, though none of the user's calls has ended.
        assert {outcome(call) for call in refused} <= {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
        last = submit(stub)
        assert (outcome(last), last.details()) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "At most 5 such requests at once",
        )
        assert ("retry-after", "1") in [tuple(entry) for entry in last.trailing_metadata()]

        others = [submit(stub, user="bob") for _ in range(5)]
        eventually(lambda: len(handlers.running) == 10)
        handlers.release.set()

        assert {outcome(call) for call in [*slow, *others]} == {grpc.StatusCode.OK}
        assert outcome(submit(stub)) is grpc.StatusCode.OK


def test_a_user_may_make_four_calls_at_once_where_there_are_few_threads() -> None:
    handlers = Handlers()
    with serving(handlers, threads=4) as stub:
        calls = [submit(stub) for _ in range(4)]
        eventually(lambda: len(handlers.running) == 4)

        handlers.release.set()

        assert {outcome(call) for call in calls} == {grpc.StatusCode.OK}


@pytest.mark.parametrize("caller", [ANYONE, Caller(UUID(ORDER), "review", frozenset({"service"}))])
def test_services_and_anonymous_clients_have_no_bound_of_a_user(caller: Caller) -> None:
    pool = OutsidePool(8)
    with ExitStack() as calls:
        for _ in range(20):
            calls.enter_context(pool.user_place(caller))


@pytest.mark.parametrize("error", [None, ValueError("broken")])
def test_a_place_is_free_again_however_its_call_ends(error: Exception | None) -> None:
    pool = OutsidePool(1)

    def work() -> None:
        if error:
            raise error

    calls: list[Future[None]] = []
    for _ in range(50):
        calls.append(pool.submit(work))
        calls[-1].exception(30)

    assert {type(call.exception(30)) for call in calls} == {type(error)}
    pool.shutdown()
