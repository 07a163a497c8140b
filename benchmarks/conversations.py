"""`python -m benchmarks.conversations`: conversations of ten messages and of a million, lists of ten and of 10,000.

The newest page, a page in the middle, one after a message, a conversation with its unread count, a message that is
sent, and the first page of a user's conversations must each take at most one and a half times as long in the large
case. Both are done in alternation, from a PostgreSQL of the benchmark's own, without statistics, as after a first load,
and again after ANALYZE.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID

from benchmarks.balance import compare
from benchmarks.listing import name_to_id
from order_service.store.conversations import START
from order_service.store.store import Store
from servicekit.database import Database
from tests.support.postgres import PostgresServer

SMALL = 10
BOUND = 1.5
PAGE = 10

# The sides write in turns; the owner has read half of what the starter wrote.
CONVERSATIONS = """
INSERT INTO conversations (
    id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_wrote, owner_wrote, owner_read
)
SELECT md5(%(name)s || ' conversation ' || number)::uuid,
    CASE WHEN number %% 2 = 0 THEN own ELSE other END, CASE WHEN number %% 2 = 0 THEN other ELSE own END,
    md5('gig ' || number)::uuid, now, %(messages)s, now - number * interval '1 minute', %(messages)s / 2,
    %(messages)s / 2, %(messages)s / 4
FROM (
    SELECT number, app_now() AS now, md5(%(name)s)::uuid AS own, md5(%(name)s || ' other ' || number)::uuid AS other
    FROM generate_series(1, %(conversations)s) AS number
) AS numbers
"""
PEOPLE = """
INSERT INTO people (id, username) SELECT starter_id, 'starter' FROM conversations
UNION SELECT owner_id, 'owner' FROM conversations ON CONFLICT DO NOTHING
"""
MESSAGES = """
INSERT INTO messages (id, conversation_id, number, from_id, text, at, starter_wrote, owner_wrote)
SELECT md5('message ' || talk.id || number)::uuid, talk.id, number,
    CASE WHEN number %% 2 = 1 THEN starter_id ELSE owner_id END, repeat('Could it be a little darker? ', 4),
    created_at + number * interval '1 second', (number + 1) / 2, number / 2
FROM conversations AS talk, generate_series(1, last_number) AS number
"""


def load(database: Database, messages: int, conversations: int) -> None:
    """Fill the tables without statistics: two conversations, short and long, and two people with few and with many."""
    database.execute("SET statement_timeout = 0; SET maintenance_work_mem = '512MB'")
    for table in ("conversations", "messages", "people"):
        database.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    for name, talks, length in (
        ("short", 1, SMALL),
        ("long", 1, messages),
        ("few", SMALL, SMALL),
        ("many", conversations, SMALL),
    ):
        database.execute(CONVERSATIONS, {"name": name, "conversations": talks, "messages": length})
    for sql in (PEOPLE, MESSAGES):
        database.execute(sql)


class Client:
    """What clients do with one conversation, and with the conversations of one user."""

    def __init__(self, database: Database, conversation: str, user: str) -> None:
        self._store = Store(database)
        self._conversation = name_to_id(database, f"{conversation} conversation 1")
        self._user = name_to_id(database, user)
        newest = self._store.conversations.get(self._conversation).last_message
        self._owner = self._store.conversations.get(self._conversation).owner.id
        middle = self._page(None, newest.number // 2 + 1, is_forward=False)
        self._middle = middle[0]

    def reads(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield each read by its name. They return the same number of rows, however much there is."""
        yield "newest page", partial(self._page, None, None, is_forward=False)
        yield "before the middle", partial(self._page, self._middle, None, is_forward=False)
        yield "after the middle", partial(self._page, self._middle, None, is_forward=True)
        yield "conversation, unread", partial(self._store.conversations.get, self._conversation)
        yield "list of conversations", partial(self._store.conversations.page, self._user, after=START, limit=PAGE)

    def _page(self, bound: UUID | None, number: int | None, *, is_forward: bool) -> list[UUID]:
        # Half of the short conversation is before its middle, and half after it.
        limit = PAGE if bound is None and number is None else PAGE // 2 - 1
        page = self._store.messages.page(
            self._conversation, bound_id=bound, number=number, is_forward=is_forward, limit=limit
        )
        assert len(page.messages) == limit
        return [message.id for message in page.messages]

    def send(self) -> None:
        """Send a message."""
        with self._store.transaction("send"):
            conversation = self._store.conversations.lock(self._conversation)
            self._store.messages.add(conversation, self._owner, "A little darker, then.")


def main() -> int:
    """Run the benchmark. Return 0 when every ratio is within the bound."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--messages", type=int, default=1_000_000, help="messages of the long conversation")
    parser.add_argument("--conversations", type=int, default=10_000, help="conversations of the user with many")
    parser.add_argument("--rounds", type=int, default=1_000, help="calls of each")
    arguments = parser.parse_args()
    server = PostgresServer()
    server.start()
    ratios = []
    try:
        database = Database(server.fresh("order"))
        began = time.perf_counter()
        load(database, arguments.messages, arguments.conversations)
        print(f"{arguments.messages:,} messages loaded in {time.perf_counter() - began:.0f} s", flush=True)
        for title, sql in (("without statistics", "SELECT"), ("after ANALYZE", "ANALYZE")):
            database.execute(sql)
            print(f"\n{title:<24} {'few':>11} {'many':>11}")
            small, large = (Client(database, *names) for names in (("short", "few"), ("long", "many")))
            for (name, few), (_, many) in zip(small.reads(), large.reads(), strict=True):
                ratios.append(compare(name, few, many, arguments.rounds))
        # At last, since the short conversation grows by it.
        ratios.append(compare("a message is sent", small.send, large.send, arguments.rounds))
        database.close()
    finally:
        server.stop()
    is_level = max(ratios) <= BOUND
    print(f"\nThe greatest ratio is {max(ratios):.2f}: {'within' if is_level else 'above'} the bound of {BOUND}")
    return int(not is_level)


if __name__ == "__main__":
    sys.exit(main())
