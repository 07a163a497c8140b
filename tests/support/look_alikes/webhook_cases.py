"""What a look-alike gets to see and to do of the other's webhook endpoints and deliveries: nothing."""

from __future__ import annotations

from collections.abc import Callable

import standardwebhooks

from tests.support.eventually import eventually
from tests.support.look_alikes.pair import Pair
from tests.support.look_alikes.person import Person
from tests.support.look_alikes.receiver import RECEIVER, Received
from tests.support.story import ok

Case = Callable[[Pair], None]

ENDPOINT = "/api/webhook-endpoints/{}"


def create_webhook_endpoint(pair: Pair) -> None:
    furnish(pair)
    made = ok(pair.ask("POST", "/api/webhook-endpoints", json={"url": RECEIVER.url}), 201)
    assert made["id"] not in (pair.owner.endpoint, pair.viewer.endpoint)
    assert made["secret"] not in (pair.owner.secret, pair.viewer.secret)
    ok(pair.ask("DELETE", ENDPOINT.format(made["id"])), 204)

    # Both receive at the same URL. What was signed for the viewer tells nothing of the owner.
    pair.let_owner_act(lambda: _trade(pair, pair.owner))
    _trade(pair, pair.viewer)
    of_viewer = [each for each in RECEIVER.received() if is_signed_for(pair.viewer, each)]
    assert of_viewer
    for each in of_viewer:
        pair.assert_hidden(f"{each.headers} {each.body.decode()}")
    assert any(is_signed_for(pair.owner, each) for each in RECEIVER.received())


def list_webhook_endpoints(pair: Pair) -> None:
    furnish(pair)
    rows = ok(pair.ask("GET", "/api/webhook-endpoints"))["results"]
    assert [row["id"] for row in rows] == [pair.viewer.endpoint]


def get_webhook_endpoint(pair: Pair) -> None:
    furnish(pair)
    pair.hidden("GET", ENDPOINT, pair.owner.endpoint)


def delete_webhook_endpoint(pair: Pair) -> None:
    furnish(pair)
    pair.hidden("DELETE", ENDPOINT, pair.owner.endpoint)
    # It still receives.
    pair.let_owner_act(lambda: _trade(pair, pair.owner))


def list_webhook_deliveries(pair: Pair) -> None:
    furnish(pair)
    pair.hidden("GET", f"{ENDPOINT}/deliveries", pair.owner.endpoint)
    own = f"/api/webhook-endpoints/{pair.viewer.endpoint}/deliveries"
    assert {row["id"] for row in pair.pages(own)} >= set(pair.viewer.deliveries)
    pair.let_owner_act(lambda: _trade(pair, pair.owner))
    owners = f"/api/webhook-endpoints/{pair.owner.endpoint}/deliveries"
    token = pair.owners_page_token(owners)
    assert pair.ask("GET", owners, params={"pageToken": token}).status_code == 404
    # It is one of another list.
    assert pair.ask("GET", own, params={"pageToken": token}).status_code == 400


def retry_webhook_delivery(pair: Pair) -> None:
    furnish(pair)
    for delivery in pair.owner.deliveries:
        pair.hidden("POST", f"{ENDPOINT}/deliveries/{delivery}/retry", pair.owner.endpoint)
    own = ENDPOINT.format(pair.viewer.endpoint)
    pair.hidden("POST", f"{own}/deliveries/{{}}/retry", *pair.owner.deliveries)


def furnish(pair: Pair) -> None:
    """Give both an endpoint at the same URL, with a delivery, unless they have one."""
    if pair.owner.endpoint:
        return
    pair.let_owner_act(lambda: _receive(pair, pair.owner))
    _receive(pair, pair.viewer)


def _receive(pair: Pair, person: Person) -> None:
    """Give a person an endpoint with a delivery."""
    made = ok(person.client.post("/api/webhook-endpoints", json={"url": RECEIVER.url}), 201)
    person.endpoint = person.owns(made["id"], "a webhook endpoint")
    person.secret = person.owns(made["secret"], "the secret of a webhook endpoint")
    _trade(pair, person)


def _trade(pair: Pair, person: Person) -> None:
    """Have somebody buy, and wait until it is delivered to their endpoint."""
    known = set(person.deliveries)
    person.buys(pair.market, pair.gig)
    path = f"/api/webhook-endpoints/{person.endpoint}/deliveries"

    def new() -> list[dict[str, str]]:
        rows = ok(person.client.get(path, params={"pageSize": 100}))["results"]
        return [row for row in rows if row["id"] not in known and row["status"] == "DELIVERED"]

    for row in eventually(new):
        person.deliveries.append(person.owns(row["id"], "a delivery"))
        person.owns(row["eventId"], "an event")


def is_signed_for(person: Person, received: Received) -> bool:
    """Whether a delivery has a signature by a person's secret."""
    try:
        standardwebhooks.Webhook(person.secret).verify(received.body, received.headers)
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


CASES: dict[str, Case] = {
    "WebhookService.CreateWebhookEndpoint": create_webhook_endpoint,
    "WebhookService.ListWebhookEndpoints": list_webhook_endpoints,
    "WebhookService.GetWebhookEndpoint": get_webhook_endpoint,
    "WebhookService.DeleteWebhookEndpoint": delete_webhook_endpoint,
    "WebhookService.ListWebhookDeliveries": list_webhook_deliveries,
    "WebhookService.RetryWebhookDelivery": retry_webhook_delivery,
}
