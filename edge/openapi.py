"""The OpenAPI 3.1 document of the public API: `python -m edge.openapi generated` writes `openapi.json` there.

It comes from the protos: one operation a route, descriptions from comments, bounds from rules, errors from their list.
`edge/openapi_examples.py` has the examples.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

from edge import contract
from edge.json_schema import Schema, Schemas
from edge.openapi_errors import Errors
from edge.openapi_operations import HEADERS, PARAMETERS, Operations

ROOT = Path(__file__).resolve().parent.parent
NAME = "openapi.json"
# The services that come first; the others follow by their names.
FIRST = ("GigService", "ImageService", "OrderService", "ReviewService")

# What holds for all operations; a reader of one operation does not find it in its proto.
DESCRIPTION = """\
The public API of the gig marketplace: sellers offer gigs in packages, buyers order them, pay into escrow and review.

**Access tokens.** `Authorization: Bearer <JWT>`. A token counts only in this header. A bad token is 401 even where none
is needed. On a local stack `make token ROLE=seller,buyer` prints one.

**JSON.** Names are camelCase, ids are UUIDs, times are RFC 3339 in UTC, amounts of money are numbers in the major unit
with at most two decimals. Fields that are not known are ignored, but for one with an empty name, which is refused;
`null` is as if the field were not there. A response may have more fields than are shown here. The second spelling of
`/api/gigs` is `/gig`.

**Texts.** Line ends become a newline, surrounding white space is removed, and the rest is put into Unicode's NFC; then
lengths are checked, in code points. A text that shows nothing is empty.

**Pages.** A list has `nextPageToken` while there is more: the next request has it as `pageToken`, and the same
filters.

**Errors.** Each error, of every path, is JSON with an `error` for people and a `code` for programs. Every response has
`X-Request-Id`; an error report should quote it. HEAD answers wherever GET does, OPTIONS with `Allow`."""


def document(descriptor_set: Path = contract.DESCRIPTOR_SET) -> dict[str, Any]:
    """Return the OpenAPI document of a descriptor set. Raises ContractError for an RPC that it cannot describe."""
    protos = contract.load(descriptor_set)
    schemas = Schemas(descriptor_set)
    errors = Errors(protos, schemas)
    operations = Operations(protos, schemas, errors)
    paths: dict[str, dict[str, Any]] = {}
    for route in protos.routes:
        paths.setdefault(operations.path_of(route), {})[route.method.lower()] = operations.operation(route)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gig marketplace",
            "version": project["version"],
            "summary": "Gigs, orders and reviews",
            "description": DESCRIPTION,
            "contact": {"name": project["name"]},
            "license": {"name": project["license"], "identifier": project["license"]},
        },
        "servers": [{"url": "/", "description": "The edge that serves this document"}],
        "tags": [
            {"name": contract.short_name(service), "description": schemas.comment(service)}
            for service in sorted(protos.services(), key=_importance)
        ],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted({**schemas.components, **errors.schemas()}.items())),
            "responses": errors.responses(),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "examples": errors.examples(),
            "securitySchemes": {
                "accessToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": (
                        "An access token: a JWT that the marketplace's issuer has signed. `sub` is the caller's UUID, "
                        "`preferred_username` their name, `roles` any of `seller`, `buyer` and `admin`."
                    ),
                }
            },
        },
    }


def _importance(service: str) -> tuple[int, str]:
    """Return a sort key: what a new reader looks for first."""
    name = contract.short_name(service)
    return FIRST.index(name) if name in FIRST else len(FIRST), name


def generate(target: Path) -> None:
    """Write `target/openapi.json` from `target/descriptors.binpb`; the same input gives the same bytes."""
    written: Schema = document(target / contract.DESCRIPTOR_SET.name)
    (target / NAME).write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes openapi.json into a folder that holds the descriptor set.")
    parser.add_argument("target", type=Path)
    generate(parser.parse_args().target)
