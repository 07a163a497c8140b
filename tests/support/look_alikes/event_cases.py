"""What a look-alike hears of the other's orders: nothing, on no stream and in no feed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

import grpc

from marketplace.event.v1 import event_pb2, event_pb2_grpc
from tests.support.look_alikes.pair import Pair
from tests.support.look_alikes.person import Person
from tests.support.look_alikes.streams import GrpcListener, Listener, SseListener
from tests.support.story import ok

Case = Callable[[Pair], None]
# Opens a watch of one of the two, after an id.
Watch = Callable[[Person, str], Listener]


def watch_order(pair: Pair) -> None:
    with _stub(pair) as stub:
        for order in pair.owner.orders:
            request = event_pb2.WatchOrderRequest(order_id=order)
            unknown = event_pb2.WatchOrderRequest(order_id=str(uuid4()))
            refused = [
                pair.refused_by_grpc(stub.WatchOrder, each, grpc.StatusCode.NOT_FOUND) for each in (request, unknown)
            ]
            assert refused[0] == refused[1]
        order = pair.let_owner_act(lambda: pair.owner.buys(pair.market, pair.gig))
        own = pair.viewer.buys(pair.market, pair.gig)
        with (
            GrpcListener(stub.WatchOrder, event_pb2.WatchOrderRequest(order_id=order), pair.owner.token) as owners,
            GrpcListener(stub.WatchOrder, event_pb2.WatchOrderRequest(order_id=own), pair.viewer.token) as viewers,
        ):
            _hear_one_order_each(pair, order, own, owners, viewers)
            # An id of another order is none of this one's, or the same number by chance.
            after = event_pb2.WatchOrderRequest(order_id=order, after=owners.last_id)
            pair.refused_by_grpc(stub.WatchOrder, after, grpc.StatusCode.NOT_FOUND)


def watch_order_sse(pair: Pair) -> None:
    pair.hidden("GET", "/api/orders/{}/watch", *pair.owner.orders)
    order = pair.let_owner_act(lambda: pair.owner.buys(pair.market, pair.gig))
    own = pair.viewer.buys(pair.market, pair.gig)
    with (
        SseListener(pair.owner.client, f"/api/orders/{order}/watch") as owners,
        SseListener(pair.viewer.client, f"/api/orders/{own}/watch") as viewers,
    ):
        _hear_one_order_each(pair, order, own, owners, viewers)
        pair.hidden("GET", "/api/orders/{}/watch", order, headers={"last-event-id": owners.last_id})


def watch(pair: Pair) -> None:
    with _stub(pair) as stub:
        _hear_only_their_own(
            pair,
            lambda person, after: GrpcListener(stub.Watch, event_pb2.WatchRequest(after=after), person.token),
        )


def watch_sse(pair: Pair) -> None:
    _hear_only_their_own(pair, lambda person, after: SseListener(person.client, "/api/watch", after))


def list_events(pair: Pair) -> None:
    feed = ok(pair.market.admin.get("/api/events", params={"pageSize": 100}))
    assert feed["results"]
    for query in ("", f"?after={feed['next']}", "?after=now&wait=1"):
        pair.forbidden("GET", f"/api/events{query}")
        assert pair.owner.client.get(f"/api/events{query}").status_code == 403


def _hear_one_order_each(pair: Pair, order: str, own: str, owners: Listener, viewers: Listener) -> None:
    """Have the seller accept both orders, the owner's first; each stream tells of its own."""
    pair.let_owner_act(partial(_accept, pair, order, pair.owner.word))
    owners.wait_for(f"Begun, {pair.owner.word}")
    _accept(pair, own, pair.viewer.word)
    viewers.wait_for(f"Begun, {pair.viewer.word}")
    pair.assert_hidden(viewers.text)


def _accept(pair: Pair, order: str, word: str) -> None:
    ok(pair.market.seller.post(f"/api/orders/{order}/accept", json={"message": f"Begun, {word}"}))


def _hear_only_their_own(pair: Pair, watch: Watch) -> None:
    """Change the owner's orders, then the viewer's, while both watch all of their own."""
    with watch(pair.owner, "") as owners, watch(pair.viewer, "") as viewers:
        # The first thing that a watch sends is an id; it has begun then.
        owners.wait_for_id()
        viewers.wait_for_id()
        before_all = owners.last_id
        acts = (partial(pair.owner.buys, pair.market, pair.gig), partial(pair.owner.sells, pair.market))
        for act in acts:
            owners.wait_for(pair.let_owner_act(partial(act, "DELIVERED")))
        # The viewer's stream has all before this one, since ids grow.
        own = pair.viewer.buys(pair.market, pair.gig, "COMPLETED")
        viewers.wait_for(own)
        pair.assert_hidden(viewers.text)
    # A viewer who knows an id of the owner's gets their own of what came after it, or nothing.
    with watch(pair.viewer, before_all) as resumed:
        if isinstance(resumed, SseListener) and resumed.status == 400:
            return
        resumed.wait_for(own)
        latest = pair.viewer.buys(pair.market, pair.gig)
        resumed.wait_for(latest)
        pair.assert_hidden(resumed.text)


@contextmanager
def _stub(pair: Pair) -> Iterator[event_pb2_grpc.EventServiceStub]:
    with pair.stack.targets()["order-events"].channel() as channel:
        yield event_pb2_grpc.EventServiceStub(channel)


CASES: dict[str, Case] = {
    "EventService.WatchOrder": watch_order,
    "EventService.WatchOrderSse": watch_order_sse,
    "EventService.Watch": watch,
    "EventService.WatchSse": watch_sse,
    "EventService.ListEvents": list_events,
}
