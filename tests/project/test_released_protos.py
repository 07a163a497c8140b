"""Protos that break clients of the last release are refused, and so is a check without a release."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos.codegen.check import is_compatible, last_release
from protos.codegen.folders import DESCRIPTORS, RELEASED
from protos.codegen.release import release
from tests.support.stack import ROOT


def descriptors_without(message: str, field: str, folder: Path) -> Path:
    """Return a file with today's descriptors, one field removed."""
    files = FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    for file in files.file:
        file.ClearField("source_code_info")
        for descriptor in file.message_type:
            if f"{file.package}.{descriptor.name}" == message:
                (position,) = [index for index, each in enumerate(descriptor.field) if each.name == field]
                del descriptor.field[position]
    target = folder / "descriptors.binpb"
    target.write_bytes(files.SerializeToString())
    return target


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "protos.codegen.check", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_protos_are_well_formed_and_compatible_with_the_last_release() -> None:
    checked = check()

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_removed_field_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    changed = descriptors_without("marketplace.gig.v1.Gig", "title", tmp_path)

    compatible = is_compatible(changed, last_release(RELEASED))

    assert not compatible
    assert re.search(r'field "\d+" with name "title" on message "Gig" was deleted', capfd.readouterr().out)


def test_a_removed_field_fails_the_check(tmp_path: Path) -> None:
    changed = descriptors_without("marketplace.gig.v1.Gig", "title", tmp_path)

    assert check("--descriptors", str(changed)).returncode == 1


def test_without_a_release_the_check_fails_and_says_so(tmp_path: Path) -> None:
    checked = check("--released", str(tmp_path))

    assert checked.returncode == 2
    assert "holds no release" in checked.stderr


def test_the_last_release_is_the_newest_version_not_the_last_name(tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0", "0.2.11"):
        (tmp_path / f"v{version}.binpb").touch()

    assert last_release(tmp_path).name == "v0.10.0.binpb"


def test_a_release_is_kept_once_and_never_changes(tmp_path: Path) -> None:
    changed = descriptors_without("marketplace.gig.v1.Gig", "title", tmp_path)
    kept = release("1.0.0", DESCRIPTORS, tmp_path / "released")
    content = kept.read_bytes()

    assert release("1.0.0", DESCRIPTORS, tmp_path / "released") == kept
    with pytest.raises(FileExistsError, match="never changes"):
        release("1.0.0", changed, tmp_path / "released")
    with pytest.raises(ValueError, match="break clients"):
        release("1.1.0", changed, tmp_path / "released")
    assert kept.read_bytes() == content
    assert [path.name for path in (tmp_path / "released").iterdir()] == ["v1.0.0.binpb"]


def test_the_version_of_the_project_has_its_protos_and_its_section_in_the_changelog() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert last_release(RELEASED).name == f"v{version}.binpb"
    assert sections[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(version)} – \d{{4}}-\d\d-\d\d", sections[1])
