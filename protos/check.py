"""Lints the protos, and compares them with the last release: `python protos/check.py`.

`buf` reads the descriptor set that `protoc` wrote, because the imports come from Python packages and not from a module
that `buf` could fetch.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUF = Path(sys.executable).with_name("buf")
DESCRIPTORS = "generated/descriptors.binpb"
OURS = ("--path", "marketplace")


def last_release() -> str | None:
    """The newest tag `v…` that the current commit descends from."""
    command = ["git", "describe", "--tags", "--abbrev=0", "--match", "v*"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def breaking(release: str) -> bool:
    """Whether the protos break a client of this release."""
    old = subprocess.run(["git", "show", f"{release}:{DESCRIPTORS}"], cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        against = Path(folder) / "released.binpb"
        against.write_bytes(old)
        command = [str(BUF), "breaking", DESCRIPTORS, "--against", str(against), *OURS]
        return subprocess.run(command, cwd=ROOT, check=False).returncode != 0


def main() -> int:
    """1 when anything is wrong; buf says what."""
    failed = subprocess.run([BUF, "lint", DESCRIPTORS, *OURS], cwd=ROOT, check=False).returncode != 0
    release = last_release()
    if release:
        failed = breaking(release) or failed
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
