"""Every public RPC, called over HTTP as its proto says. A route without a call here fails."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from google.api import annotations_pb2

from marketplace.common.v1 import options_pb2
from tests.support.protos import METHODS
from tests.support.stack import ROOT
from tests.support.story import SEED_GIG, SEED_PACKAGE, SEED_REVIEW, Market, a_gig

Call = Callable[[Market], httpx.Response]


# The RPCs with a route. ReceiveStripeEvent is Stripe's to call, where it handles the payments: see test_stripe.py.
PUBLIC = {
    method.name: method
    for method in METHODS.values()
    if method.GetOptions().HasExtension(annotations_pb2.http) and method.name != "ReceiveStripeEvent"
}


def create_gig(market: Market) -> httpx.Response:
    return market.seller.post("/api/gigs", json=SEED_GIG)


def get_gig(market: Market) -> httpx.Response:
    return market.anyone.get(f"/api/gigs/{market.gig()['id']}")


def update_gig(market: Market) -> httpx.Response:
    return market.seller.put(f"/api/gigs/{market.gig()['id']}", json=a_gig(title="Another title"))


def delete_gig(market: Market) -> httpx.Response:
    return market.seller.delete(f"/api/gigs/{market.gig()['id']}")


def search_gigs(market: Market) -> httpx.Response:
    return market.anyone.get("/api/gigs", params={"category": "web-dev"})


def set_gig_status(market: Market) -> httpx.Response:
    return market.seller.patch(f"/api/gigs/{market.gig()['id']}/status", json={"status": "PAUSED"})


def list_packages(market: Market) -> httpx.Response:
    return market.anyone.get(f"/api/gigs/{market.gig()['id']}/packages")


def add_package(market: Market) -> httpx.Response:
    return market.seller.post(f"/api/gigs/{market.gig()['id']}/packages", json=SEED_PACKAGE)


def update_package(market: Market) -> httpx.Response:
    gig = market.gig()
    return market.seller.put(f"/api/gigs/{gig['id']}/packages/{gig['packages'][0]['id']}", json=SEED_PACKAGE)


def delete_package(market: Market) -> httpx.Response:
    gig = market.gig(packages=[SEED_PACKAGE, SEED_PACKAGE])
    return market.seller.delete(f"/api/gigs/{gig['id']}/packages/{gig['packages'][0]['id']}")


def update_image(market: Market) -> httpx.Response:
    gig, image = an_image(market)
    return market.seller.patch(f"/api/gigs/{gig}/images/{image}", json={"isPrimary": True})


def delete_image(market: Market) -> httpx.Response:
    gig, image = an_image(market)
    return market.seller.delete(f"/api/gigs/{gig}/images/{image}")


def upload_images(market: Market) -> httpx.Response:
    with (ROOT / "docs" / "website.jpg").open("rb") as picture:
        return market.seller.post(f"/api/gigs/{market.gig()['id']}/images", files={"file": picture})


def an_image(market: Market) -> tuple[str, str]:
    """Create a gig with an image. Return the ids of both."""
    answer = upload_images(market)
    return answer.request.url.path.split("/")[3], answer.json()["images"][0]["id"]


def list_categories(market: Market) -> httpx.Response:
    return market.anyone.get("/api/categories")


def place_order(market: Market) -> httpx.Response:
    body = {"packageId": market.gig()["packages"][0]["id"], "paymentMethod": "stripe"}
    return market.buyer.post("/api/orders", json=body)


def get_order(market: Market) -> httpx.Response:
    return market.buyer.get(f"/api/orders/{market.order(market.gig())}")


def list_order_events(market: Market) -> httpx.Response:
    return market.buyer.get(f"/api/orders/{market.order(market.gig())}/events")


def list_orders(market: Market) -> httpx.Response:
    return market.buyer.get("/api/orders", params={"role": "buyer"})


def accept_order(market: Market) -> httpx.Response:
    return market.seller.post(f"/api/orders/{market.order(market.gig())}/accept")


def decline_order(market: Market) -> httpx.Response:
    return market.seller.post(f"/api/orders/{market.order(market.gig())}/decline")


def cancel_order(market: Market) -> httpx.Response:
    return market.buyer.post(f"/api/orders/{market.order(market.gig())}/cancel")


def deliver_order(market: Market) -> httpx.Response:
    order = market.order(market.gig())
    market.seller.post(f"/api/orders/{order}/accept")
    return market.seller.post(f"/api/orders/{order}/deliver", json={"message": "Here it is"})


def extend_order(market: Market) -> httpx.Response:
    order = market.order(market.gig())
    market.seller.post(f"/api/orders/{order}/accept")
    return market.seller.post(f"/api/orders/{order}/extension", json={"days": 5, "message": "The host is down"})


def accept_extension(market: Market) -> httpx.Response:
    return market.buyer.post(f"/api/orders/{extend_order(market).json()['orderId']}/extension/accept")


def decline_extension(market: Market) -> httpx.Response:
    return market.buyer.post(f"/api/orders/{extend_order(market).json()['orderId']}/extension/decline")


def revise_order(market: Market) -> httpx.Response:
    order = market.delivered(market.gig(revisions=1))
    return market.buyer.post(f"/api/orders/{order}/revise", json={"message": "Darker"})


def complete_order(market: Market) -> httpx.Response:
    return market.buyer.post(f"/api/orders/{market.delivered(market.gig())}/complete")


def dispute_order(market: Market) -> httpx.Response:
    order = market.delivered(market.gig())
    return market.buyer.post(f"/api/orders/{order}/dispute", json={"message": "Not what was agreed on"})


def resolve_order(market: Market) -> httpx.Response:
    order = dispute_order(market).json()["orderId"]
    return market.admin.post(f"/api/orders/{order}/resolve", json={"outcome": "COMPLETED", "refundAmount": 120.5})


def refund_order(market: Market) -> httpx.Response:
    order = market.completed(market.gig())
    body = {"amount": 20.5, "message": "It never worked", "from": "seller"}
    return market.admin.post(f"/api/orders/{order}/refund", json=body)


def get_balance(market: Market) -> httpx.Response:
    return market.seller.get("/api/balance")


def list_balance_entries(market: Market) -> httpx.Response:
    return market.seller.get("/api/balance/entries", params={"pageSize": 5})


def request_payout(market: Market) -> httpx.Response:
    market.completed(market.gig())
    return market.seller.post("/api/payouts", json={"amount": 100.5})


def list_payouts(market: Market) -> httpx.Response:
    return market.seller.get("/api/payouts")


def get_payout(market: Market) -> httpx.Response:
    return market.seller.get(f"/api/payouts/{request_payout(market).json()['payoutId']}")


def set_payout_account(market: Market) -> httpx.Response:
    return market.seller.put("/api/payout-account", json={"destination": "acct_1"})


def seller_path(market: Market, rest: str) -> str:
    """Return the path of an admin's view of the market's seller, who has a sale."""
    gig = market.gig()
    market.completed(gig)
    return f"/api/sellers/{gig['seller']['id']}/{rest}"


def get_seller_balance(market: Market) -> httpx.Response:
    return market.admin.get(seller_path(market, "balance"))


def list_seller_balance_entries(market: Market) -> httpx.Response:
    return market.admin.get(seller_path(market, "balance/entries"))


def list_seller_payouts(market: Market) -> httpx.Response:
    return market.admin.get(seller_path(market, "payouts"))


def get_payout_hold(market: Market) -> httpx.Response:
    return market.admin.get(str(set_payout_hold(market).request.url))


def set_payout_hold(market: Market) -> httpx.Response:
    return market.admin.put(seller_path(market, "payout-hold"), json={"reason": "A look at the last orders"})


def release_payout_hold(market: Market) -> httpx.Response:
    return market.admin.delete(str(set_payout_hold(market).request.url))


def adjust_balance(market: Market) -> httpx.Response:
    body = {"amount": -12.34, "message": "Paid twice in May"}
    return market.admin.post(seller_path(market, "adjustments"), json=body)


def submit_review(market: Market) -> httpx.Response:
    return market.buyer.post(f"/api/orders/{market.delivered(market.gig())}/review", json=SEED_REVIEW)


def list_reviews(market: Market) -> httpx.Response:
    return market.anyone.get(f"/api/gigs/{market.gig()['id']}/reviews")


def reply_to_review(market: Market) -> httpx.Response:
    review = market.review(market.delivered(market.gig()))["reviewId"]
    return market.seller.post(f"/api/reviews/{review}/reply", json={"text": "Thank you!"})


def watch_order_sse(market: Market) -> httpx.Response:
    return market.buyer.get(f"/api/orders/{market.completed(market.gig())}/watch")


def watch_sse(market: Market) -> httpx.Response:
    """Return the response with its first block: the stream has no end."""
    with market.buyer.stream("GET", "/api/watch") as answer:
        headers = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
        content = next(answer.iter_bytes())
        return httpx.Response(answer.status_code, headers=headers, content=content, request=answer.request)


def list_events(market: Market) -> httpx.Response:
    market.order(market.gig())
    return market.admin.get("/api/events", params={"pageSize": 5, "wait": 1})


def start_conversation(market: Market) -> httpx.Response:
    return market.buyer.post("/api/conversations", json={"gigId": market.gig()["id"], "text": "Do you do shops?"})


def a_conversation(market: Market) -> tuple[str, str]:
    """Start a conversation. Return its path and the id of its message."""
    begun = start_conversation(market).json()
    return f"/api/conversations/{begun['id']}", begun["lastMessage"]["id"]


def make_offer(market: Market) -> httpx.Response:
    gig = market.gig()["id"]
    talk = market.buyer.post("/api/conversations", json={"gigId": gig, "text": "Do you do shops?"}).json()["id"]
    offer = {"gigId": gig, "title": "A shop", "description": "", "price": 700, "deliveryDays": 10, "revisions": 1}
    return market.seller.post(f"/api/conversations/{talk}/offers", json=offer)


def offer_path(market: Market) -> str:
    """Make an offer. Return its path."""
    return f"/api/offers/{make_offer(market).json()['id']}"


def list_offers(market: Market) -> httpx.Response:
    make_offer(market)
    return market.buyer.get("/api/offers?role=buyer&status=OPEN")


def get_offer(market: Market) -> httpx.Response:
    return market.buyer.get(offer_path(market))


def withdraw_offer(market: Market) -> httpx.Response:
    return market.seller.post(f"{offer_path(market)}/withdraw")


def decline_offer(market: Market) -> httpx.Response:
    return market.buyer.post(f"{offer_path(market)}/decline", json={"message": "Too much"})


def list_conversations(market: Market) -> httpx.Response:
    start_conversation(market)
    return market.seller.get("/api/conversations")


def get_conversation(market: Market) -> httpx.Response:
    return market.seller.get(a_conversation(market)[0])


def list_messages(market: Market) -> httpx.Response:
    return market.seller.get(f"{a_conversation(market)[0]}/messages")


def send_message(market: Market) -> httpx.Response:
    return market.seller.post(f"{a_conversation(market)[0]}/messages", json={"text": "I do"})


def mark_read(market: Market) -> httpx.Response:
    path, message = a_conversation(market)
    return market.seller.post(f"{path}/read", json={"messageId": message})


def remove_message(market: Market) -> httpx.Response:
    return market.admin.delete(f"/api/messages/{a_conversation(market)[1]}")


def block_user(market: Market) -> httpx.Response:
    return market.buyer.put(f"/api/blocks/{market.gig()['seller']['id']}")


def unblock_user(market: Market) -> httpx.Response:
    return market.buyer.delete(block_user(market).request.url.path)


def list_blocks(market: Market) -> httpx.Response:
    block_user(market)
    return market.buyer.get("/api/blocks")


def create_webhook_endpoint(market: Market) -> httpx.Response:
    return market.seller.post("/api/webhook-endpoints", json={"url": "http://127.0.0.1:1/hook"})


def list_webhook_endpoints(market: Market) -> httpx.Response:
    return market.seller.get("/api/webhook-endpoints")


def webhook_path(market: Market) -> str:
    """Return the path of a new endpoint of the seller's."""
    return f"/api/webhook-endpoints/{create_webhook_endpoint(market).json()['id']}"


def get_webhook_endpoint(market: Market) -> httpx.Response:
    return market.seller.get(webhook_path(market))


def delete_webhook_endpoint(market: Market) -> httpx.Response:
    return market.seller.delete(webhook_path(market))


def list_webhook_deliveries(market: Market) -> httpx.Response:
    path = webhook_path(market)
    market.order(market.gig())
    return market.seller.get(f"{path}/deliveries")


def retry_webhook_delivery(market: Market) -> httpx.Response:
    listed = list_webhook_deliveries(market)
    return market.seller.post(f"{listed.request.url.path}/{listed.json()['results'][0]['id']}/retry")


def upload_file(market: Market) -> httpx.Response:
    return market.seller.post("/api/files", params={"name": "a.txt"}, content=b"hello")


def get_file(market: Market) -> httpx.Response:
    return market.seller.get(f"/api/files/{upload_file(market).json()['fileId']}")


CALLS: dict[str, Call] = {
    "UploadFile": upload_file,
    "GetFile": get_file,
    "WatchOrderSse": watch_order_sse,
    "WatchSse": watch_sse,
    "ListEvents": list_events,
    "CreateGig": create_gig,
    "GetGig": get_gig,
    "UpdateGig": update_gig,
    "DeleteGig": delete_gig,
    "SearchGigs": search_gigs,
    "SetGigStatus": set_gig_status,
    "ListPackages": list_packages,
    "AddPackage": add_package,
    "UpdatePackage": update_package,
    "DeletePackage": delete_package,
    "UpdateImage": update_image,
    "DeleteImage": delete_image,
    "UploadImages": upload_images,
    "ListCategories": list_categories,
    "PlaceOrder": place_order,
    "GetOrder": get_order,
    "ListOrderEvents": list_order_events,
    "ListOrders": list_orders,
    "AcceptOrder": accept_order,
    "DeclineOrder": decline_order,
    "CancelOrder": cancel_order,
    "DeliverOrder": deliver_order,
    "ExtendOrder": extend_order,
    "AcceptExtension": accept_extension,
    "DeclineExtension": decline_extension,
    "ReviseOrder": revise_order,
    "CompleteOrder": complete_order,
    "DisputeOrder": dispute_order,
    "ResolveOrder": resolve_order,
    "RefundOrder": refund_order,
    "GetBalance": get_balance,
    "ListBalanceEntries": list_balance_entries,
    "RequestPayout": request_payout,
    "ListPayouts": list_payouts,
    "GetPayout": get_payout,
    "SetPayoutAccount": set_payout_account,
    "GetSellerBalance": get_seller_balance,
    "ListSellerBalanceEntries": list_seller_balance_entries,
    "ListSellerPayouts": list_seller_payouts,
    "GetPayoutHold": get_payout_hold,
    "SetPayoutHold": set_payout_hold,
    "ReleasePayoutHold": release_payout_hold,
    "AdjustBalance": adjust_balance,
    "SubmitReview": submit_review,
    "ListReviews": list_reviews,
    "ReplyToReview": reply_to_review,
    "StartConversation": start_conversation,
    "ListConversations": list_conversations,
    "GetConversation": get_conversation,
    "ListMessages": list_messages,
    "SendMessage": send_message,
    "MarkRead": mark_read,
    "RemoveMessage": remove_message,
    "BlockUser": block_user,
    "UnblockUser": unblock_user,
    "ListBlocks": list_blocks,
    "MakeOffer": make_offer,
    "ListOffers": list_offers,
    "GetOffer": get_offer,
    "WithdrawOffer": withdraw_offer,
    "DeclineOffer": decline_offer,
    "CreateWebhookEndpoint": create_webhook_endpoint,
    "ListWebhookEndpoints": list_webhook_endpoints,
    "GetWebhookEndpoint": get_webhook_endpoint,
    "DeleteWebhookEndpoint": delete_webhook_endpoint,
    "ListWebhookDeliveries": list_webhook_deliveries,
    "RetryWebhookDelivery": retry_webhook_delivery,
}


def test_every_route_is_called_here_and_nothing_else() -> None:
    assert CALLS.keys() == PUBLIC.keys()


@pytest.mark.parametrize("name", PUBLIC)
def test_a_route_answers_as_its_proto_says(name: str, market: Market) -> None:
    options = PUBLIC[name].GetOptions()
    success: options_pb2.Success = options.Extensions[options_pb2.success]

    answer = CALLS[name](market)

    assert answer.status_code == (success.http_status or 200), answer.text
    assert ("location" in answer.headers) == bool(success.location)
    assert bool(answer.content) == (answer.status_code != 204)
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "name", [name for name, m in PUBLIC.items() if m.GetOptions().Extensions[annotations_pb2.http].get]
)
def test_head_answers_where_get_does_without_a_body(name: str, market: Market) -> None:
    got = CALLS[name](market)

    answer = httpx.Client(headers=dict(got.request.headers), timeout=15).head(got.request.url)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == got.headers["content-type"]
