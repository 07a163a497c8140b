"""ConversationService: starts, messages, marks of reading, names, and what strangers and admins see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from marketplace.gig.v1 import gig_pb2
from order_service.domain.file import FileStatus
from servicekit.database import Statement
from servicekit.ids import new_id
from tests.support import talks
from tests.support.identity import token, user_id
from tests.support.orderservice import ADMIN, BUYER, GIG, SELLER, STRANGER, OrderBackend
from tests.support.rpc import Answer
from tests.support.standins import serving

COUNTS = Statement("""
    SELECT (SELECT count(*) FROM conversations) AS conversations, (SELECT count(*) FROM messages) AS messages,
        (SELECT count(*) FROM events WHERE message_id IS NOT NULL) AS events
""")
OTHER_GIG = str(new_id())


def counts(world: OrderBackend) -> tuple[int, int, int]:
    """Return the numbers of conversations, messages and their events."""
    [row] = world.database.fetch_all(COUNTS)
    return row["conversations"], row["messages"], row["events"]


def test_a_conversation_begins_with_a_message_about_a_gig(world: OrderBackend) -> None:
    talks.offer_gig(world)
    answer = talks.start(world, " Do you do shops?\r\n")
    begun = answer.response.conversation

    assert answer.response.is_new
    assert answer.headers["location"] == f"/api/conversations/{begun.id}"
    assert (getattr(begun, "with").id, getattr(begun, "with").username) == (str(user_id("webdev_pro")), "webdev_pro")
    assert (begun.gig_id, begun.unread, list(begun.sides)) == (GIG, 0, [])
    message = begun.last_message
    assert (message.text, list(message.files), message.conversation_id) == ("Do you do shops?", [], begun.id)
    assert getattr(message, "from").username == "happy_buyer"
    assert (message.HasField("order_id"), message.HasField("offer_id"), message.HasField("removed")) == (False,) * 3
    assert message.at == begun.created_at
    assert talks.get(world, begun.id).response.conversation == begun
    seen = talks.get(world, begun.id, SELLER).response.conversation
    assert (getattr(seen, "with").username, seen.unread) == ("happy_buyer", 1)


def test_two_people_have_one_conversation_whatever_gigs_it_is_about(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    talks.offer_gig(world, OTHER_GIG, "happy_buyer")

    answer = talks.start(world, "And yours?", SELLER, OTHER_GIG)

    assert not answer.response.is_new
    assert answer.headers["location"] == f"/api/conversations/{conversation_id}"
    begun = answer.response.conversation
    assert (begun.id, begun.gig_id, begun.unread, begun.last_message.text) == (conversation_id, GIG, 1, "And yours?")
    assert counts(world) == (1, 2, 2)


@pytest.mark.parametrize("status", [gig_pb2.Gig.PAUSED, gig_pb2.Gig.SUSPENDED])
def test_a_gig_that_is_not_visible_is_not_found_even_where_there_is_a_conversation(
    world: OrderBackend, status: gig_pb2.Gig.Status.ValueType
) -> None:
    conversation_id = talks.started(world)
    talks.offer_gig(world, status=status)

    assert talks.start(world).body == {"error": "Gig not found", "code": "NOT_FOUND"}
    assert talks.start(world, gig_id=OTHER_GIG).body == {"error": "Gig not found", "code": "NOT_FOUND"}
    assert talks.start(world, sent_token=SELLER).error == "FORBIDDEN"
    assert talks.start(world, sent_token=ADMIN).response.is_new
    assert not talks.send(world, conversation_id).error


def test_one_does_not_write_to_oneself(world: OrderBackend) -> None:
    talks.offer_gig(world)

    assert talks.start(world, sent_token=SELLER).error == "FORBIDDEN"
    assert counts(world) == (0, 0, 0)


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "x" * 5001])
def test_a_message_without_a_text_or_files_is_refused(world: OrderBackend, text: str) -> None:
    conversation_id = talks.started(world)

    for answer in (talks.start(world, text), talks.send(world, conversation_id, text)):
        assert [each["field"] for each in answer.body["details"]] == ["text"]
    assert counts(world) == (1, 1, 1)


def test_files_are_enough_and_are_shown_in_their_order(world: OrderBackend) -> None:
    talks.offer_gig(world)
    first, second = talks.upload(world, name="b.pdf"), talks.upload(world, name="a.pdf")

    begun = talks.start(world, "", file_ids=[first, second]).response.conversation
    message = talks.send(world, begun.id, "Once more", file_ids=[second]).response.message

    shown = [(file.file_id, file.name, file.size, file.type) for file in begun.last_message.files]
    assert shown == [(first, "b.pdf", 5, "application/pdf"), (second, "a.pdf", 5, "application/pdf")]
    assert [file.name for file in message.files] == ["a.pdf"]
    page = talks.messages(world, begun.id, SELLER).response.results
    assert [[file.name for file in each.files] for each in page] == [["a.pdf"], ["b.pdf", "a.pdf"]]


def test_files_of_others_are_not_found_and_unchecked_ones_are_not_ready(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    theirs, unchecked = talks.upload(world, "webdev_pro"), talks.upload(world, status=FileStatus.CHECKING)

    for file_ids in ([theirs], [talks.upload(world), str(new_id())]):
        assert talks.send(world, conversation_id, file_ids=file_ids).body["error"] == "File not found"
        assert talks.start(world, file_ids=file_ids).body["error"] == "File not found"
    assert talks.send(world, conversation_id, file_ids=[unchecked]).error == "FILE_NOT_READY"
    assert talks.start(world, file_ids=[unchecked]).error == "FILE_NOT_READY"
    twice = talks.send(world, conversation_id, file_ids=[theirs, theirs])
    assert (twice.error, twice.body["details"][0]["field"]) == ("INVALID_ARGUMENT", "fileIds")
    assert counts(world) == (1, 1, 1)


def test_a_message_can_be_about_an_order_between_the_two_alone(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    order_id = world.placed()
    theirs = world.placed(token("another_buyer", "buyer"))

    assert (
        talks.send(world, conversation_id, order_id=order_id, sent_token=SELLER).response.message.order_id == order_id
    )
    for each in (theirs, str(new_id())):
        assert talks.send(world, conversation_id, order_id=each).body["error"] == "Order not found"


def test_pages_of_messages_go_back_and_forth_without_gaps(world: OrderBackend) -> None:
    conversation_id = talks.started(world, "0")
    ids = [talks.sent(world, conversation_id, str(number), [BUYER, SELLER][number % 2]) for number in range(1, 8)]

    back, token_ = [], ""
    while True:
        page = talks.messages(world, conversation_id, page_size=3, page_token=token_).response
        back += [message.text for message in page.results]
        token_ = page.next_page_token
        if not token_:
            break
        talks.sent(world, conversation_id, "meanwhile")

    assert back == [str(number) for number in range(7, -1, -1)]
    assert talks.texts(world, conversation_id, before=ids[2]) == ["2", "1", "0"]
    assert talks.texts(world, conversation_id, after=ids[4])[:2] == ["6", "7"]
    forth = talks.messages(world, conversation_id, after=ids[0], page_size=4).response
    assert [message.text for message in forth.results] == ["2", "3", "4", "5"]
    rest = talks.texts(world, conversation_id, after=ids[0], page_size=4, page_token=forth.next_page_token)
    assert rest == ["6", "7", "meanwhile", "meanwhile"]
    other = talks.messages(world, conversation_id, after=ids[1], page_token=forth.next_page_token)
    assert [each["field"] for each in other.body["details"]] == ["pageToken"]
    newest = talks.get(world, conversation_id).response.conversation.last_message.id
    assert talks.messages(world, conversation_id, after=newest).response.results == []


def test_a_bound_of_another_conversation_and_two_bounds_are_refused(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    other_id = talks.started(world, sent_token=STRANGER)
    theirs = talks.get(world, other_id, STRANGER).response.conversation.last_message.id
    ours = talks.get(world, conversation_id).response.conversation.last_message.id

    for bounds in ({"after": theirs}, {"before": theirs}, {"after": str(new_id())}, {"before": ours, "after": ours}):
        answer = talks.messages(world, conversation_id, **bounds)
        assert [each["field"] for each in answer.body["details"]] == [next(iter(bounds))]
    for message_id in (theirs, str(new_id())):
        answer = talks.mark(world, conversation_id, message_id)
        assert [each["field"] for each in answer.body["details"]] == ["messageId"]


def test_marks_say_what_is_unread_and_never_go_back(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    second = talks.sent(world, conversation_id)
    own = talks.sent(world, conversation_id, sent_token=SELLER)
    last = talks.sent(world, conversation_id)

    assert (talks.unread(world, conversation_id), talks.unread(world, conversation_id, BUYER)) == (3, 1)
    assert talks.mark(world, conversation_id, second).response.conversation.unread == 1
    assert talks.mark(world, conversation_id, own).response.conversation.unread == 1
    assert talks.mark(world, conversation_id, last).response.conversation.unread == 0
    assert talks.mark(world, conversation_id, second).response.conversation.unread == 0
    assert talks.unread(world, conversation_id, BUYER) == 1
    talks.sent(world, conversation_id)
    assert talks.unread(world, conversation_id) == 1


def test_own_conversations_are_listed_by_their_newest_messages(world: OrderBackend) -> None:
    buyers = [token(f"buyer_{number}", "buyer") for number in range(5)]
    ids = [talks.started(world, sent_token=buyer) for buyer in buyers]
    talks.offer_gig(world, OTHER_GIG, "buyer_9")
    ids.append(talks.start(world, sent_token=SELLER, gig_id=OTHER_GIG).response.conversation.id)
    talks.sent(world, ids[1], "News", buyers[1])

    listed, token_ = [], ""
    while True:
        page = talks.listed(world, SELLER, page_size=2, page_token=token_).response
        listed += page.results
        token_ = page.next_page_token
        if not token_:
            break

    assert [each.id for each in listed] == [ids[1], ids[5], ids[4], ids[3], ids[2], ids[0]]
    assert [each.unread for each in listed] == [2, 0, 1, 1, 1, 1]
    assert [each.last_message.text for each in listed][:2] == ["News", "Hello"]
    assert listed[0] == talks.get(world, ids[1], SELLER).response.conversation
    assert [each.id for each in talks.listed(world, buyers[0]).response.results] == [ids[0]]
    assert talks.listed(world, STRANGER).response.results == talks.listed(world, ADMIN).response.results == []


def test_a_stranger_learns_nothing_and_an_admin_reads_without_being_a_side(world: OrderBackend) -> None:
    conversation_id, unknown = talks.started(world), str(new_id())
    message_id = talks.sent(world, conversation_id)
    calls: list[Callable[[str, str], Answer]] = [
        lambda each, caller: talks.get(world, each, caller),
        lambda each, caller: talks.messages(world, each, caller),
        lambda each, caller: talks.messages(world, each, caller, after=message_id),
        lambda each, caller: talks.send(world, each, sent_token=caller),
        lambda each, caller: talks.mark(world, each, message_id, caller),
    ]

    for call in calls:
        assert call(conversation_id, STRANGER).body == call(unknown, STRANGER).body
        assert call(unknown, STRANGER).body == {"error": "Conversation not found", "code": "NOT_FOUND"}
    seen = talks.get(world, conversation_id, ADMIN).response.conversation
    assert [side.username for side in seen.sides] == ["happy_buyer", "webdev_pro"]
    assert not seen.HasField("with") and not seen.HasField("unread")
    assert talks.texts(world, conversation_id, ADMIN) == ["And this", "Hello"]
    assert talks.send(world, conversation_id, sent_token=ADMIN).error == "FORBIDDEN"
    assert talks.mark(world, conversation_id, message_id, ADMIN).error == "FORBIDDEN"


def test_an_admin_removes_a_message_and_its_row_stays(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    file_id = talks.upload(world, name="secret.pdf")
    removed = talks.send(world, conversation_id, "Call me at 555", file_ids=[file_id]).response.message.id
    again = talks.send(world, conversation_id, "As I said", file_ids=[file_id]).response.message.id

    for caller in (BUYER, SELLER, STRANGER):
        for message_id in (removed, str(new_id())):
            assert talks.remove(world, message_id, caller).error == "FORBIDDEN"
    assert [talks.remove(world, removed, ADMIN).error for _ in range(2)] == ["", ""]
    assert talks.remove(world, str(new_id()), ADMIN).body == {"error": "Message not found", "code": "NOT_FOUND"}

    newest, shown, _ = talks.messages(world, conversation_id).response.results
    assert (shown.id, shown.text, list(shown.files), shown.removed) == (removed, "", [], True)
    assert (newest.id, newest.text, list(newest.files)) == (again, "As I said", [])
    assert talks.unread(world, conversation_id) == 3
    # One event more for those who watch, and not two.
    assert counts(world) == (1, 3, 4)


def test_a_removed_newest_message_is_the_last_message_of_the_list(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    talks.remove(world, talks.sent(world, conversation_id), ADMIN)

    [listed] = talks.listed(world).response.results

    assert (listed.last_message.removed, listed.last_message.text) == (True, "")


def test_a_repeated_key_gets_the_first_answer_again(world: OrderBackend) -> None:
    talks.offer_gig(world)
    first = talks.start(world, key="k1")
    conversation_id = first.response.conversation.id
    added = talks.start(world, "More", key="k2")
    message = talks.send(world, conversation_id, key="k1")
    world.clock.travel(timedelta(hours=24))
    talks.offer_gig(world, status=gig_pb2.Gig.PAUSED)

    assert (first.response.is_new, added.response.is_new) == (True, False)
    assert talks.start(world, key="k1").response == first.response
    assert talks.start(world, "More", key="k2").response == added.response
    assert talks.start(world, "Other", key="k1").error == "IDEMPOTENCY_KEY_REUSED"
    assert talks.send(world, conversation_id, key="k1").response == message.response
    assert talks.send(world, conversation_id, "Other", key="k1").error == "IDEMPOTENCY_KEY_REUSED"
    assert counts(world) == (1, 3, 3)


def test_a_refused_start_leaves_its_key_free(world: OrderBackend) -> None:
    assert talks.start(world, key="k").error == "NOT_FOUND"
    talks.offer_gig(world)
    assert talks.start(world, key="k", file_ids=[str(new_id())]).error == "NOT_FOUND"

    assert talks.start(world, key="k").response.is_new


def test_a_name_is_the_one_of_the_latest_token_and_before_that_the_gigs(world: OrderBackend) -> None:
    conversation_id = talks.started(world)

    def names() -> tuple[str, str]:
        seen = talks.get(world, conversation_id, ADMIN).response.conversation
        return seen.sides[0].username, seen.sides[1].username

    assert names() == ("happy_buyer", "webdev_pro")
    talks.listed(world, talks.renamed("webdev_pro", "webdev_studio"))
    talks.get(world, conversation_id, talks.renamed("happy_buyer", "happier_buyer"))
    assert names() == ("happier_buyer", "webdev_studio")
    # A token without a name says nothing of one, nor does a start about a gig, which GigService knows by an older name.
    talks.listed(world, talks.renamed("webdev_pro", None))
    talks.start(world)
    assert names() == ("happy_buyer", "webdev_studio")
    [message, _] = talks.messages(world, conversation_id).response.results
    assert getattr(message, "from").username == "happy_buyer"


def test_without_gigservice_a_start_is_unavailable_and_messages_go_on(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    with serving(world.gigs) as address:
        away = OrderBackend(*world._arguments[:3], address)

    assert talks.start(away).error == "UNAVAILABLE"
    assert not talks.send(away, conversation_id).error


@pytest.mark.parametrize("call", [talks.listed, talks.blocks, partial(talks.start, text="Hello")])
def test_everything_needs_a_token(world: OrderBackend, call: Callable[..., Answer]) -> None:
    assert call(world, sent_token=None).error == "UNAUTHORIZED"
