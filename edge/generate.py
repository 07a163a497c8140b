"""Writes what Envoy reads, from the descriptor set, into `generated/envoy/`.

- `routes.lua`, `messages.lua`, `errors.lua`: tables for its Lua
- `descriptors.binpb`: the descriptor set for its transcoder
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from edge import contract

DESCRIPTOR_SET = "descriptors.binpb"
HEADER = "-- Written by `make generate` from the protos; do not edit.\n"

# What a bare gRPC status means, which no handler of ours has put a catalogue code on: a server that has no free place
# (grpcio says RESOURCE_EXHAUSTED), one that is going down (CANCELLED), one that is older than the edge (UNIMPLEMENTED).
# Statuses that are not here are INTERNAL.
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
    """Writes `target/envoy/*` from `target/descriptors.binpb`; the same input gives the same bytes."""
    source = target / DESCRIPTOR_SET
    known = contract.load(source)
    folder = target / "envoy"
    folder.mkdir(exist_ok=True)
    (folder / "messages.lua").write_text(_messages(known))
    (folder / "errors.lua").write_text(_errors(known))
    (folder / DESCRIPTOR_SET).write_bytes(_for_the_transcoder(source.read_bytes()))


def _for_the_transcoder(descriptor_set: bytes) -> bytes:
    """The descriptor set without comments and without `response_body`, which Envoy's transcoder refuses to start with.

    The Lua takes the named field out of the answer instead (`unwrap` in `routes.lua`).
    """
    pool = contract.pool_of(FileDescriptorSet.FromString(descriptor_set))
    # The set's own classes know all of its options, so that they are written in one order wherever this runs.
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


def _messages(known: contract.Contract) -> str:
    lines = [HEADER, "-- What JSON bodies are made of: the fields of every message by its name.\nreturn {\n"]
    for name, fields in known.messages.items():
        lines.append(f"  [{_text(name)}] = {{\n")
        for field in fields:
            value = {"kind": "list", "item": field.value_type} if field.repeated else field.value_type
            lines.append(f"    [{_text(field.name)}] = {_lua(value)},\n")
        lines.append("  },\n")
    return "".join([*lines, "}\n"])


def _lua(value: Any) -> str:
    """Return a table, a text or a boolean in Lua; the names in a table are Lua names."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_lua(each)}' for name, each in value.items())} }}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value)


def _errors(known: contract.Contract) -> str:
    lines = [HEADER, "-- The error catalogue, and what a gRPC status without a code of ours stands for.\nreturn {\n"]
    lines.append("  codes = {\n")
    lines += [f"    {each.name} = {{ status = {each.http}, text = {_text(each.text)} }},\n" for each in known.errors]
    lines.append("  },\n  by_grpc_status = {\n")
    lines += [f"    [{_text(str(status))}] = {_text(name)},\n" for status, name in BARE_STATUSES.items()]
    return "".join([*lines, "  },\n}\n"])


def _text(value: str) -> str:
    """A Lua string. The texts are printable ASCII, so that escaping quotes and backslashes is enough."""
    if not (value.isascii() and value.isprintable()):
        raise contract.ContractError(f"{value!r} has characters that the edge's tables cannot hold")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes Envoy's tables below a folder that holds the descriptor set.")
    parser.add_argument("target", type=Path)
    generate(parser.parse_args().target)
