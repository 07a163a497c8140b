"""The tools of the Model Context Protocol (MCP), from the protos.

Each RPC with a route is a tool, but for streams, uploads and the payment provider's webhook. Envoy's bridge calls the
route; docs/mcp.md describes it. `make generate` writes

- `generated/mcp/tools.json`: the list of tools as clients get it, and the bridge's rule of each tool
- `generated/envoy/mcp_tools.lua`: the arguments in each tool's path, for `envoy/mcp.lua`
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from edge.contract import DESCRIPTOR_SET, Contract, Route, load
from edge.generate import HEADER
from edge.json_schema import Schema, Schemas
from edge.route_times import RouteTimes, times_of
from edge.settings import EdgeSettings

FILE = Path("mcp") / "tools.json"
KEY_ARGUMENT = "idempotencyKey"
KEY_SCHEMA: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "description": "A new UUID for each thing that is to be done. When you call again because you do not know the "
    "outcome, send the same one: nothing is done twice, and you get the first outcome.",
}


@dataclass(frozen=True)
class Tool:
    """One tool: how a client sees it, and how the bridge calls it."""

    route: Route
    listed: dict[str, Any]
    """The tool in the result of `tools/list`."""
    rule: dict[str, Any]
    """The `HttpRule` of Envoy's bridge."""

    @property
    def name(self) -> str:
        """Return the name that clients call the tool by."""
        return str(self.listed["name"])


def tools(descriptor_set: Path = DESCRIPTOR_SET) -> Iterator[Tool]:
    """Yield the tools in the order of the protos."""
    schemas = Schemas(descriptor_set, base="", patterns=False)
    for route in load(descriptor_set).routes:
        if not _is_tool(route):
            continue
        words = re.findall("[A-Z][a-z0-9]*", route.rpc)
        listed = {
            "name": "_".join(words).lower(),
            "title": " ".join(words).capitalize(),
            "description": _description(schemas.comment(f"{route.service}.{route.rpc}"), route),
            "inputSchema": _input_schema(schemas.message(route.request, "request"), route),
            "annotations": _annotations(route),
        }
        yield Tool(route, listed, _rule(route))


def _is_tool(route: Route) -> bool:
    """Return whether a route is a tool: not a stream, an upload, or the payment provider's webhook."""
    return not (route.stream or route.upload or route.raw)


def _description(comment: str, route: Route) -> str:
    callers = "Needs an access token" if route.needs_token else "Needs no access token"
    roles = f" with the role {' or '.join(route.roles)}" if route.roles else ""
    return f"{comment}\n\n{callers}{roles}."


def _input_schema(request: Schema, route: Route) -> Schema:
    """Return the schema of the arguments: path, query and body together, and the idempotency key."""
    properties, required = dict(request["properties"]), [_camel_case(name) for name in route.path_fields]
    required += [name for name in request.get("required", ()) if name not in required]
    if route.takes_key:
        properties[KEY_ARGUMENT] = KEY_SCHEMA
        required.append(KEY_ARGUMENT)
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": required} if required else {})


def _annotations(route: Route) -> dict[str, bool]:
    """Return what the HTTP method says of a tool. A hint that is missing has the protocol's cautious default."""
    hints = {"readOnlyHint": route.method == "GET"}
    if route.method in ("PUT", "PATCH", "DELETE"):
        hints["destructiveHint"] = True
    if route.method in ("PUT", "DELETE"):
        hints["idempotentHint"] = True
    return hints


def _rule(route: Route) -> dict[str, Any]:
    path = re.sub(r"\{([^}]*)\}", lambda field: "{" + _camel_case(field[1]) + "}", route.path)
    rule: dict[str, Any] = {route.method.lower(): path}
    if route.body:
        rule["body"] = "*"
    if route.takes_key:
        rule["bindings"] = [{"type": "HEADER", "name": "idempotency-key", "argument_path": KEY_ARGUMENT}]
    return rule


def _camel_case(name: str) -> str:
    return re.sub("_([a-z])", lambda letter: letter[1].upper(), name)


def tool_list(found: list[Tool]) -> dict[str, Any]:
    """Return the result of `tools/list`. It changes with a release alone, and is the same for everyone."""
    return {
        "tools": [tool.listed for tool in found],
        "resultType": "complete",
        "ttlMs": 60_000,
        "cacheScope": "public",
    }


def generate(target: Path) -> None:
    """Write the files below `target` from `target/descriptors.binpb`; the same input gives the same bytes."""
    found = list(tools(target / "descriptors.binpb"))
    content = {"list": tool_list(found), "rules": {tool.name: tool.rule for tool in found}}
    (target / FILE).parent.mkdir(exist_ok=True)
    (target / FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    lines = [HEADER, "-- The tools of the Model Context Protocol, each with the arguments in its path.\nreturn {\n"]
    for tool in found:
        names = ", ".join(f'"{_camel_case(name)}"' for name in tool.route.path_fields)
        lines.append(f'  ["{tool.name}"] = {{ {names} }},\n' if names else f'  ["{tool.name}"] = {{}},\n')
    (target / "envoy" / "mcp_tools.lua").write_text("".join([*lines, "}\n"]))


def for_envoy(generated: Path, protos: Contract, settings: EdgeSettings) -> dict[str, Any] | None:
    """Return what Envoy's templates need: the list, the rules, and the longest times of a tool. None when it is off."""
    if settings.edge_mcp == "off":
        return None
    content: dict[str, Any] = json.loads((generated / FILE).read_text())
    times = [times_of(route, settings) for route in protos.routes if _is_tool(route)]
    longest = RouteTimes(*(max(each) for each in zip(*map(astuple, times), strict=True)))
    return {**content, "times": longest}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the tools below a folder that holds the descriptor set.")
    parser.add_argument("target", type=Path)
    generate(parser.parse_args().target)
