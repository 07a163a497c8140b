"""Who may see a conversation and write in it, what is unread, and what a message must have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_service.domain.conversation import (
    BlocksBetween,
    Conversation,
    DescribedGig,
    Message,
    Person,
    check_content,
    check_range,
    check_visible,
)
from servicekit.call import Caller
from servicekit.errors import Conflict, Forbidden, InvalidArgument, NotFound
from servicekit.ids import new_id
from tests.support.identity import a_caller

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STARTER, OWNER = a_caller("happy_buyer", "buyer"), a_caller("webdev_pro", "seller")
ADMIN, STRANGER = a_caller("root", "admin"), a_caller("somebody", "buyer")


def person(caller: Caller) -> Person:
    assert caller.id is not None
    return Person(caller.id, caller.username)


def a_message(writers: list[Caller]) -> Message:
    """Return the last one of messages that were written by these sides."""
    return Message(
        id=new_id(),
        conversation_id=CONVERSATION,
        number=len(writers),
        sender=person(writers[-1]),
        text="Hello",
        at=NOW,
        starter_wrote=writers.count(STARTER),
        owner_wrote=writers.count(OWNER),
    )


CONVERSATION = new_id()
sides = st.sampled_from([STARTER, OWNER])
writers = st.lists(sides, max_size=20).map(lambda later: [STARTER, *later])


def a_conversation(writers: list[Caller]) -> Conversation:
    return Conversation(CONVERSATION, person(STARTER), person(OWNER), new_id(), NOW, a_message(writers))


@given(writers=writers, reads=st.lists(st.tuples(sides, st.integers(min_value=1, max_value=21))))
def test_unread_are_the_other_sides_messages_after_the_newest_marked_one(
    writers: list[Caller], reads: list[tuple[Caller, int]]
) -> None:
    conversation = a_conversation(writers)
    for reader, number in reads:
        assert reader.id is not None
        conversation = conversation.marked(reader.id, a_message(writers[:number]))

    for reader, other in ((STARTER, OWNER), (OWNER, STARTER)):
        assert reader.id is not None
        newest = max((number for each, number in reads if each == reader), default=0)
        assert conversation.unread(reader.id) == writers[newest:].count(other)


def test_a_conversation_is_seen_by_its_sides_and_admins_and_written_in_by_its_sides() -> None:
    conversation = a_conversation([STARTER])

    for caller in (STARTER, OWNER, ADMIN):
        check_visible(conversation.sides, caller)
    for caller in (STARTER, OWNER, replace(OWNER, roles=frozenset({"admin"}))):
        conversation.check_side(caller)
    with pytest.raises(Forbidden):
        conversation.check_side(ADMIN)
    for check in (conversation.check_side, lambda caller: check_visible(conversation.sides, caller)):
        with pytest.raises(NotFound, match="Conversation"):
            check(STRANGER)


def test_the_other_side_of_each_is_the_other() -> None:
    conversation = a_conversation([STARTER])

    assert (conversation.other(conversation.starter.id), conversation.other(conversation.owner.id)) == (
        conversation.owner,
        conversation.starter,
    )


@pytest.mark.parametrize("is_active", [True, False])
def test_nobody_starts_a_conversation_about_an_own_gig(is_active: bool) -> None:
    with pytest.raises(Forbidden):
        DescribedGig(new_id(), person(OWNER), is_active).check_start(OWNER)


def test_a_gig_that_is_not_active_can_be_talked_of_by_admins_alone() -> None:
    gig = DescribedGig(new_id(), person(OWNER), is_active=False)

    gig.check_start(ADMIN)
    with pytest.raises(NotFound, match="Gig"):
        gig.check_start(STARTER)


def test_the_blocked_are_forbidden_to_write_and_who_blocks_must_end_that_first() -> None:
    with pytest.raises(Forbidden):
        BlocksBetween(is_blocked=True).check_blocked()
    with pytest.raises(Conflict):
        BlocksBetween(is_blocking=True).check_blocking()
    BlocksBetween(is_blocking=True).check_blocked()
    BlocksBetween(is_blocked=True).check_blocking()


def test_a_message_has_a_text_or_files() -> None:
    check_content("Hello", [])
    check_content("", [new_id()])
    with pytest.raises(InvalidArgument) as raised:
        check_content("", [])

    assert [violation.field for violation in raised.value.violations] == ["text"]


def test_a_page_of_messages_has_one_bound() -> None:
    check_range("a", "")
    check_range("", "b")
    with pytest.raises(InvalidArgument):
        check_range("a", "b")
