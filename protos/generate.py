"""Writes everything that is derived from the protos into a folder: `python protos/generate.py generated`.

- `marketplace/**/*_pb2.py`, `*_pb2_grpc.py` and their `.pyi` types, and `buf/validate/validate_pb2.py` beside them
- `descriptors.binpb`: all files with their imports and comments, for Envoy's transcoder, reflection and the linter
- `envoy/`: routes and tables that Envoy's Lua reads (see `edge/generate.py`)
- `api.md`: the table of routes for people (see `reference.py`)
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

PROTOS = Path(__file__).resolve().parent
DESCRIPTOR_SET = "descriptors.binpb"


def validate_descriptors() -> FileDescriptorSet:
    """`buf/validate/validate.proto` and its imports, which the protovalidate wheel ships as descriptors only."""
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def visit(file) -> None:  # type: ignore[no-untyped-def]  # a descriptor of protovalidate's own runtime
        for dependency in file.dependencies:
            visit(dependency)
        found[file.proto.name] = descriptor_pb2.FileDescriptorProto.FromString(file.proto.to_binary())

    visit(validate_pb.desc())
    return FileDescriptorSet(file=found.values())


def generate(target: Path) -> None:
    """Writes all of it below `target`, which is emptied first."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        known = Path(scratch) / "validate.binpb"
        known.write_bytes(validate_descriptors().SerializeToString())
        bin_folder = Path(sys.executable).parent
        common_protos = distribution("googleapis-common-protos").locate_file("")
        run = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{common_protos}"]
        run += [f"--descriptor_set_in={known}", f"--plugin={bin_folder / 'protoc-gen-mypy'}"]
        run += [f"--plugin={bin_folder / 'protoc-gen-mypy_grpc'}"]
        write = [f"--python_out={target}", f"--mypy_out={target}"]
        services = [*write, f"--grpc_python_out={target}", f"--mypy_grpc_out={target}"]
        everything = [f"--descriptor_set_out={target / DESCRIPTOR_SET}", "--include_imports", "--include_source_info"]
        subprocess.run([*run, *write, "buf/validate/validate.proto"], check=True)
        subprocess.run([*run, *services, *everything, *sources], check=True)
    for nothing in target.rglob("*_pb2_grpc.py"):
        if "class " not in nothing.read_text():
            nothing.unlink()
            nothing.with_suffix(".pyi").unlink(missing_ok=True)
    # Processes of their own, which import what has just been written, from anywhere.
    environment = {**os.environ, "PYTHONPATH": f"{PROTOS.parent}{os.pathsep}{target.resolve()}"}
    for command in (["-m", "edge.generate"], [str(PROTOS / "reference.py")]):
        subprocess.run([sys.executable, *command, str(target.resolve())], env=environment, check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes everything that is derived from the protos into a folder.")
    parser.add_argument("target", type=Path)
    generate(parser.parse_args().target)
