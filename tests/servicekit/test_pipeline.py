"""The pipeline, with ReviewService's contract and the tests' own handlers."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from marketplace.gig.v1 import gig_pb2
from marketplace.review.v1 import review_pb2, review_pb2_grpc
from servicekit import validation
from servicekit.call import MIN_CALL_SECONDS, Call, Caller, current_call, note_write
from servicekit.errors import CODES, Conflict, InvalidArgument, MarketplaceError, RateLimited, Violation, spec_of
from servicekit.pipeline import Pipeline
from servicekit.server import ByteResponses
from tests.support.identity import service_token, token, user_id, verifier
from tests.support.rpc import Rpc

ORDER = "550e8400-e29b-41d4-a716-446655440000"
GIGS = gig_pb2.DESCRIPTOR.services_by_name["GigService"]
SERVICE = review_pb2.DESCRIPTOR.services_by_name["ReviewService"]


def a_review(**changed: Any) -> review_pb2.SubmitReviewRequest:
    return review_pb2.SubmitReviewRequest(**{"order_id": ORDER, "rating": 5, "comment": "Good", **changed})


class Anything:
    """Handlers of every RPC, of which none should be called."""

    def __getattr__(self, name: str) -> Any:
        def unexpected(request: Any, call: Call) -> Any:
            raise AssertionError(f"{name} was not to be called")

        return unexpected


class Handlers:
    """Handlers that respond as a test says, and keep the call."""

    def __init__(self, submit: Callable[[Any, Call], Any] | None = None) -> None:
        self._submit = submit
        self.seen: Call | None = None
        self.request: Any = None

    def SubmitReview(self, request: review_pb2.SubmitReviewRequest, call: Call) -> Any:
        self.seen, self.request = call, request
        return self._submit(request, call) if self._submit else review_pb2.SubmitReviewResponse(review_id="1")

    def ListReviews(self, request: review_pb2.ListReviewsRequest, call: Call) -> Any:
        self.seen = call
        return review_pb2.ListReviewsResponse()

    def ReplyToReview(self, request: review_pb2.ReplyToReviewRequest, call: Call) -> Any:
        self.seen = call
        return review_pb2.ReplyToReviewResponse()


def raising(error: Exception) -> Callable[[Any, Call], Any]:
    def submit(request: Any, call: Call) -> Any:
        raise error

    return submit


def submit(
    handlers: Handlers,
    request: Any = None,
    sent_token: str | None = "",
    seconds: float | None = None,
    **metadata: str,
) -> Any:
    sent = token("ann", "buyer") if sent_token == "" else sent_token
    return Rpc(handlers, SERVICE).call("SubmitReview", request or a_review(), sent, seconds, **metadata)


class _Aborting:
    """A context of gRPC that ends a call with an exception, as the real one does."""

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {token('ann', 'buyer')}")]

    def time_remaining(self) -> None:
        return None

    def set_trailing_metadata(self, metadata: Any) -> None:
        pass

    def abort(self, code: grpc.StatusCode, message: str) -> None:
        raise RuntimeError(message)


@pytest.mark.parametrize("stars", [7, 5])
def test_the_memory_of_a_refused_request_is_free_at_once(stars: int) -> None:
    def refuse(request: Any, call: Call) -> Any:
        raise Conflict from ValueError("why")

    handlers = Handlers(refuse)
    pipeline = Pipeline(verifier()).around(handlers, SERVICE)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(RuntimeError) as failed:
            pipeline.SubmitReview(a_review(rating=stars), _Aborting())
        del failed, handlers.request
        alive = [each for each in gc.get_objects() if isinstance(each, review_pb2.SubmitReviewRequest)]
    finally:
        gc.enable()
    assert not alive


def test_an_rpc_with_a_text_without_a_bound_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none(request: Any) -> None:
        raise ValueError(f"{request.name} has a text without a bound")

    monkeypatch.setattr(validation, "require_bounds", find_none)

    with pytest.raises(ValueError, match="SubmitReviewRequest has a text"):
        Pipeline(verifier()).around(Handlers(), SERVICE)


def test_a_handler_gets_the_caller_of_the_token() -> None:
    handlers = Handlers()

    answer = submit(handlers)

    assert answer.code is grpc.StatusCode.OK
    assert handlers.seen is not None
    assert handlers.seen.caller.id == user_id("ann")
    assert handlers.seen.caller.username == "ann"
    assert handlers.seen.caller.roles == {"buyer"}


def test_without_a_token_the_answer_is_unauthorized() -> None:
    answer = submit(Handlers(), sent_token=None)

    assert (answer.error, answer.http_status) == ("UNAUTHORIZED", 401)
    assert answer.body == {"error": "Authentication required", "code": "UNAUTHORIZED"}


def test_without_the_role_the_answer_is_forbidden() -> None:
    answer = submit(Handlers(), sent_token=token("ann", "seller"))

    assert (answer.error, answer.code) == ("FORBIDDEN", grpc.StatusCode.PERMISSION_DENIED)


def test_a_bad_token_is_refused_even_where_none_is_needed() -> None:
    answer = Rpc(Handlers(), SERVICE).call("ListReviews", review_pb2.ListReviewsRequest(gig_id=ORDER), "nonsense")

    assert answer.error == "UNAUTHORIZED"


def test_the_role_comes_before_the_fields() -> None:
    answer = submit(Handlers(), a_review(rating=9), token("ann", "seller"))

    assert answer.error == "FORBIDDEN"


def test_every_violation_is_named_at_once_as_the_client_wrote_it() -> None:
    answer = submit(Handlers(), a_review(rating=9, comment="x" * 2001))

    assert answer.http_status == 400
    assert {detail["field"] for detail in answer.body["details"]} == {"rating", "comment"}


def test_an_id_in_the_path_that_is_no_uuid_is_not_found() -> None:
    answer = submit(Handlers(), a_review(order_id="17"))

    assert answer.body == {"error": "Order not found", "code": "NOT_FOUND"}


@pytest.mark.parametrize(
    "order_id",
    [
        "\r\nX:1",
        "\x00",
        f"{ORDER}\x07",
        f"\r{ORDER}",
        f" {ORDER}",
        f"{ORDER}\n",
        f"{ORDER}\u200b",
        "é",
        "../gigs",
        "x" * 5000,
    ],
)
def test_an_id_in_the_path_that_is_no_uuid_is_not_found_whatever_it_is_made_of(order_id: str) -> None:
    handlers = Handlers()

    answer = submit(handlers, a_review(order_id=order_id))

    assert (answer.http_status, answer.body) == (404, {"error": "Order not found", "code": "NOT_FOUND"})
    assert handlers.seen is None


def test_an_id_in_the_path_may_be_in_upper_case() -> None:
    handlers = Handlers()

    assert submit(handlers, a_review(order_id=ORDER.upper())).error == ""
    assert handlers.request.order_id == ORDER


def test_of_two_ids_in_the_path_that_are_no_uuids_the_first_one_is_named() -> None:
    rpc = Rpc(Anything(), GIGS)
    request = gig_pb2.DeletePackageRequest(gig_id="\x01", package_id="17")

    assert rpc.call("DeletePackage", request, token("sue", "seller")).body["error"] == "Gig not found"


def test_control_characters_elsewhere_are_still_an_invalid_argument() -> None:
    answer = submit(Handlers(), a_review(order_id="\r\nX:1", comment="a\x00b"))

    assert (answer.http_status, [detail["field"] for detail in answer.body["details"]]) == (400, ["comment"])


def test_a_bad_field_comes_before_an_id_that_is_no_uuid() -> None:
    answer = submit(Handlers(), a_review(order_id="17", rating=0))

    assert [detail["field"] for detail in answer.body["details"]] == ["rating"]


@pytest.mark.parametrize("seconds", [0.05, 0.0, -1.0, MIN_CALL_SECONDS - 0.01])
def test_a_call_with_too_little_time_left_is_refused_and_its_handler_never_runs(seconds: float) -> None:
    handlers = Handlers()

    answer = submit(handlers, seconds=seconds)

    assert (answer.error, answer.code) == ("DEADLINE_EXCEEDED", grpc.StatusCode.DEADLINE_EXCEEDED)
    assert answer.http_status == 504
    assert handlers.seen is None


@pytest.mark.parametrize("seconds", [None, 30.0])
def test_a_call_with_enough_time_left_runs(seconds: float | None) -> None:
    handlers = Handlers()

    assert submit(handlers, seconds=seconds).error == ""
    assert handlers.seen is not None


def test_a_refusal_for_another_reason_comes_before_that_for_too_little_time() -> None:
    assert submit(Handlers(), sent_token=None, seconds=0.05).error == "UNAUTHORIZED"
    assert submit(Handlers(), a_review(rating=9), seconds=0.05).error == "INVALID_ARGUMENT"


def test_texts_are_trimmed_and_composed_before_a_handler_sees_them() -> None:
    handlers = Handlers()

    submit(handlers, a_review(comment="  cafe\u0301\n"))

    assert handlers.request.comment == "caf\u00e9"


@contextmanager
def serving(handlers: object) -> Iterator[review_pb2_grpc.ReviewServiceStub]:
    """Serve over a network, as a worker does, and yield a stub."""
    server = grpc.server(ThreadPoolExecutor(1))
    # Any: generated code wants a whole server.
    adding: Any = ByteResponses(server)
    review_pb2_grpc.add_ReviewServiceServicer_to_server(Pipeline(verifier()).around(handlers, SERVICE), adding)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield review_pb2_grpc.ReviewServiceStub(channel)
    finally:
        server.stop(None)


def test_a_response_in_bytes_is_sent_as_it_is() -> None:
    response = review_pb2.ListReviewsResponse(total=7)

    class Serialized(Handlers):
        def ListReviews(self, request: review_pb2.ListReviewsRequest, call: Call) -> Any:
            return response.SerializeToString()

    with serving(Serialized()) as stub:
        received = stub.ListReviews(review_pb2.ListReviewsRequest(gig_id=ORDER))

    assert received == response


def test_grpc_callers_find_the_reason_and_the_violations_in_the_details() -> None:
    with serving(Handlers()) as stub, pytest.raises(grpc.RpcError) as refused:
        stub.SubmitReview(a_review(rating=9), metadata=(("authorization", "Bearer " + token("ann", "buyer")),))

    trailers = {entry.key: entry.value for entry in refused.value.trailing_metadata() or ()}
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad_request)
    assert (info.reason, info.domain) == ("INVALID_ARGUMENT", "marketplace")
    assert [violation.field for violation in bad_request.field_violations] == ["rating"]
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == status.message


@pytest.mark.parametrize("code", [name for name in CODES.values_by_name if name != "CODE_UNSPECIFIED"])
def test_every_code_of_the_catalogue_is_sent_as_the_catalogue_says(code: str) -> None:
    answer = submit(Handlers(raising(MarketplaceError(code))))

    spec = spec_of(code)
    assert answer.code.value[0] == spec.grpc
    assert (answer.http_status, answer.body) == (spec.http, {"error": spec.text, "code": code})


def test_an_unexpected_error_is_internal_and_shows_nothing_of_the_inside() -> None:
    answer = submit(Handlers(raising(RuntimeError("password=hunter2"))))

    assert answer.code is grpc.StatusCode.INTERNAL
    assert answer.body == {"error": "Internal error", "code": "INTERNAL"}
    assert "hunter2" not in repr(answer)


def test_an_unexpected_error_is_logged_with_the_requests_id(capsys: pytest.CaptureFixture[str]) -> None:
    submit(Handlers(raising(RuntimeError("boom"))), x_request_id="abc-1")

    printed = capsys.readouterr().out
    assert "abc-1" in printed
    assert "boom" in printed


def test_unavailable_says_when_to_come_back() -> None:
    answer = submit(Handlers(raising(MarketplaceError("UNAVAILABLE"))))

    assert answer.headers["retry-after"] == "1"


def test_a_limit_says_when_one_more_would_be_taken() -> None:
    answer = submit(Handlers(raising(RateLimited(17))))

    assert (answer.error, answer.http_status, answer.headers["retry-after"]) == ("RATE_LIMITED", 429, "17")


def test_the_caller_of_each_call_that_may_be_made_is_noted_and_that_is_no_write_of_the_call() -> None:
    noted = []

    def note(caller: Caller) -> None:
        noted.append(caller.username)
        note_write()

    handlers = Handlers()
    rpc = Rpc(handlers, SERVICE, note_caller=note)
    for sent_token in (token("ann", "buyer"), token("bob", "seller"), None):
        rpc.call("SubmitReview", a_review(), sent_token)
    assert handlers.seen is not None and not handlers.seen.may_have_written
    rpc.call("SubmitReview", a_review(rating=7), token("cid", "buyer"))

    assert noted == ["ann", "cid"]


def test_more_details_than_metadata_can_carry_are_left_out() -> None:
    def complain(request: Any, call: Call) -> Any:
        raise InvalidArgument([Violation("é" * 100, "ü" * 300)] * 50)

    answer = submit(Handlers(complain))

    assert 0 < len(answer.body["details"]) < 50
    assert sum(len(value) for value in answer.headers.values()) < 24_000


def test_a_clients_request_id_is_kept_and_a_wrong_one_replaced() -> None:
    handlers = Handlers()

    submit(handlers, x_request_id="my-id_1")
    assert handlers.seen is not None
    kept = handlers.seen.request_id
    submit(handlers, x_request_id="no good")

    assert kept == "my-id_1"
    assert handlers.seen.request_id != "no good"


def test_the_current_call_is_set_while_the_handler_runs_alone() -> None:
    seen: list[Call | None] = []

    def look(request: Any, call: Call) -> Any:
        seen.append(current_call.get())
        return review_pb2.SubmitReviewResponse()

    submit(Handlers(look))

    assert seen[0] is not None
    assert current_call.get() is None


def test_an_etag_goes_out_as_a_header() -> None:
    def answer_with_etag(request: Any, call: Call) -> Any:
        call.set_etag('"7"')
        return review_pb2.SubmitReviewResponse()

    assert submit(Handlers(answer_with_etag)).headers["etag"] == '"7"'


def test_an_error_has_no_etag() -> None:
    def fail(request: Any, call: Call) -> Any:
        call.set_etag('"7"')
        raise Conflict("no")

    assert "etag" not in submit(Handlers(fail)).headers


def test_a_created_resource_has_a_location() -> None:
    class Gigs:
        def __getattr__(self, name: str) -> Any:
            return lambda request, call: gig_pb2.CreateGigResponse(id=ORDER)

    request = gig_pb2.CreateGigRequest(
        title="Logo",
        description="A logo",
        category_id=ORDER,
        packages=[gig_pb2.PackageInput(title="One", price=5, delivery_days=1)],
    )
    rpc = Rpc(Gigs(), gig_pb2.DESCRIPTOR.services_by_name["GigService"])

    answer = rpc.call("CreateGig", request, token("sue", "seller"))

    assert answer.headers["location"] == f"/api/gigs/{ORDER}"


def test_a_users_token_never_carries_the_services_role() -> None:
    class Gigs:
        def __getattr__(self, name: str) -> Any:
            return lambda request, call: gig_pb2.ApplyRatingResponse()

    rpc = Rpc(Gigs(), gig_pb2.DESCRIPTOR.services_by_name["GigService"])
    request = gig_pb2.ApplyRatingRequest(gig_id=ORDER, version=1)

    assert rpc.call("ApplyRating", request, token("eve", "service", "admin")).error == "FORBIDDEN"
    assert rpc.call("ApplyRating", request, service_token("review")).error == ""


def test_a_service_calls_only_what_names_it() -> None:
    class Gigs:
        def __getattr__(self, name: str) -> Any:
            return lambda request, call: gig_pb2.ApplyRatingResponse()

    rpc = Rpc(Gigs(), gig_pb2.DESCRIPTOR.services_by_name["GigService"])
    request = gig_pb2.ApplyRatingRequest(gig_id=ORDER, version=1)

    refused = [rpc.call("ApplyRating", request, service_token(name)) for name in ("order", "gig", "reviews")]
    refused.append(rpc.call("ApplyRating", request, service_token(preferred_username=None)))

    assert {(answer.error, answer.message) for answer in refused} == {("FORBIDDEN", "This is for another service")}


def test_a_service_with_an_rpc_without_a_handler_does_not_start() -> None:
    with pytest.raises(ValueError, match="no handler for"):
        Pipeline(verifier()).around(object(), SERVICE)
