"""An agent with the official client of the Model Context Protocol: tools, an order from search to review, errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import anyio
import httpx2
import pytest
from mcp.client.streamable_http import streamable_http_client

from edge import contract
from mcp import Client, MCPError
from tests.support.stack import Stack
from tests.support.story import Market, a_gig, a_name

# How the client begins: it asks what the server knows, or greets it in the older way.
MODES = ("auto", "legacy")


@asynccontextmanager
async def an_agent(stack: Stack, *roles: str, mode: str = "auto") -> AsyncIterator[Client]:
    """Connect a client, with a token of somebody new when there are roles."""
    headers = {"Authorization": f"Bearer {stack.token(a_name('agent'), *roles)}"} if roles else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(f"{stack.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


async def call(agent: Client, tool: str, **arguments: Any) -> Any:
    """Call a tool and return its JSON; None when it has none."""
    result = await agent.call_tool(tool, arguments)
    [content] = result.content
    assert content.type == "text"
    assert not result.is_error, content.text
    return json.loads(content.text) if content.text else None


async def error(agent: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool that must not succeed. Return the error that the agent reads."""
    result = await agent.call_tool(tool, arguments)
    [content] = result.content
    assert content.type == "text"
    assert result.is_error, content.text
    body: dict[str, Any] = json.loads(content.text)
    return body


def run(story: Callable[[], Awaitable[None]]) -> None:
    """Run a test that awaits."""
    anyio.run(story)


@pytest.mark.parametrize("mode", MODES)
def test_an_agent_finds_every_public_rpc(stack: Stack, mode: str) -> None:
    routes = [each for each in contract.load().routes if not (each.stream or each.upload or each.raw)]

    async def story() -> None:
        async with an_agent(stack, mode=mode) as agent:
            listed = await agent.list_tools()
            assert agent.server_info is not None
            assert agent.server_info.name == "marketplace"
            assert agent.protocol_version == ("2026-07-28" if mode == "auto" else "2025-11-25")
            assert listed.next_cursor is None
            assert [tool.name.replace("_", "") for tool in listed.tools] == [route.rpc.lower() for route in routes]
            assert all(tool.description and tool.input_schema["type"] == "object" for tool in listed.tools)

    run(story)


@pytest.mark.parametrize("mode", MODES)
def test_agents_buy_and_sell(stack: Stack, mode: str) -> None:
    async def story() -> None:
        async with (
            an_agent(stack, "seller", mode=mode) as seller,
            an_agent(stack, "buyer", mode=mode) as buyer,
            an_agent(stack, "admin", mode=mode) as admin,
            an_agent(stack, mode=mode) as anyone,
        ):
            made = await call(seller, "create_gig", **a_gig(), idempotencyKey=str(uuid4()))
            found = await call(anyone, "search_gigs", sellerId=made["sellerId"], tags=a_gig()["tags"], q=None)
            assert [each["id"] for each in found["results"]] == [made["id"]]
            gig = await call(anyone, "get_gig", gigId=made["id"])
            feed = await call(admin, "list_events", after="now")

            order = {"packageId": gig["packages"][0]["id"], "paymentMethod": "stripe", "idempotencyKey": str(uuid4())}
            placed = await call(buyer, "place_order", **order)
            assert await call(buyer, "place_order", **order) == placed
            orders = (await call(buyer, "list_orders", role="buyer"))["results"]
            assert [each["orderId"] for each in orders] == [placed["orderId"]]
            identity = {"orderId": placed["orderId"]}
            await call(seller, "accept_order", **identity)
            await call(seller, "deliver_order", **identity, message="Here it is")
            await call(buyer, "complete_order", **identity)
            await call(
                buyer, "submit_review", **identity, rating=5, comment="Gut, danke: ü", idempotencyKey=str(uuid4())
            )

            history = await call(buyer, "list_order_events", **identity)
            assert [each["to"] for each in history["events"]] == [
                "PENDING", "IN_PROGRESS", "DELIVERED", "COMPLETED",
            ]  # fmt: skip
            while placed["orderId"] not in [each.get("orderId") for each in feed["results"]]:
                feed = await call(admin, "list_events", after=feed["next"], wait=10)
            reviews = await call(anyone, "list_reviews", gigId=made["id"])
            assert [each["comment"] for each in reviews["results"]] == ["Gut, danke: ü"]
            assert await call(seller, "delete_gig", gigId=made["id"]) is None

    run(story)


def test_an_agent_reads_the_api_s_errors(stack: Stack, market: Market) -> None:
    gig = market.gig()
    package = gig["packages"][0]["id"]

    async def story() -> None:
        async with an_agent(stack) as anyone, an_agent(stack, "buyer") as buyer, an_agent(stack, "seller") as seller:
            order = {"packageId": package, "paymentMethod": "stripe"}
            assert (await error(anyone, "place_order", **order))["code"] == "UNAUTHORIZED"
            assert (await error(seller, "place_order", **order))["code"] == "FORBIDDEN"
            declined = await error(buyer, "place_order", **order, paymentToken="sandbox_declined")
            assert declined["code"] == "PAYMENT_DECLINED"
            key = str(uuid4())
            placed = await call(buyer, "place_order", **order, idempotencyKey=key)
            reused = await error(buyer, "place_order", **order, requirements="Other", idempotencyKey=key)
            assert reused["code"] == "IDEMPOTENCY_KEY_REUSED"
            assert (await error(buyer, "get_order", orderId=str(uuid4())))["code"] == "NOT_FOUND"
            assert (await error(buyer, "complete_order", orderId=placed["orderId"]))["code"] == "INVALID_TRANSITION"
            wrong = await error(buyer, "search_gigs", minPrice="cheap")
            assert {each["field"] for each in wrong["details"]} == {"minPrice"}

            for tool in ("receive_stripe_event", "get_order"):
                with pytest.raises(MCPError) as refused:
                    await buyer.call_tool(tool, {})
                assert refused.value.error.code == -32602

    run(story)


def test_an_agent_s_session_pings(stack: Stack) -> None:
    async def story() -> None:
        async with an_agent(stack, mode="legacy") as agent:
            with pytest.warns(match="ping is removed"):
                await agent.send_ping()

    run(story)
