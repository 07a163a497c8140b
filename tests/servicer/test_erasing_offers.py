"""The erasure of a side of an offer: its texts go, and what was open ends."""

from __future__ import annotations

from pathlib import Path

from order_service.files.storage import FILES
from order_service.personal_data import OrderUserData
from servicekit.personal_data import ERASED
from servicekit.progress import Progress
from servicekit.storage.folder import FolderStorage
from tests.support import offers, talks
from tests.support.identity import user_id
from tests.support.orderservice import BUYER, SELLER, OrderBackend


def test_an_erased_sellers_offers_lose_their_texts_and_end(world: OrderBackend, tmp_path: Path) -> None:
    conversation_id = talks.started(world)
    declined, opened = (offers.made(world, conversation_id) for _ in range(2))
    offers.decline(world, declined)
    data = OrderUserData(world.database, FolderStorage(tmp_path, FILES), None)

    archive = dict(data.archive(user_id("webdev_pro"), [], tmp_path))
    erased = {each.name: each.rows for each in data.erase(user_id("webdev_pro"), [], Progress())}

    assert sum("A shop in two languages" in row for row in archive["offers_made"]) == 2
    assert (erased["offers_made"], erased["events_of_offers_made"]) == (2, 3)
    shown = offers.get(world, opened).response.offer
    assert (shown.title, shown.description, shown.price) == (ERASED, "", 700)
    assert (offers.status(world, declined), offers.status(world, opened)) == ("DECLINED", "EXPIRED")
    assert offers.order(world, opened).error == "OFFER_CLOSED"
    assert world.worker.offer_expiry.expire_due() == 1


def test_an_erased_buyers_open_offers_end_and_keep_the_sellers_texts(world: OrderBackend, tmp_path: Path) -> None:
    opened = offers.made(world)
    data = OrderUserData(world.database, FolderStorage(tmp_path, FILES), None)

    list(data.erase(user_id("happy_buyer"), [], Progress()))

    shown = offers.get(world, opened, SELLER).response.offer
    assert shown.title == "A shop in two languages"
    assert offers.status(world, opened) == "EXPIRED"
    assert offers.withdraw(world, opened).error == "OFFER_CLOSED"
    assert offers.listed(world, BUYER, status="OPEN") == []
