"""Release of the protos: `python -m protos.codegen.release 0.1.0` keeps them as `protos/released/v0.1.0.binpb`.

The file is a descriptor set without comments. `protos/codegen/check.py` compares later protos with the newest one.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos.codegen.check import is_compatible, last_release
from protos.codegen.folders import DESCRIPTORS, RELEASED


def release(version: str, descriptors: Path = DESCRIPTORS, folder: Path = RELEASED) -> Path:
    """Write the protos of a release and return the file.

    Raises FileExistsError when the folder has other protos for this version, and ValueError when the protos break
    clients of the release before.
    """
    target = folder / f"v{version}.binpb"
    content = _without_comments(descriptors.read_bytes())
    if target.exists():
        if target.read_bytes() == content:
            return target
        raise FileExistsError(
            f"{target} exists with other protos. A release never changes; remove the file if it was never published"
        )
    folder.mkdir(exist_ok=True)
    if any(folder.glob("v*.binpb")) and not is_compatible(descriptors, last_release(folder)):
        raise ValueError(f"the protos break clients of {last_release(folder).stem}")
    target.write_bytes(content)
    return target


def _without_comments(descriptors: bytes) -> bytes:
    files = FileDescriptorSet.FromString(descriptors)
    for file in files.file:
        file.ClearField("source_code_info")
    return files.SerializeToString(deterministic=True)


def _version(text: str) -> str:
    if not re.fullmatch(r"\d+\.\d+\.\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a version such as 1.2.3")
    return text


def main() -> int:
    """Write the protos of the release that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m protos.codegen.release", description="Keep the protos of a release for later comparisons."
    )
    parser.add_argument("version", type=_version, help="the version without the v: 1.2.3")
    try:
        target = release(parser.parse_args().version)
    except (FileExistsError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"Wrote {target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
