"""The generator of `generated/envoy/`, from the descriptor set.

- `messages.lua`, `errors.lua`, `services.lua`: tables for Envoy's scripts
- `descriptors.binpb`: the descriptor set for Envoy's transcoder
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from edge import contract, overload

DESCRIPTOR_SET = "descriptors.binpb"
HEADER = "-- Written by `make generate` from the protos; do not edit.\n"

# The error for a gRPC status without a code of the catalogue. Such a status comes from grpcio itself: the server
# cannot take the request (RESOURCE_EXHAUSTED), stops (CANCELLED), or is older than the edge (UNIMPLEMENTED). All others
# are INTERNAL.
BARE_STATUSES = {
    1: "UNAVAILABLE",  # CANCELLED
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    7: "FORBIDDEN",
    8: "UNAVAILABLE",  # RESOURCE_EXHAUSTED
    12: "NOT_FOUND",  # UNIMPLEMENTED
    14: "UNAVAILABLE",
    16: "UNAUTHORIZED",
}


def generate(target: Path) -> None:
    """Write `target/envoy/*` from `target/descriptors.binpb`; the same input gives the same bytes."""
    source = target / DESCRIPTOR_SET
    protos = contract.load(source)
    folder = target / "envoy"
    folder.mkdir(exist_ok=True)
    (folder / "messages.lua").write_text(_messages(protos))
    (folder / "errors.lua").write_text(_errors(protos))
    (folder / "services.lua").write_text(_services(protos))
    (folder / DESCRIPTOR_SET).write_bytes(_for_the_transcoder(source.read_bytes()))


def _for_the_transcoder(descriptor_set: bytes) -> bytes:
    """Return the descriptor set without comments and without `response_body`.

    Envoy's transcoder does not start with `response_body`; `response.lua` unwraps the named field instead.
    """
    pool = contract.pool_of(FileDescriptorSet.FromString(descriptor_set))
    # The set's own classes know all of its options, so the order of the bytes is the same on every machine.
    files: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName(FileDescriptorSet.DESCRIPTOR.full_name))()
    files.ParseFromString(descriptor_set)
    http = pool.FindExtensionByName("google.api.http")
    for file in files.file:
        file.ClearField("source_code_info")
        for method in (method for service in file.service for method in service.method):
            if method.options.HasExtension(http):
                method.options.Extensions[http].ClearField("response_body")
    written: bytes = files.SerializeToString(deterministic=True)
    return written


_MESSAGES_HEADER = """\
-- The fields of each message of a JSON body, by the message's full name. A field stands there under both names that the
-- transcoder takes for it; under the proto's own one, `camel_case` is the name that the API has.
return {
"""


def _messages(protos: contract.Contract) -> str:
    lines = [HEADER, _MESSAGES_HEADER]
    for name, fields in protos.messages.items():
        lines.append(f"  [{_text(name)}] = {{\n")
        for field in fields:
            value = {"kind": "list", "item": field.value_type} if field.repeated else field.value_type
            lines.append(f"    [{_text(field.name)}] = {_lua(value)},\n")
            if field.proto_name != field.name:
                lines.append(f"    [{_text(field.proto_name)}] = {_lua(value | {'camel_case': field.name})},\n")
        lines.append("  },\n")
    return "".join([*lines, "}\n"])


def _lua(value: Any) -> str:
    """Return a table, a text or a boolean in Lua; the names in a table are Lua names."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_lua(each)}' for name, each in value.items())} }}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value)


def _errors(protos: contract.Contract) -> str:
    lines = [
        HEADER,
        "-- The error catalogue, and the error for a gRPC status without a code of it.\nreturn {\n",
    ]
    lines.append("  codes = {\n")
    lines += [
        f"    {each.name} = {{ status = {each.http}, grpc = {each.grpc}, text = {_text(each.text)} }},\n"
        for each in protos.errors
    ]
    lines.append("  },\n  by_grpc_status = {\n")
    lines += [f"    [{_text(str(status))}] = {_text(name)},\n" for status, name in BARE_STATUSES.items()]
    return "".join([*lines, "  },\n}\n"])


def _services(protos: contract.Contract) -> str:
    lines = [HEADER, "-- The service of each method and path whose requests overload.lua may refuse.\nreturn {\n"]
    lines += [
        f"  [{_text(route)}] = {_text(service)},\n"
        for route, service in sorted(overload.guarded_services(protos).items())
    ]
    return "".join([*lines, "}\n"])


def _text(value: str) -> str:
    """Return a Lua string. The texts are printable ASCII, so only quotes and backslashes are escaped."""
    if not (value.isascii() and value.isprintable()):
        raise contract.ContractError(f"{value!r} has characters that the edge's tables cannot hold")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes Envoy's tables below a folder that holds the descriptor set.")
    parser.add_argument("target", type=Path)
    generate(parser.parse_args().target)
