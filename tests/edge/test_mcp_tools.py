"""The tools of the Model Context Protocol: all public RPCs, with schemas that say what the API takes."""

from __future__ import annotations

from typing import Any

import httpx
import jsonschema_rs
import pytest
from google.protobuf import json_format

from edge import contract
from edge.bootstrap import cluster_of
from edge.mcp_tools import KEY_ARGUMENT, Tool, tools
from tests.support.edge import Edge
from tests.support.mcp import a_call, result, send

TOOLS = list(tools())
ID = "0190a000-0000-7000-8000-00000000000f"
ODD = "a b&c=1/é?#%2F+\\"
every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


def example(schema: dict[str, Any]) -> Any:
    """Return a value for a schema, with all properties of an object and odd characters in texts."""
    if "enum" in schema:
        return schema["enum"][-1]
    if schema["type"] == "object":
        return {name: example(each) for name, each in schema["properties"].items()}
    if schema["type"] == "array":
        return [example(schema["items"])] * (1 if schema.get("uniqueItems") else min(2, schema.get("maxItems", 2)))
    if schema["type"] == "string":
        formats = {"uuid": ID, "uri": "https://shop.example/a?b=c", "date-time": "2026-11-29T00:00:00Z"}
        return formats.get(schema.get("format", ""), ODD[: schema.get("maxLength", 100)])
    values = {"boolean": True, "integer": max(2, schema.get("minimum", 2)), "number": 2.5}
    return values[schema["type"]]


def test_every_public_rpc_is_a_tool_but_streams_uploads_and_the_webhook() -> None:
    left_out = {"WatchOrderSse", "WatchSse", "UploadImages", "UploadFile", "GetFile", "ReceiveStripeEvent"}
    rpcs = {route.rpc for route in contract.load().routes}

    assert left_out < rpcs
    assert [tool.route.rpc for tool in TOOLS] == list(
        dict.fromkeys(route.rpc for route in contract.load().routes if route.rpc not in left_out)
    )
    assert len({tool.name for tool in TOOLS}) == len(TOOLS)


@every_tool
def test_a_tool_says_what_it_does(tool: Tool) -> None:
    listed = tool.listed

    assert listed["name"].replace("_", "") == tool.route.rpc.lower()
    assert listed["title"].replace(" ", "").lower() == tool.route.rpc.lower()
    assert len(listed["description"]) > 40
    assert ("Needs no access token." in listed["description"]) != tool.route.needs_token
    assert all(role in listed["description"].rpartition("\n")[2] for role in tool.route.roles)
    assert listed["annotations"]["readOnlyHint"] == (tool.route.method == "GET")
    assert listed["annotations"].get("idempotentHint", False) == (tool.route.method in ("PUT", "DELETE"))


@every_tool
def test_a_tool_s_schema_is_a_json_schema_that_takes_its_example_and_nothing_unknown(tool: Tool) -> None:
    schema = tool.listed["inputSchema"]

    jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    jsonschema_rs.validate(schema, example(schema))
    assert not jsonschema_rs.is_valid(schema, {**example(schema), "unknown": 1})
    for name in schema.get("required", []):
        assert not jsonschema_rs.is_valid(schema, {k: v for k, v in example(schema).items() if k != name}), name


@every_tool
def test_a_call_arrives_at_its_rpc_with_all_its_arguments(edge: Edge, api: httpx.Client, tool: Tool) -> None:
    arguments = example(tool.listed["inputSchema"])

    _, is_error = result(send(api, a_call(tool.name, arguments), **edge.bearer()))

    assert not is_error
    [arrived] = edge.upstreams[cluster_of(tool.route.service)][0].received
    key = arguments.pop(KEY_ARGUMENT, None)
    assert arrived.rpc == tool.route.rpc
    assert arrived.request == json_format.ParseDict(arguments, type(arrived.request)())
    assert arrived.metadata.get("idempotency-key") == key
    assert (key is not None) == tool.route.takes_key


@every_tool
def test_a_call_without_a_token_is_an_error_where_not_anyone_may_call(
    edge: Edge, api: httpx.Client, tool: Tool
) -> None:
    body, is_error = result(send(api, a_call(tool.name, example(tool.listed["inputSchema"]))))

    assert is_error == tool.route.needs_token
    if is_error:
        assert body == {"error": "Authentication required", "code": "UNAUTHORIZED"}
        assert edge.received() == 0
