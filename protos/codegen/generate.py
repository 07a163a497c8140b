"""Generator of everything that is derived from the protos: `python -m protos.codegen.generate generated`.

It writes into a folder:

- `marketplace/**/*_pb2.py`, `*_pb2_grpc.py` and their `.pyi` types, and `buf/validate/validate_pb2.py` beside them
- `descriptors.binpb`: all files with their imports and comments, for Envoy's transcoder, reflection and buf
- `envoy/`: routes and tables for Envoy (see `edge/generate.py`)
- `openapi.json`: the OpenAPI document (see `edge/openapi.py`)
- `mcp/`: the tools of the Model Context Protocol (see `edge/mcp_tools.py`)
- `api.md`: the API reference (see `reference.py`)
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from protovalidate._gen.buf.validate import validate_pb

from protos.codegen.folders import DESCRIPTOR_SET, PROTOS, ROOT


def validate_descriptors() -> FileDescriptorSet:
    """Return `buf/validate/validate.proto` and its imports.

    The protovalidate wheel ships them as descriptors only, not as `.proto` files.
    """
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def visit(file) -> None:  # type: ignore[no-untyped-def]  # a descriptor of protovalidate's own runtime
        for dependency in file.dependencies:
            visit(dependency)
        files[file.proto.name] = descriptor_pb2.FileDescriptorProto.FromString(file.proto.to_binary())

    visit(validate_pb.desc())
    return FileDescriptorSet(file=files.values())


def generate(target: Path) -> None:
    """Empty the folder `target` and write everything into it."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        validate = Path(scratch) / "validate.binpb"
        validate.write_bytes(validate_descriptors().SerializeToString())
        bin_folder = Path(sys.executable).parent
        common_protos = distribution("googleapis-common-protos").locate_file("")
        protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{common_protos}"]
        protoc += [f"--descriptor_set_in={validate}", f"--plugin={bin_folder / 'protoc-gen-mypy'}"]
        protoc += [f"--plugin={bin_folder / 'protoc-gen-mypy_grpc'}"]
        messages = [f"--python_out={target}", f"--mypy_out={target}"]
        services = [*messages, f"--grpc_python_out={target}", f"--mypy_grpc_out={target}"]
        descriptors = [f"--descriptor_set_out={target / DESCRIPTOR_SET}", "--include_imports", "--include_source_info"]
        subprocess.run([*protoc, *messages, "buf/validate/validate.proto"], check=True)
        subprocess.run([*protoc, *services, *descriptors, *sources], check=True)
    for stub in target.rglob("*_pb2_grpc.py"):
        if "class " not in stub.read_text():  # a file without a service
            stub.unlink()
            stub.with_suffix(".pyi").unlink(missing_ok=True)
    # Each in a new process, which imports the modules that have just been written.
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{target.resolve()}"}
    for module in ("edge.generate", "edge.openapi", "edge.mcp_tools", "protos.codegen.reference"):
        subprocess.run([sys.executable, "-m", module, str(target.resolve())], env=environment, check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m protos.codegen.generate",
        description="Write everything that is derived from the protos into a folder, which is emptied first.",
    )
    parser.add_argument("target", type=Path, help="the folder")
    generate(parser.parse_args().target)
