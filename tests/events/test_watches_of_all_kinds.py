"""No client misses or repeats anything of any kind, however its streams are cut and whoever writes beside whom."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace.event.v1 import event_pb2
from order_service.domain.conversation import Person
from order_service.domain.offer import OfferStatus
from servicekit.database import Statement
from servicekit.ids import new_id
from tests.support.at_once import closing
from tests.support.conversations import Talk
from tests.support.events import EventServer, Watcher, last_id, parse
from tests.support.eventually import eventually
from tests.support.identity import token, user_id
from tests.support.orderservice import BUYER, OrderBackend

DANA = Person(user_id("happy_buyer"), "happy_buyer")
# What a watch of a user has to send, in the order of the commits.
OF_USER = Statement("""
    SELECT position, CASE WHEN reader_id IS NOT NULL THEN 'read' WHEN order_id IS NOT NULL THEN 'order'
        WHEN message_id IS NOT NULL THEN 'message' ELSE 'offer' END AS kind
    FROM events WHERE $1 IN (buyer_id, seller_id) AND (reader_id IS NULL OR reader_id = $1) AND position > $2
    ORDER BY position
""")
# The kinds of events that each step brings to the buyer's watch.
STEPS = {
    "ask": ["message"],
    "answer": ["message"],
    "read": ["read"],
    "the seller reads": [],
    "remove": ["message"],
    "offer": ["offer"],
    "close": ["offer"],
    "order": ["order"],
}
PLANS = st.lists(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=10), min_size=2, max_size=3)


class CutClient:
    """A client whose stream is cut again and again after a few events, and that comes back with its last id."""

    def __init__(self, server: EventServer, sent_token: str, first_id: int, seed: int) -> None:
        self._server, self._token, self._random = server, sent_token, random.Random(seed)
        self._first_id = first_id
        self._watchers: list[Watcher] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        request = event_pb2.WatchSseRequest()
        while not self._is_over.is_set():
            watcher = Watcher(self._server, "WatchSse", request, self._token, last_event_id=last_id(self._text()))
            self._watchers.append(watcher)
            enough = self._random.randint(0, 6)
            while len(watcher.responses) <= enough and not self._is_over.wait(0.02):
                pass
            watcher.close()
            watcher.end()

    def _text(self) -> str:
        return f"id: {self._first_id}\n\n" + "".join(watcher.text() for watcher in self._watchers)

    def events(self) -> list[tuple[int, str]]:
        """Return the ids and kinds of what it has got until now."""
        return [(int(event["id"]), event["event"]) for event in parse(self._text())]

    def close(self) -> None:
        self._is_over.set()
        self._thread.join(30)


def take(world: OrderBackend, talk: Talk, step: str) -> None:
    """Do one step, as the commands do it."""
    last = talk.conversation.last_message
    match step:
        case "ask":
            talk.say(talk.starter, "Is it ready?")
        case "answer":
            talk.say(talk.owner, "Nearly")
        case "read":
            talk.read(talk.starter, last)
        case "the seller reads":
            talk.read(talk.owner, last)
        case "remove":
            talk.remove(last)
        case "offer":
            talk.offer()
        case "close":
            talk.close(talk.an_offer(), OfferStatus.EXPIRED)
        case _:
            world.placed(token(talk.starter.username, "buyer"))


def position(world: OrderBackend) -> int:
    world.store.feed_reader.number()
    return world.store.feed_reader.newest()


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(plans=PLANS, seed=st.integers(0, 2**32))
def test_clients_whose_streams_are_cut_get_all_kinds_once_and_in_the_order_of_commits(
    world: OrderBackend, events: EventServer, plans: list[list[str]], seed: int
) -> None:
    """Writers take their steps beside each other, each in a conversation of its own between the buyer and somebody."""
    names = [f"seller {new_id()}" for _ in plans]
    talks = [Talk(world.store, DANA, Person(user_id(name), name)) for name in names]
    begin = position(world)
    tokens = {DANA.id: BUYER, talks[0].owner.id: token(names[0])}
    clients = {user: CutClient(events, sent, begin, seed) for user, sent in tokens.items()}

    def write(number: int) -> None:
        for step in plans[number]:
            take(world, talks[number], step)

    try:
        with ThreadPoolExecutor(len(plans)) as pool:
            list(pool.map(lambda number: closing(world.database, lambda: write(number))(), range(len(plans))))
        position(world)
        expected = {user: rows(world, user, begin) for user in clients}
        for user, client in clients.items():
            eventually(lambda user=user, client=client: len(client.events()) >= len(expected[user]))  # type: ignore[misc]
    finally:
        for client in clients.values():
            client.close()

    steps = [step for plan in plans for step in plan]
    assert Counter(kind for _, kind in expected[DANA.id]) == Counter(kind for step in steps for kind in STEPS[step])
    assert {user: client.events() for user, client in clients.items()} == expected


def rows(world: OrderBackend, user: UUID, after: int) -> list[tuple[int, str]]:
    return [(row["position"], row["kind"]) for row in world.database.fetch_all(OF_USER, user, after)]
