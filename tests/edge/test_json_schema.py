"""The JSON Schemas of the protos' messages, against the services' rules and the JSON that the edge writes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import protovalidate
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message

from edge import contract
from edge.contract import DESCRIPTOR_SET, ContractError
from edge.json_schema import Direction, Schemas
from tests.support.protos import MESSAGES

SCHEMAS = Schemas()


def messages(ending: str) -> list[str]:
    """Return the messages of public RPCs whose JSON the API has: no uploads, no streams."""
    rpcs = {route.rpc for route in contract.load().routes if not (route.upload or route.raw or route.stream)}
    names = [
        name for name in MESSAGES if name.rpartition(".")[2].removesuffix(ending) in rpcs and name.endswith(ending)
    ]
    assert len(names) > 40
    return names


def new(name: str) -> Message:
    return message_factory.GetMessageClass(MESSAGES[name])()


def violated(request: Message) -> set[str]:
    """Return the fields, as JSON has them, that break a rule."""
    violations = protovalidate.collect_violations(request)
    paths = [violation.proto.field.elements for violation in violations if violation.proto.field]
    return {request.DESCRIPTOR.fields_by_name[path[0].field_name].json_name for path in paths if path}


@pytest.mark.parametrize("name", messages("Request"))
def test_a_request_s_required_fields_are_those_that_must_not_be_empty(name: str) -> None:
    schema = SCHEMAS.message(name, "request")

    assert set(schema.get("required", [])) == violated(new(name))


@pytest.mark.parametrize("name", messages("Response"))
def test_a_response_s_required_fields_are_those_that_are_printed_when_empty(name: str) -> None:
    """The edge prints fields without presence always; of messages only those that are not `optional` are promised."""
    schema = SCHEMAS.message(name, "response")

    printed = set(json_format.MessageToDict(new(name), always_print_fields_with_no_presence=True))
    promised = {
        field.json_name
        for field in MESSAGES[name].fields
        if field.message_type is not None and not field.is_repeated and field.containing_oneof is None
    }
    assert set(schema.get("required", [])) == printed | promised


@pytest.mark.parametrize("direction", ["request", "response"])
@pytest.mark.parametrize("base", ["#/$defs/", ""])
def test_every_schema_is_json_schema_with_a_description_for_each_field(direction: Direction, base: str) -> None:
    schemas = Schemas(base=base)
    written = [schemas.message(name, direction) for name in messages(direction.capitalize())]

    for schema in written:
        whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": schemas.components, **schema}
        jsonschema_rs.meta.validate(whole)
        jsonschema_rs.Draft202012Validator(whole)  # every `$ref` leads somewhere
    described = [schema for each in [*written, *schemas.components.values()] for schema in fields_in(each)]
    assert described
    assert all(schema.get("description") for schema in described)
    assert bool(schemas.components) == bool(base)


def fields_in(schema: Any) -> Iterator[dict[str, Any]]:
    for field in schema.get("properties", {}).values():
        yield field
        yield from fields_in(field)
        yield from fields_in(field.get("items", {}))


# Values around every bound of the protos.
LENGTHS = (0, 1, 2, 3, 39, 40, 41, 80, 81, 100, 101, 120, 121, 255, 256, 500, 501, 1000, 1001, 2000, 2001, 5000, 5001)
NUMBERS = (-1e6 - 1, -1e6, -1, 0, 0.01, 0.015, 1, 5, 6, 30, 31, 100, 101, 365, 366, 1e6, 1e6 + 1, 1e9, 1e9 + 1)
TEXTS = ("newest", "oldest", "-price", "-rating", "seller", "admin", "sandbox", "3fa85f64-5717-4562-b3fc-2c963f66afa6")
ITEMS = (0, 1, 2, 10, 11, 20, 21, 30, 31, 50, 51)


def candidates(field: FieldDescriptor) -> Iterator[Any]:
    if field.is_repeated and field.message_type is None:
        yield from ([f"t{number}" for number in range(count)] for count in ITEMS)
        yield from (["x" * length] for length in LENGTHS)
    elif field.type == FieldDescriptor.TYPE_STRING:
        yield from ("x" * length for length in LENGTHS)
        yield from TEXTS
    elif field.type == FieldDescriptor.TYPE_INT32:
        yield from (int(number) for number in NUMBERS)
    elif field.type == FieldDescriptor.TYPE_DOUBLE:
        yield from NUMBERS
    elif field.type == FieldDescriptor.TYPE_BOOL:
        yield from (True, False)
    elif field.enum_type is not None and not field.is_repeated:
        yield from (value.name for value in field.enum_type.values if value.number)


# Their format is not a rule of the protos; the services check it themselves.
CHECKED_IN_CODE = ("url", "placed_after", "placed_before")


def test_a_schema_and_the_services_take_the_same_values() -> None:
    schemas = Schemas(base="")
    fields = [field for name in messages("Request") for field in MESSAGES[name].fields]
    fields += MESSAGES["marketplace.gig.v1.PackageInput"].fields
    # Many fields have the same bounds.
    distinct = {
        f"{schemas.field(field.full_name, 'request') | {'description': ''}}{field.has_presence}": field
        for field in fields
        if field.name not in CHECKED_IN_CODE
    }
    assert len(distinct) > 20

    for field in distinct.values():
        validator = jsonschema_rs.Draft202012Validator(schemas.field(field.full_name, "request"), validate_formats=True)
        for value in candidates(field):
            request = json_format.ParseDict({field.json_name: value}, new(field.full_name.rpartition(".")[0]))
            is_empty = not value and not field.has_presence

            is_taken = field.json_name not in violated(request)

            # An empty value is the same as none, so it is the list of required fields that refuses it.
            assert validator.is_valid(value) == is_taken or is_empty, (field.full_name, value)


def test_a_number_with_a_default_shows_it() -> None:
    quantity = SCHEMAS.message("marketplace.order.v1.PlaceOrderRequest", "request")["properties"]["quantity"]

    assert (quantity["default"], quantity["minimum"], quantity["maximum"]) == (1, 1, 20)


def test_texts_have_no_control_characters() -> None:
    schema = Schemas().field("marketplace.gig.v1.CreateGigRequest.title", "request")

    validator = jsonschema_rs.Draft202012Validator(schema)

    assert validator.is_valid("Tab\tand\r\nnewline, ümläuts, 日本語")
    assert not any(validator.is_valid(f"title{control}") for control in "\x00\x08\x0b\x0c\x0e\x1f\x7f\x85\x9f")
    assert "pattern" not in Schemas(patterns=False).field("marketplace.gig.v1.CreateGigRequest.title", "request")


def test_comments_name_fields_as_the_json_does() -> None:
    field = Schemas().field("marketplace.gig.v1.SearchGigsRequest.min_price", "request")

    assert field["description"] == (
        "The lowest price, in major units. The same package of a gig must meet `minPrice`, `maxPrice` and "
        "`maxDeliveryDays`."
    )


def test_an_enum_has_its_names_without_the_one_for_unset() -> None:
    schemas = Schemas()

    reference = schemas.field("marketplace.gig.v1.Gig.status", "response")

    assert reference == {"$ref": "#/components/schemas/GigStatus", "description": "The gig's status."}
    status = schemas.components["GigStatus"]
    assert status["enum"] == ["ACTIVE", "PAUSED", "SUSPENDED"]
    assert "- `PAUSED`: Taken down for a while." in status["description"]


def test_the_fields_of_the_path_can_be_left_out() -> None:
    whole = Schemas().message("marketplace.gig.v1.SetGigStatusRequest", "request")
    body = Schemas().message("marketplace.gig.v1.SetGigStatusRequest", "request", without=["gig_id"])

    assert list(whole["properties"]) == ["gigId", "status"]
    assert list(body["properties"]) == ["status"]
    assert "required" not in body


def test_times_and_any_json_have_their_own_form() -> None:
    schemas = Schemas()

    assert schemas.field("marketplace.gig.v1.Gig.created_at", "response")["format"] == "date-time"
    assert schemas.field("marketplace.event.v1.FeedEvent.data", "response")["type"] == "object"
    assert schemas.field("marketplace.order.v1.ListOrdersRequest.placed_after", "request")["format"] == "date-time"


def test_a_body_of_any_bytes_has_no_schema() -> None:
    with pytest.raises(ContractError, match=r"google\.api\.HttpBody"):
        Schemas().message("marketplace.gig.v1.UploadImagesRequest", "request")


def test_two_components_of_one_name_are_refused(tmp_path: Path) -> None:
    """Each package has its own names; the document has one room for all."""
    target = tmp_path / DESCRIPTOR_SET.name
    shutil.copy(DESCRIPTOR_SET, target)
    files = FileDescriptorSet.FromString(target.read_bytes())
    [review] = [file for file in files.file if file.name == "marketplace/review/v1/review.proto"]
    [reply] = [message for message in review.message_type if message.name == "Review"]
    reply.field[1].json_name = "theOrder"
    [gig] = [file for file in files.file if file.name == "marketplace/gig/v1/gig.proto"]
    gig.message_type.append(reply)
    gig.message_type[-1].field[2].type_name = ".marketplace.gig.v1.Review.Buyer"
    gig.message_type[-1].field[6].type_name = ".marketplace.gig.v1.Review.Reply"
    gig.message_type[-1].field[1].json_name = "orderId"
    page = gig.message_type.add(name="Page")
    page.field.add(name="own", number=1, type=11, label=1, type_name=".marketplace.gig.v1.Review", json_name="own")
    target.write_bytes(files.SerializeToString())
    schemas = Schemas(target)
    schemas.message("marketplace.review.v1.ListReviewsResponse", "response")

    with pytest.raises(ContractError, match="there is another Review"):
        schemas.message("marketplace.gig.v1.Page", "response")
