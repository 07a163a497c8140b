"""The OpenAPI document: complete, valid, without a warning of Spectral, its examples by its own schemas."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from edge import contract
from edge.openapi import document
from edge.openapi_examples import BODIES, RESPONSES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "generated" / "openapi.json"
SPECTRAL = Path(__file__).parent / "spectral"
# The requests and responses that the marketplace's first description has, and with them every README and client.
SEED = ("CreateGig", "GetGig", "AddPackage", "PlaceOrder", "SubmitReview", "SearchGigs")


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DOCUMENT.read_text())
    return read


def operations(openapi: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def by_id(openapi: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {operation["operationId"]: operation for _, _, operation in operations(openapi)}


def validator(openapi: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": openapi["components"]}, validate_formats=True)


def test_every_route_is_an_operation_and_nothing_else_is(openapi: dict[str, Any]) -> None:
    routes = contract.load().routes

    assert len(by_id(openapi)) == len(routes)
    found = {(method, path.count("{"), operation["operationId"]) for method, path, operation in operations(openapi)}
    assert found == {(route.method, route.path.count("{"), route.rpc) for route in routes}


def test_names_in_paths_are_parameters_in_camel_case(openapi: dict[str, Any]) -> None:
    for _, path, operation in operations(openapi):
        named = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        given = [each for each in operation.get("parameters", []) if each.get("in") == "path"]

        assert [each["name"] for each in given] == named
        assert all(each["required"] and each["schema"]["format"] == "uuid" for each in given)
        assert "_" not in path


def test_a_token_is_asked_for_where_the_route_asks_for_one(openapi: dict[str, Any]) -> None:
    for route in contract.load().routes:
        ways = by_id(openapi)[route.rpc]["security"]

        assert ({} in ways) == (not route.needs_token), route.rpc
        assert {"accessToken": []} in ways


@pytest.mark.parametrize(
    ("rpc", "statuses"),
    [
        ("GetGig", "200 304 400 401 404 429 431 500 503 504"),
        ("CreateGig", "201 400 401 403 409 413 415 422 429 431 500 503 504"),
        ("UpdateGig", "200 400 401 403 404 412 413 415 429 431 500 503 504"),
        ("DeletePackage", "204 400 401 403 404 409 412 429 431 500 503 504"),
        ("UploadImages", "201 400 401 403 404 409 412 413 415 429 431 500 503 504"),
        ("PlaceOrder", "201 400 401 402 403 404 409 413 415 422 429 431 500 503 504"),
        ("CompleteOrder", "200 400 401 403 404 409 413 415 429 431 500 503 504"),
        ("WatchOrderSse", "200 204 400 401 403 404 429 431 500 503 504"),
        ("ReceiveStripeEvent", "200 400 401 413 429 431 500 503 504"),
    ],
)
def test_a_route_has_the_statuses_that_it_can_have(openapi: dict[str, Any], rpc: str, statuses: str) -> None:
    assert " ".join(by_id(openapi)[rpc]["responses"]) == statuses


def test_every_code_of_the_catalogue_is_described(openapi: dict[str, Any]) -> None:
    codes = {error.name for error in contract.load().errors} - {"UPGRADE_REQUIRED"}

    described = openapi["components"]["schemas"]["ErrorCode"]

    assert set(described["enum"]) == codes
    assert all(f"- `{code}` (" in described["description"] for code in codes)


@pytest.mark.parametrize(
    ("rpc", "parameters"),
    [
        ("CreateGig", {"IdempotencyKey"}),
        ("AddPackage", {"IdempotencyKey", "IfMatch"}),
        ("UpdateGig", {"IfMatch"}),
        ("GetGig", {"IfNoneMatch"}),
        ("WatchSse", {"LastEventId"}),
        ("ReceiveStripeEvent", {"StripeSignature"}),
        ("GetOrder", set()),
    ],
)
def test_headers_of_requests_are_described(openapi: dict[str, Any], rpc: str, parameters: set[str]) -> None:
    given = by_id(openapi)[rpc].get("parameters", [])

    assert {each["$ref"].rpartition("/")[2] for each in given if "$ref" in each} == parameters


def test_bodies_are_what_the_routes_take(openapi: dict[str, Any]) -> None:
    types = {rpc: set(each.get("requestBody", {}).get("content", ())) for rpc, each in by_id(openapi).items()}

    assert types["UploadImages"] == {"multipart/form-data", "image/*"}
    assert types["GetGig"] == types["DeleteGig"] == types["RetryWebhookDelivery"] == set()
    assert types["CreateGig"] == types["ReceiveStripeEvent"] == {"application/json"}
    assert set(by_id(openapi)["WatchSse"]["responses"]["200"]["content"]) == {"text/event-stream"}


def test_every_example_is_right_by_its_schema(openapi: dict[str, Any]) -> None:
    checked = 0
    contents = [
        content
        for operation in by_id(openapi).values()
        for part in (operation.get("requestBody", {}), *operation["responses"].values())
        for content in part.get("content", {}).values()
    ] + [each["content"]["application/json"] for each in openapi["components"]["responses"].values()]
    for content in contents:
        for example in content.get("examples", {}).values():
            if "$ref" in example:
                example = openapi["components"]["examples"][example["$ref"].rpartition("/")[2]]
            validator(openapi, content["schema"]).validate(example["value"])
            checked += 1
    assert checked > 100


def test_an_example_that_is_wrong_is_noticed(openapi: dict[str, Any]) -> None:
    schema = by_id(openapi)["CreateGig"]["requestBody"]["content"]["application/json"]["schema"]

    assert validator(openapi, schema).is_valid(BODIES["CreateGig"])
    assert not validator(openapi, schema).is_valid(BODIES["CreateGig"] | {"packages": []})
    assert not validator(openapi, schema).is_valid(BODIES["CreateGig"] | {"packages": [{"title": "Only a title"}]})


def test_the_seed_s_requests_and_responses_are_examples(openapi: dict[str, Any]) -> None:
    for rpc in SEED:
        operation = by_id(openapi)[rpc]
        success = next(iter(operation["responses"].values()))
        assert success["content"]["application/json"]["examples"]["example"]["value"] == RESPONSES[rpc]
        if rpc in BODIES:
            body = operation["requestBody"]["content"]["application/json"]
            assert body["examples"]["example"]["value"] == BODIES[rpc]


def test_no_example_is_of_an_rpc_that_is_not_there(openapi: dict[str, Any]) -> None:
    assert set(BODIES) | set(RESPONSES) <= set(by_id(openapi))


def test_the_document_is_made_anew_the_same(openapi: dict[str, Any]) -> None:
    assert document() == openapi


@pytest.fixture(scope="module")
def spectral() -> Path:
    """Return the program, installed from the lock file into a cache of the project."""
    npm = shutil.which("npm")
    if npm is None:
        reason = "no npm on this machine, which installs Spectral"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    lock_file = (SPECTRAL / "package-lock.json").read_bytes()
    folder = ROOT / ".cache" / f"spectral-{hashlib.sha256(lock_file).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SPECTRAL / name, folder)
            install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            # The first time takes half a minute.
            subprocess.run(install, cwd=folder, check=True, timeout=110)
            (folder / "installed").touch()
    return folder / "node_modules" / ".bin" / "spectral"


def test_spectral_has_no_warning_about_the_document(spectral: Path, openapi: dict[str, Any], tmp_path: Path) -> None:
    """The other document shows that Spectral looks: it has an operation without an id, and an example that is wrong."""
    some = {path: openapi["paths"][path] for path in ("/api/categories", "/api/gigs")}
    del some["/api/categories"]["get"]["operationId"]
    body = some["/api/gigs"]["post"]["requestBody"]["content"]["application/json"]
    body["examples"]["example"]["value"] = {"title": 5}
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(openapi | {"paths": some}))

    command = [str(spectral), "lint", "--ruleset", str(SPECTRAL / ".spectral.yaml")]
    linted = subprocess.run(
        [*command, "--format", "json", "--quiet", str(DOCUMENT), str(broken)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert linted.stdout, linted.stderr
    found = json.loads(linted.stdout)
    assert [each for each in found if Path(each["source"]) == DOCUMENT] == []
    assert {each["code"] for each in found} >= {"operation-operationId", "oas3-valid-media-example"}
