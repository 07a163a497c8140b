"""The files that are generated from the protos for Envoy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

from edge import contract
from edge.generate import BARE_STATUSES, DESCRIPTOR_SET, generate
from marketplace.common.v1 import options_pb2
from tests.support.edge import ROOT

GENERATED = ROOT / "generated"


def test_what_is_committed_is_what_the_protos_say(tmp_path: Path) -> None:
    shutil.copy(GENERATED / DESCRIPTOR_SET, tmp_path)

    generate(tmp_path)

    for file in ("messages.lua", "errors.lua", DESCRIPTOR_SET):
        assert (tmp_path / "envoy" / file).read_bytes() == (GENERATED / "envoy" / file).read_bytes(), file


def test_the_transcoder_s_descriptors_differ_only_where_it_is_short_of_something() -> None:
    ours = FileDescriptorSet.FromString((GENERATED / DESCRIPTOR_SET).read_bytes())
    for file in ours.file:
        file.ClearField("source_code_info")
        for service in file.service:
            for method in service.method:
                if method.options.HasExtension(annotations_pb2.http):
                    method.options.Extensions[annotations_pb2.http].ClearField("response_body")

    theirs = FileDescriptorSet.FromString((GENERATED / "envoy" / DESCRIPTOR_SET).read_bytes())

    assert ours == theirs


def test_every_code_of_the_catalogue_is_in_the_table() -> None:
    table = (GENERATED / "envoy" / "errors.lua").read_text()

    for error in contract.load().errors:
        assert re.search(rf"\b{error.name} = {{ status = {error.http}, ", table), error.name


def test_bare_statuses_become_codes_that_exist() -> None:
    assert set(BARE_STATUSES.values()) <= {error.name for error in contract.load().errors}


def changed(tmp_path: Path, service: str, rpc: str, change: Callable[[MethodDescriptorProto], None]) -> Path:
    """Write a descriptor set with one RPC changed."""
    files = FileDescriptorSet.FromString((GENERATED / DESCRIPTOR_SET).read_bytes())
    [method] = [
        method
        for file in files.file
        for each in file.service
        if each.name == service
        for method in each.method
        if method.name == rpc
    ]
    change(method)
    target = tmp_path / DESCRIPTOR_SET
    target.write_bytes(files.SerializeToString())
    return target


def test_a_route_without_access_is_refused(tmp_path: Path) -> None:
    def forget_access(method: MethodDescriptorProto) -> None:
        http = method.options.Extensions[annotations_pb2.http]
        method.ClearField("options")
        method.options.Extensions[annotations_pb2.http].CopyFrom(http)

    with pytest.raises(contract.ContractError, match=r"GigService\.GetGig .* no access"):
        contract.load(changed(tmp_path, "GigService", "GetGig", forget_access))


def test_a_query_of_messages_is_refused(tmp_path: Path) -> None:
    def take_messages(method: MethodDescriptorProto) -> None:
        method.input_type = ".marketplace.gig.v1.SearchGigsResponse"

    with pytest.raises(contract.ContractError, match="results is of a type"):
        contract.load(changed(tmp_path, "GigService", "SearchGigs", take_messages))


def test_a_response_body_among_other_fields_is_refused(tmp_path: Path) -> None:
    def name_one_of_many(method: MethodDescriptorProto) -> None:
        method.options.Extensions[annotations_pb2.http].response_body = "results"

    with pytest.raises(contract.ContractError, match="only field"):
        contract.load(changed(tmp_path, "GigService", "SearchGigs", name_one_of_many))


@pytest.mark.parametrize("field", ["conversation", "nothing"])
def test_a_created_field_that_says_no_yes_or_no_is_refused(tmp_path: Path, field: str) -> None:
    def name_another(method: MethodDescriptorProto) -> None:
        method.options.Extensions[options_pb2.success].created_field = field

    with pytest.raises(contract.ContractError, match=r"ConversationService\.StartConversation"):
        contract.load(changed(tmp_path, "ConversationService", "StartConversation", name_another))


def test_a_body_with_a_type_that_the_edge_cannot_check_is_refused(tmp_path: Path) -> None:
    def take_an_order(method: MethodDescriptorProto) -> None:
        method.input_type = ".marketplace.order.v1.OrderEvent"

    with pytest.raises(contract.ContractError, match="cannot check in a JSON body"):
        contract.load(changed(tmp_path, "OrderService", "AcceptOrder", take_an_order))


def test_a_stream_of_other_messages_is_refused(tmp_path: Path) -> None:
    def stream(method: MethodDescriptorProto) -> None:
        method.server_streaming = True

    with pytest.raises(contract.ContractError, match=r"GigService\.GetGig: a stream is a GET"):
        contract.load(changed(tmp_path, "GigService", "GetGig", stream))


def test_a_wait_without_a_bound_is_refused(tmp_path: Path) -> None:
    def wait(method: MethodDescriptorProto) -> None:
        method.options.Extensions[options_pb2.waits] = True

    with pytest.raises(contract.ContractError, match=r"GigService\.GetGig: an RPC that waits"):
        contract.load(changed(tmp_path, "GigService", "GetGig", wait))


def test_a_field_has_both_its_names() -> None:
    table = (GENERATED / "envoy" / "messages.lua").read_text()

    assert '["deliveryDays"] = { kind = "int" },' in table
    assert '["delivery_days"] = { kind = "int", camel_case = "deliveryDays" },' in table
