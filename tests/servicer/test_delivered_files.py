"""Deliveries with files, through the pipeline: whose files are taken, and what the history shows of them."""

from __future__ import annotations

from uuid import UUID

import pytest

from marketplace.file.v1 import file_pb2
from marketplace.order.v1 import order_pb2
from order_service.domain.file import FileLabel, FileStatus
from servicekit.call import Caller
from servicekit.database import Statement
from servicekit.errors import NotFound
from servicekit.ids import new_id
from tests.support.identity import user_id
from tests.support.orderservice import BUYER, SELLER, STRANGER, OrderBackend

SELLER_ID, BUYER_ID = user_id("webdev_pro"), user_id("happy_buyer")
SENT = Statement("SELECT count(*) AS number FROM files WHERE sent_at IS NOT NULL")


def uploaded(
    world: OrderBackend, name: str = "site.zip", owner: UUID = SELLER_ID, status: FileStatus = FileStatus.READY
) -> str:
    """Store the row of an uploaded file. Return its id."""
    label = FileLabel(new_id(), name, 1200, "application/zip", status)
    with world.store.transaction("test"):
        world.store.files.add(label, owner, str(label.id))
    return str(label.id)


def files_of(world: OrderBackend, order_id: str) -> list[list[str]]:
    """Return the names of the files of each row of the history."""
    events = world.events(order_id, BUYER).response.events
    return [[file.name for file in event.files] for event in events]


def sent(world: OrderBackend) -> int:
    """Return the number of files that were sent."""
    return int(world.database.fetch_all(SENT)[0]["number"])


def test_the_history_shows_the_files_of_a_delivery_in_their_order(world: OrderBackend) -> None:
    order_id = world.accepted()
    first, second = uploaded(world, "site.zip"), uploaded(world, "manual.pdf")

    delivered = world.act("deliver", order_id, SELLER, "Here it is", file_ids=[second, first])

    assert delivered.response.order.status == order_pb2.Order.DELIVERED
    assert files_of(world, order_id) == [[], [], ["manual.pdf", "site.zip"]]
    file = world.events(order_id, BUYER).response.events[-1].files[1]
    assert file == file_pb2.File(
        file_id=first, name="site.zip", size=1200, type="application/zip", status=file_pb2.File.READY
    )


def test_each_delivery_has_its_own_files(world: OrderBackend) -> None:
    order_id = world.accepted()
    draft, final = uploaded(world, "draft.zip"), uploaded(world, "final.zip")
    world.act("deliver", order_id, SELLER, file_ids=[draft])
    world.act("revise", order_id, BUYER, "Bluer")

    # A file may be sent again.
    world.act("deliver", order_id, SELLER, file_ids=[final, draft])

    assert files_of(world, order_id) == [[], [], ["draft.zip"], [], ["final.zip", "draft.zip"]]


def test_the_sides_of_the_order_may_read_a_delivered_file(world: OrderBackend) -> None:
    order_id, file_id = world.accepted(), uploaded(world)
    with pytest.raises(NotFound):
        world.store.files.get(UUID(file_id), Caller(BUYER_ID))

    world.act("deliver", order_id, SELLER, file_ids=[file_id])

    assert world.store.files.get(UUID(file_id), Caller(BUYER_ID)).label.name == "site.zip"
    with pytest.raises(NotFound):
        world.store.files.get(UUID(file_id), Caller(user_id("somebody")))


def test_a_file_of_others_or_an_unknown_one_is_not_found_and_nothing_is_delivered(world: OrderBackend) -> None:
    order_id, own, others = world.accepted(), uploaded(world), uploaded(world, owner=BUYER_ID)

    for unknown in (others, str(new_id())):
        answer = world.act("deliver", order_id, SELLER, file_ids=[own, unknown])
        assert (answer.http_status, answer.body) == (404, {"error": "File not found", "code": "NOT_FOUND"})

    assert (world.status(order_id), sent(world)) == ("IN_PROGRESS", 0)


@pytest.mark.parametrize("status", [FileStatus.CHECKING, FileStatus.REFUSED])
def test_a_file_that_is_not_ready_is_refused_and_nothing_is_delivered(world: OrderBackend, status: FileStatus) -> None:
    order_id, file_id = world.accepted(), uploaded(world, status=status)

    answer = world.act("deliver", order_id, SELLER, file_ids=[file_id])

    assert (answer.http_status, answer.error) == (409, "FILE_NOT_READY")
    assert (world.status(order_id), sent(world)) == ("IN_PROGRESS", 0)


def test_a_refused_delivery_sends_no_file(world: OrderBackend) -> None:
    pending, delivered, file_id = world.placed(), world.delivered(), uploaded(world)

    assert world.act("deliver", pending, SELLER, file_ids=[file_id]).error == "INVALID_TRANSITION"
    assert world.act("deliver", delivered, SELLER, file_ids=[file_id]).error == "INVALID_TRANSITION"

    assert (sent(world), files_of(world, delivered)) == (0, [[], [], []])


def test_only_the_seller_delivers_also_with_files_of_the_caller(world: OrderBackend) -> None:
    order_id = world.accepted()
    own, strangers = uploaded(world, owner=BUYER_ID), uploaded(world, owner=user_id("somebody"))

    assert world.act("deliver", order_id, BUYER, file_ids=[own]).error == "FORBIDDEN"
    assert world.act("deliver", order_id, STRANGER, file_ids=[strangers]).message == "Order not found"
    assert sent(world) == 0


def test_a_delivery_has_ten_files_at_most_and_each_once(world: OrderBackend) -> None:
    order_id = world.accepted()
    file_ids = [uploaded(world, f"{number}.zip") for number in range(11)]

    for refused in (file_ids, [file_ids[0]] * 2, ["nonsense"]):
        answer = world.act("deliver", order_id, SELLER, file_ids=refused)
        assert answer.http_status == 400
        assert {detail["field"].partition("[")[0] for detail in answer.body["details"]} == {"fileIds"}
    assert world.act("deliver", order_id, SELLER, file_ids=file_ids[:10]).error == ""
    assert [len(names) for names in files_of(world, order_id)] == [0, 0, 10]


def test_a_removed_file_is_gone_from_the_history(world: OrderBackend) -> None:
    order_id, kept, removed = world.accepted(), uploaded(world, "kept.zip"), uploaded(world, "removed.zip")
    world.act("deliver", order_id, SELLER, file_ids=[removed, kept])

    world.database.execute("DELETE FROM files WHERE id = %s", (removed,))

    assert files_of(world, order_id)[-1] == ["kept.zip"]


def test_news_of_a_delivery_have_its_files(world: OrderBackend) -> None:
    order_id, file_id = world.accepted(), uploaded(world)
    world.act("deliver", order_id, SELLER, file_ids=[file_id])
    reader = world.store.feed_reader
    reader.number()

    of_order = [news.subject for news in reader.of_order(UUID(order_id), 0)]
    of_user = [news.subject for news in reader.of_user(BUYER_ID, 0)]
    tail = [numbered.news.subject for numbered in reader.tail(0) if numbered.news is not None]

    assert of_order == of_user == tail
    names = [[file.name for file in row.event.files] for row in of_order]  # type: ignore[union-attr]
    assert names == [[], [], ["site.zip"]]
