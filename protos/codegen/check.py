"""Check of the protos: `python -m protos.codegen.check` lints them and compares them with the last release.

`buf` reads the descriptor set that `protoc` wrote, because the imports come from Python packages and not from a module
that `buf` could fetch. The last release is the newest file of `protos/released/`; `make release-protos` writes it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from protos.codegen.folders import DESCRIPTORS, RELEASED, ROOT

BUF = Path(sys.executable).with_name("buf")
OUR_FILES = ("--path", "marketplace")
RELEASE_NAME = re.compile(r"v(\d+)\.(\d+)\.(\d+)\.binpb")


def last_release(folder: Path) -> Path:
    """Return the descriptor set of the newest release. Raises FileNotFoundError when there is none."""
    releases = [
        (tuple(map(int, name.groups())), path)
        for path in folder.glob("*")
        if (name := RELEASE_NAME.fullmatch(path.name))
    ]
    if not releases:
        raise FileNotFoundError(
            f"{folder} holds no release (v1.2.3.binpb) to compare the protos with: restore it from git, or run "
            "make release-protos VERSION=1.2.3"
        )
    return max(releases)[1]


def lint(descriptors: Path) -> bool:
    """Return whether the protos follow the style of `buf.yaml`; buf prints each problem."""
    return _buf("lint", str(descriptors), *OUR_FILES)


def is_compatible(descriptors: Path, release: Path) -> bool:
    """Return whether clients of the release keep working with the protos; buf prints each breaking change."""
    return _buf("breaking", str(descriptors), "--against", str(release), *OUR_FILES)


def _buf(*arguments: str) -> bool:
    return subprocess.run([BUF, *arguments], cwd=ROOT, check=False).returncode == 0


def main() -> int:
    """Check the protos. Return 0 when they are fine, 1 when they are not, 2 when no release is there."""
    parser = argparse.ArgumentParser(
        prog="python -m protos.codegen.check", description="Lint the protos and compare them with the last release."
    )
    parser.add_argument("--descriptors", type=Path, default=DESCRIPTORS, help="the descriptor set to check")
    parser.add_argument("--released", type=Path, default=RELEASED, help="the folder of the releases' descriptor sets")
    arguments = parser.parse_args()
    try:
        release = last_release(arguments.released)
    except FileNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    checks = [lint(arguments.descriptors), is_compatible(arguments.descriptors, release)]
    if not all(checks):
        return 1
    sys.stdout.write(f"The protos are well-formed and compatible with {release.stem}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
