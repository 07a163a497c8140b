"""The options of each RPC in the protos."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from marketplace.common.v1 import options_pb2
from servicekit.call import Caller
from servicekit.errors import Forbidden
from servicekit.methods import Method
from tests.support.protos import METHODS


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_rpc_says_who_may_call_it(method: MethodDescriptor) -> None:
    assert Method.of(method).name == method.name


def test_an_rpc_that_does_not_say_who_may_call_it_is_refused() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="test/open.proto", package="test", syntax="proto3")
    file.message_type.add(name="Nothing")
    service = file.service.add(name="Open")
    service.method.add(name="Do", input_type=".test.Nothing", output_type=".test.Nothing")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)

    with pytest.raises(ValueError, match="must say who may call it"):
        Method.of(pool.FindServiceByName("test.Open").methods[0])


def with_access(package: str, **access: Any) -> MethodDescriptor:
    """Return the RPC of a new package that has this access."""
    options = descriptor_pb2.MethodOptions()
    options.Extensions[options_pb2.access].CopyFrom(options_pb2.Access(**access))
    file = descriptor_pb2.FileDescriptorProto(name=f"test/{package}.proto", package=f"test.{package}", syntax="proto3")
    file.dependency.append("marketplace/common/v1/options.proto")
    file.message_type.add(name="Nothing")
    nothing = f".test.{package}.Nothing"
    method = file.service.add(name="Service").method.add(name="Do", input_type=nothing, output_type=nothing)
    method.options.CopyFrom(options)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(f"test.{package}.Service").methods[0]


def test_an_rpc_that_says_it_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="must say who may call it"):
        Method.of(with_access("both", anyone=True, roles=[options_pb2.ADMIN]))


@pytest.mark.parametrize(
    ("package", "roles", "services"),
    [
        ("unnamed", ["SERVICE"], []),
        ("named", ["ADMIN"], ["review"]),
        ("mixed", ["SERVICE", "ADMIN"], ["review"]),
    ],
)
def test_an_rpc_for_services_names_them_and_is_for_nobody_else(
    package: str, roles: list[options_pb2.Role], services: list[str]
) -> None:
    with pytest.raises(ValueError, match="must name the services that may call it"):
        Method.of(with_access(package, roles=roles, services=services))


def test_of_the_services_that_an_rpc_names_each_calls_with_its_own_certificate_and_token() -> None:
    method = Method.of(with_access("shared", roles=["SERVICE"], services=["order", "review"]))
    order = Caller(UUID(int=1), "order", frozenset(("service",)))

    method.check_access(order, "order")
    method.check_access(order, None)
    for peer in ("review", "edge", "gig", ""):
        with pytest.raises(Forbidden):
            method.check_access(order, peer)
