"""Validation: counts and lengths come first, and nothing else about the violations changes."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from marketplace.gig.v1 import gig_pb2
from marketplace.order.v1 import order_pb2
from servicekit import text, validation
from servicekit.errors import InvalidArgument, NotFound
from tests.support.gigs import a_gig, a_package, an_update
from tests.support.protos import METHODS

UNKNOWN_FIELD = b"\xfa\x3e\x05hello"
ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


def violations(request: Message) -> list[tuple[str, str]]:
    try:
        validation.check(request)
    except InvalidArgument as error:
        return [(violation.field, violation.message) for violation in error.violations]
    return []


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_each_text_and_each_list_of_a_request_has_a_bound(method: MethodDescriptor) -> None:
    validation.require_bounds(method.input_type)


@pytest.mark.parametrize(
    ("message", "field"),
    [(gig_pb2.Seller, "Seller.id"), (gig_pb2.ListPackagesResponse, "ListPackagesResponse.packages")],
)
def test_a_field_without_a_bound_is_named(message: Any, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        validation.require_bounds(message.DESCRIPTOR)


def test_the_contents_of_a_list_with_too_many_items_are_cut_away() -> None:
    eleven, many = a_gig(packages=[{}] * 11), a_gig(packages=[{}] * 300_000)

    assert violations(many) == violations(eleven)
    assert ("packages", "must contain no more than 10 item(s)") in violations(many)
    assert len(many.packages) == 11


def test_the_lists_of_a_package_are_cut_too() -> None:
    request = a_gig(packages=[a_package(features=["x"] * 100_000)] * 2)

    assert [field for field, _ in violations(request)] == ["packages[0].features", "packages[1].features"]
    assert len(request.packages[1].features) == 31


@pytest.mark.parametrize("letter", ["x", "\u0301", "é", "\u1e9b\u0323"])
def test_a_text_that_is_much_too_long_breaks_its_bound_as_one_that_is_a_little_too_long(letter: str) -> None:
    def request(length: int) -> gig_pb2.CreateGigRequest:
        package = a_package(title="e" + letter * length, features=["e" + letter * length])
        return a_gig(title="e" + letter * length, description="e" + letter * length * 40, packages=[package])

    assert violations(request(100_000)) == violations(request(500))
    assert [field for field, _ in violations(request(500))] == [
        "title", "description", "packages[0].title", "packages[0].features[0]"
    ]  # fmt: skip


def test_a_text_that_cannot_fit_is_not_given_to_nfc(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuser:
        @staticmethod
        def normalize(form: str, value: str) -> str:
            raise AssertionError(f"{form} of {len(value)} code points")

    monkeypatch.setattr(text, "unicodedata", Refuser)

    assert violations(a_gig(title="e" + "\u0301" * 1_000_000)) == [("title", "must be at most 120 characters")]


def test_a_text_of_the_greatest_length_may_be_decomposed() -> None:
    request = a_gig(title=unicodedata.normalize("NFD", "ΐ" * 120))

    assert len(request.title) == 360
    assert violations(request) == []
    assert request.title == "ΐ" * 120


def test_white_space_and_what_shows_nothing_do_not_count() -> None:
    request = a_gig(title=" " * 100_000 + "Logo" + "\r\n" * 100_000, packages=[a_package(description="\u200b" * 9000)])

    assert violations(request) == []
    assert (request.title, request.packages[0].description) == ("Logo", "")


def test_the_same_tag_counts_once_however_often_it_comes() -> None:
    request = a_gig(tags=["Web", "web ", "WEB"] * 1000 + [str(number) for number in range(19)])

    assert violations(request) == []
    assert list(request.tags) == ["web", *(str(number) for number in range(19))]


def test_too_many_tags_are_refused_whatever_they_are() -> None:
    spellings = {f"{a}{b}{c}{d}{e}{f}{g}{h}" for a in "aA" for b in "bB" for c in "cC" for d in "dD" for e in "eE"
                 for f in "fF" for g in "gG" for h in "hH"}  # fmt: skip
    for tags in ([str(number) for number in range(21)], [str(number) for number in range(100_000)], spellings):
        assert violations(a_gig(tags=tags)) == [("tags", "must contain no more than 20 item(s)")]


def test_windows_line_ends_become_newlines_everywhere() -> None:
    request = a_gig(description="one\r\ntwo\rthree", packages=[a_package(title="a\r\nb", features=["x\ry"])])

    assert violations(request) == []
    assert (request.description, request.packages[0].title) == ("one\ntwo\nthree", "a\nb")
    assert list(request.packages[0].features) == ["x\ny"]


@pytest.mark.parametrize("control", ["\x00", "\x0b", "\x1b", "\x7f", "\x85"])
def test_other_control_characters_are_refused_in_texts_and_lists(control: str) -> None:
    request = a_gig(description=f"a{control}b", packages=[a_package(features=["x", f"a{control}b"])])

    assert violations(request) == [
        ("description", validation.CONTROLS_MESSAGE), ("packages[0].features[1]", validation.CONTROLS_MESSAGE)
    ]  # fmt: skip


def test_unknown_fields_are_removed() -> None:
    request = a_gig()
    before = request.SerializeToString()
    request.MergeFromString(UNKNOWN_FIELD * 1000)

    assert violations(request) == []
    assert request.SerializeToString() == before


def test_to_an_idempotency_key_a_number_that_is_the_default_is_as_if_it_were_not_there() -> None:
    request, without = (
        order_pb2.PlaceOrderRequest(package_id=ID, payment_method="stripe", quantity=quantity) for quantity in (1, None)
    )

    assert violations(request) == []
    assert request.HasField("quantity")
    assert validation.without_defaults(request) == validation.without_defaults(without) == without


@pytest.mark.parametrize(("quantity", "is_refused"), [(0, True), (-1, True), (2, False), (20, False), (21, True)])
def test_another_number_than_the_default_stays_and_is_checked(quantity: int, is_refused: bool) -> None:
    request = order_pb2.PlaceOrderRequest(package_id=ID, payment_method="stripe", quantity=quantity)

    assert bool(violations(request)) is is_refused
    assert request.quantity == quantity


def test_a_list_that_nothing_reads_is_emptied() -> None:
    request = order_pb2.ReceiveStripeEventRequest(event=HttpBody(data=b"x", extensions=[{}] * 100_000))

    assert violations(request) == []
    assert (request.event.data, len(request.event.extensions)) == (b"x", 0)


def test_an_endless_id_is_no_id() -> None:
    with pytest.raises(NotFound):
        validation.check(an_update("a" * 1_000_000), frozenset(["gig_id"]))
    assert violations(a_gig(category_id=ID + "\u0301" * 1_000_000)) == [("categoryId", "must be a valid UUID")]


def test_an_answer_has_fifty_violations_at_most() -> None:
    assert len(violations(a_gig(packages=[{"features": [""] * 31}] * 11))) == 50


def outcome(request: Any, path_fields: frozenset[str]) -> tuple[str, Any]:
    """Return the error of a check, or the request as the check leaves it."""
    try:
        validation.check(request, path_fields)
    except (InvalidArgument, NotFound) as error:
        return error.code, (error.message, error.violations)
    return "", request.SerializeToString()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.from_regex(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\s?"), st.text(max_size=40)))
@example(ID)
@example(ID.upper())
@example(f" {ID}")
@example(f"{ID}\n")
@example(f"{{{ID}}}")
@example(ID.replace("3", "\u0663"))
@example("")
@pytest.mark.parametrize("path", [frozenset(("gig_id",)), frozenset()])
def test_an_id_alone_is_checked_as_every_other_field(
    monkeypatch: pytest.MonkeyPatch, path: frozenset[str], sent: str
) -> None:
    short = outcome(gig_pb2.GetGigRequest(gig_id=sent), path)
    with monkeypatch.context() as patch:
        patch.setattr(validation, "_ids_alone", lambda _: ())
        whole = outcome(gig_pb2.GetGigRequest(gig_id=sent), path)

    assert short == whole


def test_only_requests_of_nothing_but_ids_are_checked_by_their_ids_alone() -> None:
    assert validation._ids_alone(gig_pb2.GetGigRequest.DESCRIPTOR) == ("gig_id",)
    assert validation._ids_alone(gig_pb2.DeletePackageRequest.DESCRIPTOR) == ("gig_id", "package_id")
    assert validation._ids_alone(gig_pb2.SetGigStatusRequest.DESCRIPTOR) == ()
    assert validation._ids_alone(gig_pb2.ListCategoriesRequest.DESCRIPTOR) == ()


def test_unknown_fields_beside_an_id_are_removed() -> None:
    request = gig_pb2.GetGigRequest.FromString(gig_pb2.GetGigRequest(gig_id=ID).SerializeToString() + UNKNOWN_FIELD)

    assert outcome(request, frozenset(("gig_id",))) == ("", gig_pb2.GetGigRequest(gig_id=ID).SerializeToString())
