"""The API reference: `python -m protos.codegen.reference FOLDER` writes `api.md` from the descriptors there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto

from marketplace.common.v1 import errors_pb2, options_pb2
from protos.codegen.folders import DESCRIPTOR_SET

# Field numbers in FileDescriptorProto and ServiceDescriptorProto, for the paths of SourceCodeInfo.
SERVICE, METHOD = 6, 2
HEAD = """# The public API

Made from the protos by `make generate`; what each field means and its bounds stand there.
"""


def write(descriptor_set: Path, target: Path) -> None:
    """Write `api.md` into the folder `target`."""
    files = FileDescriptorSet.FromString(descriptor_set.read_bytes()).file
    ours = [file for file in files if file.package.startswith("marketplace.") and file.service]
    text = HEAD + "".join(_services(file) for file in ours) + _errors()
    (target / "api.md").write_text(text)


def _services(file: FileDescriptorProto) -> str:
    comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
    text = ""
    for index, service in enumerate(file.service):
        public: list[tuple[MethodDescriptorProto, str]] = []
        internal: list[tuple[MethodDescriptorProto, str]] = []
        for number, method in enumerate(service.method):
            comment = " ".join(comments[SERVICE, index, METHOD, number].split())
            has_route = method.options.HasExtension(annotations_pb2.http)
            (public if has_route else internal).append((method, comment))
        text += f"\n## {service.name}\n\n| call | RPC | who | success | |\n|---|---|---|---|---|\n"
        text += "".join(_row(method, comment) for method, comment in public)
        if internal:
            text += "\nBetween the services, without a route:\n\n"
            text += "".join(f"- `{method.name}`: {comment}\n" for method, comment in internal)
    return text


def _row(method: MethodDescriptorProto, comment: str) -> str:
    call = f"`{_route(method.options.Extensions[annotations_pb2.http])}`"
    success = method.options.Extensions[options_pb2.success]
    status = f"{success.http_status or 200}{' or 200' if success.created_field else ''}"
    if method.options.Extensions[options_pb2.takes_key]:
        comment += " Takes an idempotency key."
    return f"| {call} | `{method.name}` | {_who(method)} | {status} | {comment} |\n"


def _route(rule: http_pb2.HttpRule) -> str:
    pattern = rule.WhichOneof("pattern")
    return f"{pattern.upper()} {getattr(rule, pattern)}"


def _who(method: MethodDescriptorProto) -> str:
    access = method.options.Extensions[options_pb2.access]
    if access.anyone:
        return "anyone"
    if access.signed_in:
        return "signed in"
    return ", ".join(options_pb2.Role.Name(role).lower() for role in access.roles)


def _errors() -> str:
    def rows() -> Iterator[str]:
        for value in errors_pb2.Error.Code.DESCRIPTOR.values:
            if value.number:
                spec = value.GetOptions().Extensions[errors_pb2.spec]
                yield f"| {spec.http} | `{value.name}` | {spec.text} |\n"

    return "\n## Errors\n\n| HTTP | code | text, when nothing more exact is known |\n|---|---|---|\n" + "".join(rows())


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write(folder / DESCRIPTOR_SET, folder)
