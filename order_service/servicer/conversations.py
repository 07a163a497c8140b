"""The RPCs of `marketplace.conversation.v1.ConversationService`. The pipeline around them is servicekit.pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from marketplace.conversation.v1 import conversation_pb2
from order_service.commands.block_user import BlockUser
from order_service.commands.mark_read import MarkRead
from order_service.commands.remove_message import RemoveMessage
from order_service.commands.send_message import SendMessage
from order_service.commands.start_conversation import StartConversation
from order_service.commands.unblock_user import UnblockUser
from order_service.convert import conversations as convert
from order_service.convert.messages import to_message
from order_service.domain.conversation import check_range, check_visible
from order_service.store import blocks as blocks_store
from order_service.store import conversations as conversations_store
from order_service.store.blocks import BlockKey
from order_service.store.conversations import ConversationKey
from order_service.store.store import Store
from servicekit import paging
from servicekit.call import Call
from servicekit.errors import InvalidArgument, Violation
from servicekit.idempotency import binds_idempotency_key
from servicekit.outside import calls_outside


@dataclass(frozen=True, slots=True)
class ConversationCommands:
    """The commands of the servicer."""

    start: StartConversation
    send: SendMessage
    mark_read: MarkRead
    remove: RemoveMessage
    block: BlockUser
    unblock: UnblockUser


class ConversationServicer:
    """Conversations, their messages, and blocks."""

    def __init__(self, store: Store, commands: ConversationCommands) -> None:
        self._store = store
        self._commands = commands

    # It asks GigService for the gig.
    @calls_outside
    @binds_idempotency_key
    def StartConversation(
        self, request: conversation_pb2.StartConversationRequest, call: Call
    ) -> conversation_pb2.StartConversationResponse:
        file_ids = list(map(UUID, request.file_ids))
        return convert.to_started(
            self._commands.start.execute(
                UUID(request.gig_id), request.text, file_ids, call.caller, call.idempotency_claim
            )
        )

    def ListConversations(
        self, request: conversation_pb2.ListConversationsRequest, call: Call
    ) -> conversation_pb2.ListConversationsResponse:
        key = paging.decode(request, paging.timestamp, paging.uuid)
        size = paging.page_size(request.page_size)
        after = ConversationKey(*key) if key else conversations_store.START
        page = self._store.conversations.page(call.user_id, after=after, limit=size + 1)
        response = conversation_pb2.ListConversationsResponse(
            results=[convert.to_conversation(conversation, call.caller) for conversation in page[:size]]
        )
        if len(page) > size:
            last = page[size - 1]
            response.next_page_token = paging.encode(request, ConversationKey(last.last_message.at, last.id))
        return response

    def GetConversation(
        self, request: conversation_pb2.GetConversationRequest, call: Call
    ) -> conversation_pb2.GetConversationResponse:
        conversation = self._store.conversations.get(UUID(request.conversation_id))
        check_visible(conversation.sides, call.caller)
        return conversation_pb2.GetConversationResponse(conversation=convert.to_conversation(conversation, call.caller))

    def ListMessages(
        self, request: conversation_pb2.ListMessagesRequest, call: Call
    ) -> conversation_pb2.ListMessagesResponse:
        check_range(request.after, request.before)
        key = paging.decode(request, paging.int64)
        size = paging.page_size(request.page_size)
        bound = request.after or request.before
        page = self._store.messages.page(
            UUID(request.conversation_id),
            bound_id=UUID(bound) if bound else None,
            number=key[0] if key else None,
            is_forward=bool(request.after),
            limit=size + 1,
        )
        check_visible(page.sides, call.caller)
        if bound and not page.has_bound:
            field = "after" if request.after else "before"
            raise InvalidArgument([Violation(field, "is no message of this conversation")])
        response = conversation_pb2.ListMessagesResponse(results=map(to_message, page.messages[:size]))
        if len(page.messages) > size:
            response.next_page_token = paging.encode(request, [page.messages[size - 1].number])
        return response

    def SendMessage(
        self, request: conversation_pb2.SendMessageRequest, call: Call
    ) -> conversation_pb2.SendMessageResponse:
        message = self._commands.send.execute(
            UUID(request.conversation_id),
            request.text,
            list(map(UUID, request.file_ids)),
            UUID(request.order_id) if request.order_id else None,
            call.caller,
        )
        return conversation_pb2.SendMessageResponse(message=to_message(message))

    def MarkRead(self, request: conversation_pb2.MarkReadRequest, call: Call) -> conversation_pb2.MarkReadResponse:
        conversation = self._commands.mark_read.execute(
            UUID(request.conversation_id), UUID(request.message_id), call.caller
        )
        return conversation_pb2.MarkReadResponse(conversation=convert.to_conversation(conversation, call.caller))

    def RemoveMessage(
        self, request: conversation_pb2.RemoveMessageRequest, call: Call
    ) -> conversation_pb2.RemoveMessageResponse:
        self._commands.remove.execute(UUID(request.message_id))
        return conversation_pb2.RemoveMessageResponse()

    def BlockUser(self, request: conversation_pb2.BlockUserRequest, call: Call) -> conversation_pb2.BlockUserResponse:
        block = self._commands.block.execute(call.user_id, UUID(request.user_id))
        return conversation_pb2.BlockUserResponse(block=convert.to_block(block))

    def UnblockUser(
        self, request: conversation_pb2.UnblockUserRequest, call: Call
    ) -> conversation_pb2.UnblockUserResponse:
        self._commands.unblock.execute(call.user_id, UUID(request.user_id))
        return conversation_pb2.UnblockUserResponse()

    def ListBlocks(
        self, request: conversation_pb2.ListBlocksRequest, call: Call
    ) -> conversation_pb2.ListBlocksResponse:
        key = paging.decode(request, paging.timestamp, paging.uuid)
        size = paging.page_size(request.page_size)
        after = BlockKey(*key) if key else blocks_store.START
        blocks = self._store.blocks.page(call.user_id, after=after, limit=size + 1)
        response = conversation_pb2.ListBlocksResponse(results=map(convert.to_block, blocks[:size]))
        if len(blocks) > size:
            last = blocks[size - 1]
            response.next_page_token = paging.encode(request, BlockKey(last.since, last.user_id))
        return response
