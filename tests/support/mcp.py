"""Messages of the Model Context Protocol, by plain HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx


def a_call(name: str, arguments: Any = None, *, request_id: Any = 1) -> dict[str, Any]:
    """Return the message that calls a tool."""
    params = {"name": name} if arguments is None else {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


def send(api: httpx.Client, message: Any, **headers: str) -> httpx.Response:
    """Send a message: bytes or text as they are, anything else as JSON."""
    content = message if isinstance(message, bytes | str) else json.dumps(message)
    sent = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    return api.post("/mcp", content=content, headers={**sent, **headers})


def result(response: httpx.Response) -> tuple[Any, bool]:
    """Return the JSON in the result of a call, None for an empty one, and whether it is an error."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["jsonrpc"] == "2.0"
    [content] = body["result"]["content"]
    assert content["type"] == "text"
    return json.loads(content["text"]) if content["text"] else None, body["result"]["isError"]


def error_of(response: httpx.Response, status: int = 200) -> tuple[int, str]:
    """Return code and text of an error of JSON-RPC."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert set(body) == {"jsonrpc", "id", "error"}
    return int(body["error"]["code"]), str(body["error"]["message"])


PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def initialize(version: str) -> dict[str, Any]:
    """Return the first message of a client."""
    client = {"name": "test", "version": "1"}
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": client}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
