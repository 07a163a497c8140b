"""The numbers of unread messages are exact while both sides read and write at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from order_service.commands.mark_read import MarkRead
from order_service.commands.send_message import SendMessage
from order_service.commands.writing import Writing
from order_service.domain.conversation import Person
from order_service.domain.limits import Limit, LimitKind
from order_service.store.store import Store
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from tests.support.at_once import closing
from tests.support.conversations import Talk
from tests.support.identity import a_caller

LIMITS = dict.fromkeys(LimitKind, Limit(1_000_000, timedelta(seconds=1)))
WRITERS = Statement("SELECT number, from_id FROM messages WHERE conversation_id = $1 ORDER BY number")


@dataclass(frozen=True)
class Seen:
    """What a side has seen of the conversation: its newest message, and how many it had not read."""

    reader: UUID
    marked: int
    newest: int
    unread: int


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    reads=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    seed=st.integers(0, 2**32),
)
def test_unread_is_what_the_other_side_has_written_after_the_mark_at_every_moment(
    order_database: Database, writes: tuple[int, int], reads: tuple[int, int], seed: int
) -> None:
    store = Store(order_database)
    sides = [a_caller(str(new_id()), "buyer"), a_caller(str(new_id()), "seller")]
    people = [Person(side.id, side.username) for side in sides if side.id is not None]
    talk = Talk(store, *people)
    send, mark_read = SendMessage(store, Writing(store, LIMITS)), MarkRead(store)

    def write(side: int) -> None:
        for number in range(writes[side]):
            send.execute(talk.id, f"Message {number}", [], None, sides[side])

    def read(side: int) -> list[Seen]:
        """Mark messages, old and new ones, in turn with looks at the conversation."""
        random, marked = Random(seed + side), 0
        seen: list[Seen] = []
        for _ in range(reads[side]):
            page = store.messages.page(talk.id, bound_id=None, number=None, is_forward=False, limit=100)
            message = random.choice(page.messages)
            after = mark_read.execute(talk.id, message.id, sides[side])
            marked = max(marked, message.number)
            seen += [
                Seen(people[side].id, marked, each.last_message.number, each.unread(people[side].id))
                for each in (after, store.conversations.get(talk.id))
            ]
        return seen

    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(closing(order_database, partial(write, side))) for side in (0, 1)]
        reading = [pool.submit(closing(order_database, partial(read, side))) for side in (0, 1)]
        seen = [each for future in reading for each in future.result(30)]
        for future in writing:
            future.result(30)

    writers = [row["from_id"] for row in order_database.fetch_all(WRITERS, talk.id)]
    assert len(writers) == 1 + sum(writes)
    for each in seen:
        expected = [writer for writer in writers[each.marked : each.newest] if writer != each.reader]
        assert each.unread == len(expected)
