"""Conversations and blocks: domain to proto."""

from __future__ import annotations

from marketplace.conversation.v1 import conversation_pb2
from order_service.convert.messages import to_message, to_person
from order_service.domain.conversation import Block, Conversation, StartedConversation
from servicekit.call import Caller
from servicekit.times import to_timestamp


def to_conversation(conversation: Conversation, viewer: Caller) -> conversation_pb2.Conversation:
    """Convert a conversation: to a side with the other one and what is unread, to an admin with both sides."""
    converted = conversation_pb2.Conversation(
        id=str(conversation.id),
        gig_id=str(conversation.gig_id),
        last_message=to_message(conversation.last_message),
        created_at=to_timestamp(conversation.created_at),
    )
    if viewer.id is not None and conversation.is_side(viewer.id):
        converted.unread = conversation.unread(viewer.id)
        # `with` is a keyword of Python.
        getattr(converted, "with").CopyFrom(to_person(conversation.other(viewer.id)))
    else:
        converted.sides.extend(map(to_person, (conversation.starter, conversation.owner)))
    return converted


def to_started(started: StartedConversation) -> conversation_pb2.StartConversationResponse:
    """Convert a conversation that a message was just added to."""
    return conversation_pb2.StartConversationResponse(
        conversation=to_conversation(started.conversation, started.writer), is_new=started.is_new
    )


def to_block(block: Block) -> conversation_pb2.Block:
    """Convert a block."""
    return conversation_pb2.Block(user_id=str(block.user_id), since=to_timestamp(block.since))
