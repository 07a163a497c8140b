"""Rows of files: who may read them, how they are sent and removed, and the bound of what is unsent."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from order_service.domain.file import MAX_UNSENT_BYTES, File, FileLabel, FileStatus
from order_service.events.unsent_files import remove_unsent
from order_service.store.files import labels_of_delivery, labels_of_message, to_labels
from order_service.store.store import Store
from servicekit.call import Caller
from servicekit.clock import Clock
from servicekit.database import Database, Statement
from servicekit.errors import Conflict, NotFound
from servicekit.ids import new_id
from tests.support.at_once import at_once
from tests.support.files import OWNER_ID, READER_ID, add_file, add_message, send_in_message
from tests.support.orders import BUYER, a_placing, an_order_request, store_placing

STRANGER = Caller(new_id())
OWNER, READER = Caller(OWNER_ID), Caller(READER_ID)
ADMIN = Caller(new_id(), roles=frozenset(("admin",)))
OUTBOX = Statement("SELECT key, payload FROM outbox WHERE topic = 'files' ORDER BY id")
OF_MESSAGE = Statement(f"SELECT {labels_of_message('$1::uuid')} AS labels")
OF_DELIVERY = Statement(f"SELECT {labels_of_delivery('$1::uuid', '$2::int')} AS labels")
HALF = MAX_UNSENT_BYTES // 2
ADD_UNSENT = """
    INSERT INTO files (id, owner_id, key, name, size, type, status, created_at)
    SELECT gen_random_uuid(), %s, number::text, 'a.txt', 1, 'text/plain', 'READY', app_now()
    FROM generate_series(1, %s) AS number
"""


@pytest.fixture
def store(order_database: Database) -> Store:
    return Store(order_database)


def labels(store: Store, database: Database, message_id: UUID) -> tuple[FileLabel, ...]:
    return to_labels(database.fetch_all(OF_MESSAGE, message_id)[0]["labels"])


def queued(database: Database) -> list[str]:
    """Return the keys that wait in the outbox for their deletion."""
    return [key for row in database.fetch_all(OUTBOX) for key in row["payload"]["keys"]]


def may_read(store: Store, file: File, *readers: Caller) -> list[bool]:
    def reads(reader: Caller) -> bool:
        try:
            return store.files.get(file.label.id, reader).key == file.key
        except NotFound:
            return False

    return [reads(reader) for reader in readers]


def test_an_unsent_file_is_there_for_its_owner_and_admins_alone(store: Store) -> None:
    file = add_file(store)

    assert may_read(store, file, OWNER, ADMIN, READER, STRANGER) == [True, True, False, False]


def test_both_sides_of_a_conversation_may_read_what_was_sent_in_it(store: Store, order_database: Database) -> None:
    file = add_file(store)
    send_in_message(store, order_database, [file.label.id])

    assert may_read(store, file, OWNER, ADMIN, READER, STRANGER) == [True, True, True, False]
    assert store.files.get(file.label.id, OWNER).sent_at is not None


def test_both_sides_of_an_order_may_read_what_was_delivered(store: Store, order_database: Database) -> None:
    order = store_placing(store, lambda now: a_placing(now, an_order_request(buyer_id=BUYER)))
    file = add_file(store, order.seller_id)
    with store.transaction("deliver"):
        sent = store.files.send_in_delivery(order.seller_id, [file.label.id], order.id, order.version)

    assert may_read(store, file, Caller(order.seller_id), Caller(BUYER), STRANGER) == [True, True, False]
    assert sent == (file.label,)
    assert to_labels(order_database.fetch_all(OF_DELIVERY, order.id, order.version)[0]["labels"]) == sent


def test_files_are_sent_in_their_order_and_again_elsewhere(store: Store, order_database: Database) -> None:
    first, second = add_file(store), add_file(store, name="b.txt")
    message = send_in_message(store, order_database, [second.label.id, first.label.id])
    other = new_id()
    again = send_in_message(store, order_database, [first.label.id], reader=other)

    assert labels(store, order_database, message) == (second.label, first.label)
    assert labels(store, order_database, again) == (first.label,)
    assert labels(store, order_database, new_id()) == ()
    assert may_read(store, first, READER, Caller(other)) == [True, True]


def test_the_files_of_others_cannot_be_sent(store: Store, order_database: Database) -> None:
    own, theirs = add_file(store), add_file(store, READER_ID)

    for ids in ([theirs.label.id], [own.label.id, theirs.label.id], [new_id()]):
        with pytest.raises(NotFound, match="File not found"):
            send_in_message(store, order_database, ids, reader=new_id())
    assert store.files.get(own.label.id, OWNER).sent_at is None


@pytest.mark.parametrize("status", [FileStatus.CHECKING, FileStatus.REFUSED])
def test_a_file_that_is_not_ready_cannot_be_sent(store: Store, order_database: Database, status: FileStatus) -> None:
    file = add_file(store, status=status)

    with pytest.raises(Conflict) as refusal:
        send_in_message(store, order_database, [file.label.id])
    assert refusal.value.code == "FILE_NOT_READY"


def test_removing_the_files_of_a_message_removes_them_everywhere(store: Store, order_database: Database) -> None:
    file, other = add_file(store), add_file(store)
    message = send_in_message(store, order_database, [file.label.id])
    elsewhere = send_in_message(store, order_database, [file.label.id, other.label.id], reader=new_id())

    for _ in range(2):
        with store.transaction("remove"):
            store.files.remove_of_message(message)

    assert may_read(store, file, OWNER, ADMIN, READER) == [False] * 3
    assert labels(store, order_database, elsewhere) == (other.label,)
    assert queued(order_database) == [file.key]


def test_an_unsent_file_is_removed_after_a_day_and_a_sent_one_stays(store: Store, order_database: Database) -> None:
    clock = Clock(order_database)
    unsent, sent = add_file(store), add_file(store)
    send_in_message(store, order_database, [sent.label.id])
    clock.travel(timedelta(hours=23, minutes=59))
    young = add_file(store)
    assert remove_unsent(store) == 0

    clock.travel(timedelta(minutes=2))

    assert remove_unsent(store) == 1
    assert may_read(store, unsent, OWNER) == [False]
    assert may_read(store, sent, OWNER) == may_read(store, young, OWNER) == [True]
    assert queued(order_database) == [unsent.key]


def test_only_one_of_many_uploads_at_once_gets_the_last_room(store: Store, order_database: Database) -> None:
    add_file(store, size=HALF)

    outcomes = at_once([lambda: add_file(store, size=HALF)] * 8, order_database)

    assert sorted(outcomes) == ["LIMIT_REACHED"] * 7 + ["won"]
    # The room is each user's own, and what was sent needs none.
    other = add_file(store, READER_ID, size=MAX_UNSENT_BYTES)
    send_in_message(store, order_database, [other.label.id], READER_ID, OWNER_ID)
    add_file(store, READER_ID, size=MAX_UNSENT_BYTES)


def test_a_user_has_1000_unsent_files_at_most_however_small(store: Store, order_database: Database) -> None:
    order_database.execute(ADD_UNSENT, (OWNER_ID, 999))

    outcomes = at_once([lambda: add_file(store, size=1)] * 4, order_database)

    assert sorted(outcomes) == ["LIMIT_REACHED"] * 3 + ["won"]
    # The room is each user's own, and what was sent needs none.
    add_file(store, READER_ID)
    order_database.execute("UPDATE files SET sent_at = app_now() WHERE owner_id = %s", (OWNER_ID,))
    add_file(store)


def test_a_file_that_is_sent_while_it_is_removed_is_either(store: Store, order_database: Database) -> None:
    """It is never in a message and gone."""
    for _ in range(10):
        file = add_file(store)
        message = add_message(order_database, reader=new_id())

        def send(file: File = file, message: UUID = message) -> None:
            with store.transaction("message"):
                store.files.send_in_message(OWNER_ID, [file.label.id], message)

        def remove() -> None:
            with store.transaction("sweep"):
                store.files.remove_unsent(timedelta(0))

        outcome, _ = at_once([send, remove], order_database)

        assert outcome in ("won", "NOT_FOUND")
        assert may_read(store, file, OWNER) == [outcome == "won"]
        assert len(labels(store, order_database, message)) == int(outcome == "won")


def test_orphans_are_keys_that_no_file_has(store: Store, order_database: Database) -> None:
    file, removed = add_file(store), add_file(store)
    with store.transaction("remove"):
        store.files.remove_of_message(send_in_message(store, order_database, [removed.label.id]))

    orphans = list(store.files.orphans([file.key, removed.key, "00/" + "0" * 32]))

    assert orphans == ["00/" + "0" * 32]
