"""Calls about conversations, without a network between client and service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from marketplace.conversation.v1 import conversation_pb2
from marketplace.gig.v1 import gig_pb2
from order_service.domain.file import FileLabel, FileStatus
from servicekit.ids import new_id
from tests.support.identity import token, user_id
from tests.support.orderservice import BUYER, GIG, SELLER, OrderBackend
from tests.support.rpc import Answer


def offer_gig(
    world: OrderBackend,
    gig_id: str = GIG,
    owner: str = "webdev_pro",
    status: gig_pb2.Gig.Status.ValueType = gig_pb2.Gig.ACTIVE,
) -> str:
    """Let GigService have this gig, and return its id."""
    world.gigs.knows(UUID(gig_id), user_id(owner), status, owner)
    return gig_id


def start(
    world: OrderBackend,
    text: str = "Hello",
    sent_token: str | None = BUYER,
    gig_id: str = GIG,
    key: str | None = None,
    **fields: Any,
) -> Answer:
    request = conversation_pb2.StartConversationRequest(gig_id=gig_id, text=text, **fields)
    if key is None:
        return world.conversations.call("StartConversation", request, sent_token)
    return world.conversations.call("StartConversation", request, sent_token, idempotency_key=key)


def started(world: OrderBackend, text: str = "Hello", sent_token: str = BUYER) -> str:
    """Start a conversation about the seller's gig and return its id."""
    offer_gig(world)
    answer = start(world, text, sent_token)
    assert not answer.error, answer.message
    conversation_id: str = answer.response.conversation.id
    return conversation_id


def send(
    world: OrderBackend,
    conversation_id: str,
    text: str = "And this",
    sent_token: str | None = BUYER,
    key: str | None = None,
    **fields: Any,
) -> Answer:
    request = conversation_pb2.SendMessageRequest(conversation_id=conversation_id, text=text, **fields)
    if key is None:
        return world.conversations.call("SendMessage", request, sent_token)
    return world.conversations.call("SendMessage", request, sent_token, idempotency_key=key)


def sent(world: OrderBackend, conversation_id: str, text: str = "And this", sent_token: str = BUYER) -> str:
    """Send a message and return its id."""
    answer = send(world, conversation_id, text, sent_token)
    assert not answer.error, answer.message
    message_id: str = answer.response.message.id
    return message_id


def get(world: OrderBackend, conversation_id: str, sent_token: str | None = BUYER) -> Answer:
    request = conversation_pb2.GetConversationRequest(conversation_id=conversation_id)
    return world.conversations.call("GetConversation", request, sent_token)


def listed(world: OrderBackend, sent_token: str | None = BUYER, **page: Any) -> Answer:
    return world.conversations.call("ListConversations", conversation_pb2.ListConversationsRequest(**page), sent_token)


def messages(world: OrderBackend, conversation_id: str, sent_token: str | None = BUYER, **page: Any) -> Answer:
    request = conversation_pb2.ListMessagesRequest(conversation_id=conversation_id, **page)
    return world.conversations.call("ListMessages", request, sent_token)


def texts(world: OrderBackend, conversation_id: str, sent_token: str = BUYER, **page: Any) -> list[str]:
    """Return the texts of a page of messages."""
    return [message.text for message in messages(world, conversation_id, sent_token, **page).response.results]


def mark(world: OrderBackend, conversation_id: str, message_id: str, sent_token: str | None = SELLER) -> Answer:
    request = conversation_pb2.MarkReadRequest(conversation_id=conversation_id, message_id=message_id)
    return world.conversations.call("MarkRead", request, sent_token)


def unread(world: OrderBackend, conversation_id: str, sent_token: str = SELLER) -> int:
    """Return the number of messages that a side has not read."""
    number: int = get(world, conversation_id, sent_token).response.conversation.unread
    return number


def remove(world: OrderBackend, message_id: str, sent_token: str | None) -> Answer:
    request = conversation_pb2.RemoveMessageRequest(message_id=message_id)
    return world.conversations.call("RemoveMessage", request, sent_token)


def block(world: OrderBackend, user: str = "happy_buyer", sent_token: str | None = SELLER) -> Answer:
    request = conversation_pb2.BlockUserRequest(user_id=str(user_id(user)))
    return world.conversations.call("BlockUser", request, sent_token)


def unblock(world: OrderBackend, user: str = "happy_buyer", sent_token: str | None = SELLER) -> Answer:
    request = conversation_pb2.UnblockUserRequest(user_id=str(user_id(user)))
    return world.conversations.call("UnblockUser", request, sent_token)


def blocks(world: OrderBackend, sent_token: str | None = SELLER, **page: Any) -> Answer:
    return world.conversations.call("ListBlocks", conversation_pb2.ListBlocksRequest(**page), sent_token)


def upload(
    world: OrderBackend, owner: str = "happy_buyer", name: str = "brief.pdf", status: FileStatus = FileStatus.READY
) -> str:
    """Store a file as its upload does, and return its id."""
    label = FileLabel(new_id(), name, 5, "application/pdf", status)
    with world.store.transaction("file"):
        world.store.files.add(label, user_id(owner), str(label.id))
    return str(label.id)


def renamed(name: str, username: str | None) -> str:
    """Return a token of the user `name` that has another name, or none."""
    return token(name, preferred_username=username)
