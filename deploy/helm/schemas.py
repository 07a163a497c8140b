"""The schemas of Kubernetes' resources: a field or a kind that they do not have is an error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs

# The version of the API that the schemas have: the newest of the package kubernetes-validate.
VERSION = "v1.37.0"
_API = files("kubernetes_validate") / "kubernetes-json-schema" / f"{VERSION}-local-strict"
_DEFINITIONS = "https://kubernetes.io/api/_definitions.json"
# Resources of others: their schemas have the fields that the chart uses.
_OTHERS = {
    ("postgresql.cnpg.io/v1", "Cluster"): "cluster.json",
    ("cert-manager.io/v1", "Certificate"): "certificate.json",
    ("monitoring.coreos.com/v1", "ServiceMonitor"): "servicemonitor.json",
}
_FOLDER = Path(__file__).resolve().parent / "crds"


def errors(resource: Mapping[str, Any]) -> Iterator[str]:
    """Yield the errors of a resource, each with the path of its place."""
    version, kind = str(resource.get("apiVersion")), str(resource.get("kind"))
    validator = _validator(version, kind)
    if validator is None:
        yield f"no schema is known for {kind} of {version}"
        return
    for error in validator.iter_errors(resource):
        yield f"{'.'.join(str(part) for part in error.instance_path)}: {error.message}"


@cache
def _validator(version: str, kind: str) -> Any | None:
    if (version, kind) in _OTHERS:
        return jsonschema_rs.validator_for(json.loads((_FOLDER / _OTHERS[version, kind]).read_text()))
    group, _, number = version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], number) if part)
    file = _API / f"{name}.json"
    if not file.is_file():
        return None
    schema = json.loads(file.read_text())
    # The names of files do not have the whole group: `policy.example/v1` would be found as `policy/v1`.
    if version not in schema["properties"]["apiVersion"]["enum"]:
        return None
    return jsonschema_rs.validator_for(schema, registry=_registry())


@cache
def _registry() -> Any:
    return jsonschema_rs.Registry([(_DEFINITIONS, json.loads((_API / "_definitions.json").read_text()))])
