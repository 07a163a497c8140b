"""The check of the chart: `python -m deploy.helm.check` renders it with all examples of values, and checks the result.

Helm must take the chart without a warning, and every resource must be right by the schema of its kind; a kind without a
schema is an error. Every variable of a container must be a setting of its program. The Dockerfile must be without a
finding of hadolint.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from deploy.helm import schemas
from deploy.helm.program import HelmError, run
from deploy.local.environment import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent
CHART = FOLDER / "marketplace"
RELEASE, NAMESPACE = "market", "shop"

# Variables that libraries read, by the name of the container.
S3_PROGRAMS = ("gig", "gig-images", "order-events")
LIBRARIES = {"AWS_ACCESS_KEY_ID": S3_PROGRAMS, "AWS_SECRET_ACCESS_KEY": S3_PROGRAMS}
# Containers that run another program than their name says.
PROGRAM_OF = {"bootstrap": "edge"}

Resource = dict[str, Any]


def examples() -> list[Path]:
    """Return the files with values that the chart is rendered with."""
    return sorted(FOLDER.glob("values-*.yaml"))


def render(values: Path, *changes: str) -> list[Resource]:
    """Return the resources of the chart with these values; `changes` are as those of `helm --set`. Raises HelmError."""
    more = [word for change in changes for word in ("--set", change)]
    text = run("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", str(values), *more)
    return [resource for resource in yaml.load_all(text, yaml.CSafeLoader) if resource]


def chart_errors(values: Path) -> Iterator[str]:
    """Yield the errors of the chart with these values."""
    try:
        run("lint", "--strict", str(CHART), "--values", str(values))
        resources = render(values)
    except HelmError as error:
        yield str(error)
        return
    yield from duplicates(resources)
    for resource in resources:
        name = f"{resource.get('kind')} {resource.get('metadata', {}).get('name')}"
        yield from (f"{name}: {error}" for error in (*schemas.errors(resource), *unknown_settings(resource)))


def duplicates(resources: list[Resource]) -> Iterator[str]:
    """Yield an error for each resource that stands twice."""
    seen: set[tuple[str, str]] = set()
    for resource in resources:
        key = (resource["kind"], resource["metadata"]["name"])
        if key in seen:
            yield f"{' '.join(key)} stands twice"
        seen.add(key)


def unknown_settings(resource: Resource) -> Iterator[str]:
    """Yield an error for each variable that its program does not read."""
    for container in containers(resource):
        known = settings_of(container["name"])
        if known is None:
            continue
        for variable in container.get("env", ()):
            name = variable["name"]
            if name not in known and container["name"] not in LIBRARIES.get(name, ()):
                yield f"{container['name']} has no setting {name}"


def settings_of(container: str) -> frozenset[str] | None:
    """Return the names of the settings of a container's program; None for one whose settings are not in the table."""
    kind = SETTINGS.get(PROGRAM_OF.get(container, container))
    return frozenset(name.upper() for name in kind.model_fields) if kind else None


def containers(resource: Resource) -> list[Mapping[str, Any]]:
    """Return the containers of a resource with pods, those that run first included."""
    pod = resource.get("spec", {}).get("template", {}).get("spec", {})
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]


def dockerfile_errors() -> Iterator[str]:
    """Yield the findings of hadolint."""
    command = [str(Path(sys.executable).parent / "hadolint"), "--no-color", str(ROOT / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    yield from (done.stdout + done.stderr).splitlines()


def main() -> int:
    """Check everything and print every error. Return 1 when there is one."""
    argparse.ArgumentParser(prog="python -m deploy.helm.check", description=main.__doc__).parse_args()
    errors = [f"{values.name}: {error}" for values in examples() for error in chart_errors(values)]
    errors += dockerfile_errors()
    for error in errors:
        sys.stderr.write(f"{error}\n")
    if not errors:
        sys.stdout.write(f"The chart is good with {len(examples())} files of values, and so is the Dockerfile.\n")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
