"""Two users with the same name and the same things, who differ in nothing but the id, see nothing of each other's.

Each RPC of the descriptor set has a case, in which one of the two asks for, lists or changes what the other has.
Nothing of it may be in any response, and it is the same afterwards. An RPC without a case fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from edge.contract import DESCRIPTOR_SET
from tests.support.look_alikes import (
    conversation_cases,
    event_cases,
    file_cases,
    gig_cases,
    internal_cases,
    money_cases,
    offer_cases,
    order_cases,
    webhook_cases,
)
from tests.support.look_alikes.crossings import CROSSINGS, Crossing
from tests.support.look_alikes.pair import Pair
from tests.support.look_alikes.person import Person, furnish, settle
from tests.support.stack import Stack
from tests.support.story import Market, a_name

CASES: dict[str, Callable[[Pair], None]] = {
    name: case
    for module in (
        gig_cases,
        order_cases,
        money_cases,
        internal_cases,
        event_cases,
        webhook_cases,
        conversation_cases,
        file_cases,
        offer_cases,
    )
    for name, case in module.CASES.items()
}


def rpcs() -> Iterator[str]:
    """Yield all RPCs of the descriptor set: `GigService.GetGig`."""
    for file in FileDescriptorSet.FromString(DESCRIPTOR_SET.read_bytes()).file:
        for service in file.service:
            yield from (f"{service.name}.{method.name}" for method in service.method)


RPCS = list(rpcs())

# The first test waits for the stack and for everything that the two get.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Yield two look-alikes who have one of everything, in a stack that sends webhooks to this machine."""
    stack = Stack(WEBHOOK_ALLOW_PRIVATE="true")
    try:
        market = Market.of(stack.start())
        name = a_name("twin")
        people = [Person.of(stack, name) for _ in range(2)]
        gig = market.gig(price=40, revisions=1)
        for person, adjustment in zip(people, (11.11, 22.22), strict=True):
            furnish(person, market, gig, adjustment)
        for person in people:
            settle(person)
        yield Pair(stack, market, gig, *people)
    finally:
        stack.stop()


@pytest.mark.parametrize("viewer", ["the second", "the first"])
@pytest.mark.parametrize("rpc", RPCS)
def test_a_user_sees_and_changes_nothing_of_a_look_alike(rpc: str, viewer: str, pair: Pair) -> None:
    assert rpc in CASES, f"{rpc} has no case: write one of what a look-alike gets from it"
    turned = turn(pair, viewer)

    with turned.owner_untouched():
        CASES[rpc](turned)


@pytest.mark.parametrize("viewer", ["the second", "the first"])
@pytest.mark.parametrize("crossing", CROSSINGS, ids=lambda case: case.__name__)
def test_a_user_sees_nothing_of_what_a_look_alike_shares(crossing: Crossing, viewer: str, pair: Pair) -> None:
    turned = turn(pair, viewer)

    with turned.owner_untouched():
        crossing(turned)


def turn(pair: Pair, viewer: str) -> Pair:
    """Return the pair, or the pair in which owner and viewer are exchanged."""
    people = (pair.owner, pair.viewer) if viewer == "the second" else (pair.viewer, pair.owner)
    return Pair(pair.stack, pair.market, pair.gig, *people)


def test_every_case_is_of_an_rpc() -> None:
    assert CASES.keys() == set(RPCS)


def test_the_two_differ_in_nothing_but_the_id(pair: Pair) -> None:
    first, second = pair.owner, pair.viewer

    assert (first.name, first.gig["title"], len(first.orders)) == (second.name, second.gig["title"], len(second.orders))
    assert first.id != second.id
    assert not first.marks.keys() & second.marks.keys()
