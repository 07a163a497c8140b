"""The folders and files that code generation reads and writes."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
RELEASED = PROTOS / "released"
DESCRIPTOR_SET = "descriptors.binpb"
DESCRIPTORS = ROOT / "generated" / DESCRIPTOR_SET
