"""Offers: made, listed, withdrawn, declined and expired, by the right people alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit.database import Statement
from servicekit.ids import new_id
from tests.support import offers, talks
from tests.support.at_once import closing
from tests.support.identity import token, user_id
from tests.support.orderservice import ADMIN, BUYER, GIG, SELLER, STRANGER, OrderBackend

OTHER_GIG = "660e8400-e29b-41d4-a716-446655440000"
HOUR = timedelta(hours=1)
TOKENS = Statement("SELECT tokens FROM token_buckets WHERE user_id = $1 AND kind = 'message'")
# No token comes back before that time.
EMPTY = Statement("UPDATE token_buckets SET tokens = 0, at = app_now() + interval '1 hour' WHERE user_id = $1")

# Of no conversation. Each process of the tests has to give its cases the same names.
STRANGE_ID = "01a22893-a409-7334-bbe8-6475829e57a8"


def test_an_offer_is_made_to_the_other_side_and_adds_a_message(world: OrderBackend) -> None:
    conversation_id = talks.started(world)

    made = offers.make(world, conversation_id).response.offer

    assert (made.conversation_id, made.gig_id) == (conversation_id, GIG)
    assert (made.seller_id, made.buyer_id) == (str(user_id("webdev_pro")), str(user_id("happy_buyer")))
    assert (made.title, made.description, made.price) == ("A shop in two languages", "With a blog", 700)
    assert (made.delivery_days, made.revisions, made.HasField("order_id")) == (10, 3, False)
    assert made.expires_at.ToDatetime(UTC) - made.created_at.ToDatetime(UTC) == 168 * HOUR
    message = talks.messages(world, conversation_id).response.results[0]
    assert (message.text, message.offer_id, getattr(message, "from").username) == ("", made.id, "webdev_pro")
    assert talks.unread(world, conversation_id, BUYER) == 1
    for reader in (BUYER, SELLER, ADMIN):
        assert offers.get(world, made.id, reader).response.offer == made
    assert offers.get(world, made.id, STRANGER).error == "NOT_FOUND"


def test_the_one_who_started_the_conversation_can_make_an_offer_of_another_gig(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    talks.offer_gig(world, OTHER_GIG, "happy_buyer", gig_pb2.Gig.PAUSED)

    made = offers.make(world, conversation_id, BUYER, gig_id=OTHER_GIG, revisions=0, description="")

    assert made.response.offer.buyer_id == str(user_id("webdev_pro"))
    assert (made.response.offer.revisions, made.response.offer.description) == (0, "")


@pytest.mark.parametrize(
    ("sent_token", "changes", "error"),
    [
        (BUYER, {}, "FORBIDDEN"),
        (STRANGER, {}, "NOT_FOUND"),
        (ADMIN, {}, "FORBIDDEN"),
        (None, {}, "UNAUTHORIZED"),
        (SELLER, {"gig_id": OTHER_GIG}, "NOT_FOUND"),
        (SELLER, {"price": 0.49}, "INVALID_ARGUMENT"),
        (SELLER, {"price": 0.505}, "INVALID_ARGUMENT"),
        (SELLER, {"price": 1000000.01}, "INVALID_ARGUMENT"),
        (SELLER, {"title": "No"}, "INVALID_ARGUMENT"),
        (SELLER, {"delivery_days": 0}, "INVALID_ARGUMENT"),
        (SELLER, {"revisions": 101}, "INVALID_ARGUMENT"),
        (SELLER, {"expires_in_hours": 0}, "INVALID_ARGUMENT"),
        (SELLER, {"expires_in_hours": 721}, "INVALID_ARGUMENT"),
    ],
)
def test_an_offer_that_cannot_be_made(
    world: OrderBackend, sent_token: str | None, changes: dict[str, Any], error: str
) -> None:
    conversation_id = talks.started(world)

    assert offers.make(world, conversation_id, sent_token, **changes).error == error
    assert talks.texts(world, conversation_id) == ["Hello"]


@pytest.mark.parametrize("conversation_id", [STRANGE_ID, "no-uuid"])
def test_an_offer_needs_a_conversation(world: OrderBackend, conversation_id: str) -> None:
    assert offers.make(world, conversation_id).error == "NOT_FOUND"


def test_an_own_gig_that_is_suspended_is_not_found_and_anothers_is_forbidden(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    talks.offer_gig(world, status=gig_pb2.Gig.SUSPENDED)

    assert offers.make(world, conversation_id).error == "NOT_FOUND"
    assert offers.make(world, conversation_id, BUYER).error == "FORBIDDEN"


def test_blocks_stop_new_offers_and_not_a_decline(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    offer_id = offers.made(world, conversation_id)
    talks.block(world)
    by_blocker = offers.make(world, conversation_id)
    talks.unblock(world)
    talks.block(world, "webdev_pro", BUYER)
    by_blocked = offers.make(world, conversation_id)

    assert (by_blocker.error, by_blocked.error) == ("CONFLICT", "FORBIDDEN")
    assert offers.decline(world, offer_id, "No, thank you").error == ""


def test_the_same_key_makes_one_offer(world: OrderBackend) -> None:
    conversation_id = talks.started(world)

    first, second = (offers.make(world, conversation_id, key="k") for _ in range(2))

    assert first.response == second.response
    assert offers.make(world, conversation_id, key="k", price=800).error == "IDEMPOTENCY_KEY_REUSED"
    assert len(talks.texts(world, conversation_id)) == 2


def test_a_conversation_has_ten_open_offers_at_most(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    made = [offers.made(world, conversation_id, expires_in_hours=1) for _ in range(10)]
    eleventh = offers.make(world, conversation_id)
    offers.withdraw(world, made[0])

    assert (eleventh.http_status, eleventh.error) == (409, "LIMIT_REACHED")
    assert offers.make(world, conversation_id).error == ""
    assert offers.make(world, conversation_id).error == "LIMIT_REACHED"
    world.travel(HOUR)
    # They are over, though no worker has stored that.
    assert offers.make(world, conversation_id).error == ""


def test_offers_at_the_same_moment_keep_the_limit(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    for _ in range(7):
        offers.made(world, conversation_id)
    workers = [world.another_worker() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        making = [
            pool.submit(closing(world.database, partial(offers.make, worker, conversation_id))) for worker in workers
        ]
        errors = [each.result().error for each in making]

    assert (errors.count(""), errors.count("LIMIT_REACHED")) == (3, 3)


def test_offers_count_toward_the_limit_of_messages(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    offer_id = offers.made(world, conversation_id)
    [counted] = world.database.fetch_all(TOKENS, user_id("webdev_pro"))
    world.database.fetch_all(EMPTY, user_id("webdev_pro"))

    refused = offers.make(world, conversation_id)

    assert counted["tokens"] == 29
    assert (refused.http_status, refused.error) == (429, "RATE_LIMITED")
    assert talks.texts(world, conversation_id) == ["", "Hello"]
    assert offers.withdraw(world, offer_id).error == ""


def test_an_offer_is_withdrawn_by_its_seller_and_declined_by_its_buyer(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    one, other = (offers.made(world, conversation_id) for _ in range(2))

    assert [offers.withdraw(world, one, each).error for each in (BUYER, ADMIN, STRANGER, None)] == [
        "FORBIDDEN", "FORBIDDEN", "NOT_FOUND", "UNAUTHORIZED"
    ]  # fmt: skip
    assert [offers.decline(world, other, "", each).error for each in (SELLER, ADMIN, STRANGER, None)] == [
        "FORBIDDEN", "FORBIDDEN", "NOT_FOUND", "UNAUTHORIZED"
    ]  # fmt: skip
    assert offers.withdraw(world, one).response.offer.status == offers.get(world, one).response.offer.status
    offers.decline(world, other)
    assert (offers.status(world, one), offers.status(world, other)) == ("WITHDRAWN", "DECLINED")
    assert offers.closings(world) == ["WITHDRAWN", "DECLINED"]
    for offer_id in (one, other):
        answers = (offers.withdraw(world, offer_id), offers.decline(world, offer_id), offers.order(world, offer_id))
        assert [(each.http_status, each.error) for each in answers] == [(409, "OFFER_CLOSED")] * 3


def test_the_message_of_a_decline_becomes_one_of_the_conversation(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    one, other = (offers.made(world, conversation_id) for _ in range(2))

    offers.decline(world, one, "Too much")
    offers.decline(world, other)

    message = talks.messages(world, conversation_id).response.results[0]
    assert (message.text, getattr(message, "from").username) == ("Too much", "happy_buyer")
    assert talks.texts(world, conversation_id) == ["Too much", "", "", "Hello"]


def test_an_offer_is_over_at_its_end_swept_or_not(world: OrderBackend) -> None:
    offer_id = offers.made(world, expires_in_hours=2)
    world.travel(2 * HOUR - timedelta(minutes=1))
    assert (offers.status(world, offer_id), world.worker.offer_expiry.expire_due()) == ("OPEN", 0)
    world.travel(timedelta(minutes=1))

    before = [offers.status(world, offer_id), offers.withdraw(world, offer_id).error]
    listed = [offers.listed(world, status=status) for status in ("OPEN", "EXPIRED")]
    number = world.worker.offer_expiry.expire_due()

    assert before == ["EXPIRED", "OFFER_CLOSED"]
    assert listed == [[], [offer_id]]
    assert number == 1
    assert offers.closings(world) == ["EXPIRED"]
    assert (offers.status(world, offer_id), offers.listed(world, status="EXPIRED")) == ("EXPIRED", [offer_id])
    assert world.worker.offer_expiry.expire_due() == 0


def test_workers_expire_each_offer_once(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    for _ in range(8):
        offers.made(world, conversation_id, expires_in_hours=1)
    world.travel(HOUR)
    with ThreadPoolExecutor(4) as pool:
        sweeps = [
            pool.submit(closing(world.database, world.another_worker().worker.offer_expiry.expire_due))
            for _ in range(4)
        ]
        number = sum(each.result() for each in sweeps)

    assert (number, offers.closings(world)) == (8, ["EXPIRED"] * 8)


def test_lists_show_ones_own_offers_newest_first(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    talks.offer_gig(world, OTHER_GIG, "happy_buyer")
    got = [offers.made(world, conversation_id) for _ in range(3)]
    made = offers.made(world, conversation_id, sent_token=BUYER, gig_id=OTHER_GIG)
    offers.withdraw(world, got[1])

    assert offers.listed(world) == [made, *reversed(got)]
    assert offers.listed(world, role="buyer") == [*reversed(got)]
    assert offers.listed(world, role="seller") == [made]
    assert offers.listed(world, SELLER, role="seller", status="OPEN") == [got[2], got[0]]
    assert offers.listed(world, status="WITHDRAWN") == [got[1]]
    assert offers.listed(world, conversation_id=conversation_id, role="seller") == [made]
    assert offers.listed(world, conversation_id=str(new_id())) == []
    assert offers.listed(world, STRANGER, conversation_id=conversation_id) == []


def test_pages_of_offers_meet(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    made = [offers.made(world, conversation_id) for _ in range(5)]
    page = offers.page(world, page_size=2).response
    seen = [offer.id for offer in page.results]
    while page.next_page_token:
        page = offers.page(world, page_size=2, page_token=page.next_page_token).response
        seen += [offer.id for offer in page.results]

    assert seen == [*reversed(made)]
    token_of_all = offers.page(world, page_size=2).response.next_page_token
    assert offers.page(world, role="seller", page_token=token_of_all).error == "INVALID_ARGUMENT"


def test_an_admin_lists_all_offers_and_nobody_else(world: OrderBackend) -> None:
    offer_id = offers.made(world)
    buyer, seller = str(user_id("happy_buyer")), str(user_id("webdev_pro"))

    for filters in ({}, {"buyer_id": buyer}, {"seller_id": seller}, {"gig_id": GIG}, {"status": "OPEN"}):
        assert offers.listed(world, ADMIN, role="admin", **filters) == [offer_id]
    every = {"buyer_id": buyer, "seller_id": seller, "gig_id": GIG, "status": "OPEN"}
    assert offers.listed(world, ADMIN, role="admin", **every) == [offer_id]
    assert offers.listed(world, ADMIN, role="admin", buyer_id=seller) == []
    assert offers.listed(world, ADMIN) == []
    assert offers.page(world, BUYER, role="admin").error == "FORBIDDEN"
    refused = offers.page(world, ADMIN, buyer_id=buyer, gig_id=GIG)
    assert refused.error == "INVALID_ARGUMENT"
    assert [each["field"] for each in refused.body["details"]] == ["buyerId", "gigId"]


def test_an_admin_who_is_a_side_acts_as_that_side(world: OrderBackend) -> None:
    offer_id = offers.made(world)

    assert offers.withdraw(world, offer_id, token("webdev_pro", "seller", "admin")).error == ""
    assert world.store.offers.get(UUID(offer_id)).offer.status == "WITHDRAWN"
