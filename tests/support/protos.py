"""All protos of the marketplace, for tests of every RPC and every message. A new file is among them by itself."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor

from tests.support.stack import ROOT

_GENERATED = ROOT / "generated"


def _files() -> Iterator[FileDescriptor]:
    for path in sorted(_GENERATED.glob("marketplace/*/v1/*_pb2.py")):
        name = ".".join(path.relative_to(_GENERATED).with_suffix("").parts)
        yield import_module(name).DESCRIPTOR


FILES = tuple(_files())
# By their paths in gRPC, as `/marketplace.gig.v1.GigService/GetGig`.
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
}
MESSAGES: dict[str, Descriptor] = {
    message.full_name: message for file in FILES for message in file.message_types_by_name.values()
}
