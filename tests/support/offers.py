"""Calls about offers, without a network between client and service."""

from __future__ import annotations

from typing import Any

from marketplace.offer.v1 import offer_pb2
from servicekit.database import Statement
from tests.support import talks
from tests.support.orderservice import BUYER, GIG, SELLER, OrderBackend
from tests.support.rpc import Answer

# What an offer and its attempts leave in the database.
STATES = Statement("SELECT kind || ' ' || state AS state FROM attempts ORDER BY created_at")
CLOSED = Statement("SELECT subject ->> 'status' AS status FROM events WHERE type = 'offer.closed' ORDER BY at, id")


def make(
    world: OrderBackend,
    conversation_id: str,
    sent_token: str | None = SELLER,
    key: str | None = None,
    **changes: Any,
) -> Answer:
    """Make an offer of a shop for 700, with these changes."""
    fields: dict[str, Any] = {
        "gig_id": GIG,
        "title": "A shop in two languages",
        "description": "With a blog",
        "price": 700,
        "delivery_days": 10,
        "revisions": 3,
    }
    request = offer_pb2.MakeOfferRequest(conversation_id=conversation_id, **{**fields, **changes})
    if key is None:
        return world.offers.call("MakeOffer", request, sent_token)
    return world.offers.call("MakeOffer", request, sent_token, idempotency_key=key)


def made(world: OrderBackend, conversation_id: str | None = None, **changes: Any) -> str:
    """Make an offer of the seller to the buyer, in a new conversation unless one is named. Return its id."""
    answer = make(world, conversation_id or talks.started(world), **changes)
    assert not answer.error, answer.message
    offer_id: str = answer.response.offer.id
    return offer_id


def get(world: OrderBackend, offer_id: str, sent_token: str | None = BUYER) -> Answer:
    return world.offers.call("GetOffer", offer_pb2.GetOfferRequest(offer_id=offer_id), sent_token)


def status(world: OrderBackend, offer_id: str) -> str:
    """Return the offer's status, as its buyer sees it."""
    return offer_pb2.Offer.Status.Name(get(world, offer_id).response.offer.status)


def withdraw(world: OrderBackend, offer_id: str, sent_token: str | None = SELLER) -> Answer:
    return world.offers.call("WithdrawOffer", offer_pb2.WithdrawOfferRequest(offer_id=offer_id), sent_token)


def decline(world: OrderBackend, offer_id: str, message: str = "", sent_token: str | None = BUYER) -> Answer:
    request = offer_pb2.DeclineOfferRequest(offer_id=offer_id, message=message)
    return world.offers.call("DeclineOffer", request, sent_token)


def page(world: OrderBackend, sent_token: str | None = BUYER, **filters: Any) -> Answer:
    return world.offers.call("ListOffers", offer_pb2.ListOffersRequest(**filters), sent_token)


def listed(world: OrderBackend, sent_token: str = BUYER, **filters: Any) -> list[str]:
    """Return the ids of a page of offers."""
    return [offer.id for offer in page(world, sent_token, **filters).response.results]


def order(
    world: OrderBackend, offer_id: str, card: str = "", key: str | None = None, sent_token: str = BUYER, **changes: Any
) -> Answer:
    """Place an order of the offer."""
    return world.place(sent_token, key, **{"package_id": "", "offer_id": offer_id, "payment_token": card, **changes})


def ordered(world: OrderBackend, offer_id: str | None = None, card: str = "") -> str:
    """Place an order of an offer, a new one unless it is named. Return the order's id."""
    answer = order(world, offer_id or made(world), card)
    assert not answer.error, answer.message
    order_id: str = answer.response.order_id
    return order_id


def attempts(world: OrderBackend) -> list[str]:
    """Return the kinds and the states of the open attempts, the oldest first."""
    return [row["state"] for row in world.database.fetch_all(STATES)]


def closings(world: OrderBackend) -> list[str]:
    """Return the statuses of the events offer.closed, the oldest first."""
    return [row["status"] for row in world.database.fetch_all(CLOSED)]
