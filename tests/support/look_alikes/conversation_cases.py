"""What a look-alike gets to see and to do of the other's conversations, messages and blocks: nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from tests.support.look_alikes.pair import Pair
from tests.support.look_alikes.person import KEY, Person
from tests.support.story import ok

Case = Callable[[Pair], None]

CONVERSATION = "/api/conversations/{}"
MESSAGES = f"{CONVERSATION}/messages"
SEED_TEXT = "Do you do shops?"


def start_conversation(pair: Pair) -> None:
    furnish_conversations(pair)
    # The same body with the same key as the owner's: another conversation, with the same seller.
    body = {"gigId": pair.gig["id"], "text": SEED_TEXT}
    begun = ok(pair.ask("POST", "/api/conversations", json=body, headers=KEY), 201)
    assert begun["id"] == pair.viewer.conversation
    again = ok(pair.ask("POST", "/api/conversations", json=body))
    assert again["id"] == pair.viewer.conversation
    pair.viewer.owns(again["lastMessage"]["id"], "a message")
    # About a gig of the other one that is not visible.
    pair.same_as_unknown_body(404, "/api/conversations", "gigId", pair.owner.paused[0]["id"], text=SEED_TEXT)


def list_conversations(pair: Pair) -> None:
    furnish_conversations(pair)
    rows = pair.pages("/api/conversations")
    assert [row["id"] for row in rows] == [pair.viewer.conversation]


def get_conversation(pair: Pair) -> None:
    furnish_conversations(pair)
    pair.hidden("GET", CONVERSATION, pair.owner.conversation)


def list_messages(pair: Pair) -> None:
    furnish_conversations(pair)
    pair.hidden("GET", MESSAGES, pair.owner.conversation)
    own = MESSAGES.format(pair.viewer.conversation)
    assert {row["id"] for row in pair.pages(own)} >= {pair.viewer.message}
    for bound in ("after", "before"):
        assert pair.ask("GET", own, params={bound: pair.owner.message}, shows=[pair.owner.message]).status_code == 400
    token = pair.owners_page_token(MESSAGES.format(pair.owner.conversation))
    assert pair.ask("GET", own, params={"pageToken": token}).status_code == 400
    owners = MESSAGES.format(pair.owner.conversation)
    assert pair.ask("GET", owners, params={"pageToken": token}).status_code == 404


def send_message(pair: Pair) -> None:
    furnish_conversations(pair)
    pair.hidden("POST", MESSAGES, pair.owner.conversation, json={"text": "Hello"})
    own = MESSAGES.format(pair.viewer.conversation)
    sent = ok(pair.ask("POST", own, json={"text": "Hello"}, headers=KEY), 201)
    pair.viewer.owns(sent["id"], "a message")
    # The owner's order, with the same seller.
    pair.same_as_unknown_body(404, own, "orderId", pair.owner.bought["PENDING"], text="Hello")


def mark_read(pair: Pair) -> None:
    furnish_conversations(pair)
    body = {"messageId": pair.owner.message}
    pair.hidden("POST", f"{CONVERSATION}/read", pair.owner.conversation, json=body)
    pair.same_as_unknown_body(
        400, CONVERSATION.format(pair.viewer.conversation) + "/read", "messageId", pair.owner.message
    )


def remove_message(pair: Pair) -> None:
    furnish_conversations(pair)
    pair.same_as_unknown(403, "DELETE", "/api/messages/{}", pair.owner.message, pair.viewer.message)


def block_user(pair: Pair) -> None:
    furnish_conversations(pair)
    # The one whom the owner has blocked, who is no secret.
    blocked = ok(pair.ask("PUT", f"/api/blocks/{pair.owner.blocked}", shows=[pair.owner.blocked]))
    assert blocked["userId"] == pair.owner.blocked
    ok(pair.ask("DELETE", f"/api/blocks/{pair.owner.blocked}"), 204)


def unblock_user(pair: Pair) -> None:
    furnish_conversations(pair)
    ok(pair.ask("DELETE", f"/api/blocks/{pair.owner.blocked}"), 204)


def list_blocks(pair: Pair) -> None:
    furnish_conversations(pair)
    assert [row["userId"] for row in pair.pages("/api/blocks")] == [pair.viewer.blocked]


def furnish_conversations(pair: Pair) -> None:
    """Give both a conversation with the market's seller, and a block, unless they have them."""
    if pair.owner.conversation:
        return
    pair.let_owner_act(lambda: _talk(pair, pair.owner))
    _talk(pair, pair.viewer)


def _talk(pair: Pair, person: Person) -> None:
    """Have a person and the market's seller write to each other, and the person block somebody."""
    begun: dict[str, Any] = person.ask_once(
        "StartConversation", "/api/conversations", {"gigId": pair.gig["id"], "text": SEED_TEXT}
    )
    person.conversation = person.owns(begun["id"], "a conversation")
    person.owns(begun["lastMessage"]["id"], "a message")
    path = MESSAGES.format(person.conversation)
    person.message = person.owns(
        ok(person.client.post(path, json={"text": f"It is {person.word}"}), 201)["id"], "a message"
    )
    reply = ok(pair.market.seller.post(path, json={"text": f"I know {person.word}"}), 201)
    person.owns(reply["id"], "a message to them")
    person.blocked = person.owns(str(uuid4()), "a user whom they have blocked")
    ok(person.client.put(f"/api/blocks/{person.blocked}"))


CASES: dict[str, Case] = {
    "ConversationService.StartConversation": start_conversation,
    "ConversationService.ListConversations": list_conversations,
    "ConversationService.GetConversation": get_conversation,
    "ConversationService.ListMessages": list_messages,
    "ConversationService.SendMessage": send_message,
    "ConversationService.MarkRead": mark_read,
    "ConversationService.RemoveMessage": remove_message,
    "ConversationService.BlockUser": block_user,
    "ConversationService.UnblockUser": unblock_user,
    "ConversationService.ListBlocks": list_blocks,
}
