"""Ids, page tokens, queries and headers of every RPC, mutated: no answer is a 5xx, nor INTERNAL or UNKNOWN by gRPC.

Half of the inputs go through the edge, the others straight to a worker, with metadata that gRPC's clients do not send.
Page tokens begin with a real one: its parts are changed and its digest is made anew, as anybody can do it.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from random import Random
from urllib.parse import quote
from uuid import uuid4

import httpx
import jwt
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from edge import contract, signing_keys
from servicekit import paging
from servicekit.identity import SERVICE_AUDIENCE, SERVICE_ISSUER
from servicekit.methods import PATH_FIELD
from tests.fuzz import Options, Result
from tests.fuzz.rpc_inputs import HEADERS, VALUES, mutate, mutate_token, sometimes
from tests.support.protos import METHODS
from tests.support.raw_grpc import RawGrpc
from tests.support.stack import Stack
from tests.support.story import Market, ok

SENDERS = 4
# The statuses INTERNAL and UNKNOWN; and those that a busy machine causes: DEADLINE_EXCEEDED, UNAVAILABLE and HTTP's.
BAD_STATUSES = ("13", "2")
BUSY = ("4", "14", 503, 504)
UNARY = [method for method in METHODS.values() if not (method.client_streaming or method.server_streaming)]
# The RPCs with page tokens, and the place of the access token in Sample.access that reads the sample's rows.
LISTS = {
    "SearchGigs": 0,
    "ListReviews": 0,
    "ListOrders": 1,
    "ListBalanceEntries": 0,
    "ListPayouts": 0,
    "ListSellerBalanceEntries": 2,
    "ListSellerPayouts": 2,
    "ListWebhookDeliveries": 1,
    "ListConversations": 1,
    "ListMessages": 1,
    "ListBlocks": 1,
    "ListOffers": 1,
}
# The processes that serve them: a service's first worker, or its process for slow clients.
SERVICES = {
    "ConversationService": "order",
    "EventService": "order-events",
    "FileService": "order-events",
    "GigService": "gig",
    "OfferService": "order",
    "OrderService": "order",
    "ReviewService": "review",
    "WebhookService": "order",
}


@dataclass
class Sample:
    """Things that exist: ids by the names of fields, real page tokens by RPC, access tokens, each for the fuzzer."""

    ids: dict[str, list[str]] = field(default_factory=dict)
    page_tokens: dict[str, str] = field(default_factory=dict)
    access: list[str] = field(default_factory=list)
    service_access: list[str] = field(default_factory=list)
    buyer_id: str = ""


def fuzz(stack: Stack, options: Options) -> Result:
    """Send mutated calls until the end of the options, and return what was answered."""
    sample = a_sample(stack)
    routes = list(contract.load().routes)
    result, lock = Result(), threading.Lock()
    options.began = time.monotonic()
    sent = iter(range(options.inputs))

    def send() -> None:
        targets = stack.targets()
        workers = {name: RawGrpc(targets[f"{name}-0"]) for name in ("gig", "order", "review")}
        workers["order-events"] = RawGrpc(targets["order-events"])
        with httpx.Client(base_url=stack.url, timeout=20) as api:
            while True:
                with lock:
                    number = next(sent, None)
                    if number is None or options.is_over(result.inputs):
                        return
                random = Random(f"{options.seed}/{number}")
                if random.random() < 0.5:
                    answer, fault = over_http(api, random, routes, sample)
                else:
                    answer, fault = over_grpc(workers, random, sample)
                with lock:
                    result.count(answer)
                    if fault:
                        result.faults.append(f"input {number}: {fault}")
        for worker in workers.values():
            worker.close()

    with ThreadPoolExecutor(SENDERS) as pool:
        for sender in [pool.submit(send) for _ in range(SENDERS)]:
            sender.result()
    return result


def a_sample(stack: Stack) -> Sample:
    """Make gigs, orders, reviews and payouts, two in each list, and read the first page of each list."""
    market = Market.of(stack)
    gigs = [market.gig(price=10 + each, extra=1) for each in range(2)]
    # Nobody listens there.
    endpoint = ok(market.buyer.post("/api/webhook-endpoints", json={"url": "http://127.0.0.1:1/"}), 201)["id"]
    orders = [market.completed(gigs[0]), market.completed(gigs[0]), market.order(gigs[1])]
    reviews = [market.review(order)["reviewId"] for order in orders[:2]]
    payouts = [ok(market.seller.post("/api/payouts", json={"amount": 1}), 201)["payoutId"] for _ in range(2)]
    seller = gigs[0]["seller"]["id"]
    order = ok(market.buyer.get(f"/api/orders/{orders[0]}"))
    deliveries = f"/api/webhook-endpoints/{endpoint}/deliveries"
    talks = [
        _a_conversation(owner, market.buyer) for owner in (market, replace(market, seller=Market.of(stack).seller))
    ]
    for user in (uuid4(), uuid4()):
        ok(market.buyer.put(f"/api/blocks/{user}"))
    messages = f"/api/conversations/{talks[0]}/messages"
    sample = Sample(
        ids={
            "gig_id": [gig["id"] for gig in gigs],
            "package_id": [gig["packages"][0]["id"] for gig in gigs],
            "order_id": orders,
            "review_id": reviews,
            "payout_id": payouts,
            "seller_id": [seller],
            "buyer_id": [order["buyerId"]],
            "endpoint_id": [endpoint],
            "delivery_id": [each["id"] for each in ok(market.buyer.get(deliveries))["results"]],
            "conversation_id": talks,
            "message_id": [each["id"] for each in ok(market.buyer.get(messages))["results"]],
            "offer_id": [each["id"] for each in ok(market.buyer.get("/api/offers"))["results"]],
            "file_id": [ok(market.buyer.post("/api/files", content=b"A file"), 201)["fileId"]],
            "user_id": [order["buyerId"], seller],
        },
        buyer_id=order["buyerId"],
    )
    lists = {
        "SearchGigs": (market.anyone, "/api/gigs"),
        "ListReviews": (market.anyone, f"/api/gigs/{gigs[0]['id']}/reviews"),
        "ListOrders": (market.buyer, "/api/orders"),
        "ListBalanceEntries": (market.seller, "/api/balance/entries"),
        "ListPayouts": (market.seller, "/api/payouts"),
        "ListSellerBalanceEntries": (market.admin, f"/api/sellers/{seller}/balance/entries"),
        "ListSellerPayouts": (market.admin, f"/api/sellers/{seller}/payouts"),
        "ListWebhookDeliveries": (market.buyer, deliveries),
        "ListConversations": (market.buyer, "/api/conversations"),
        "ListMessages": (market.buyer, messages),
        "ListBlocks": (market.buyer, "/api/blocks"),
        "ListOffers": (market.buyer, "/api/offers"),
    }
    for rpc, (client, path) in lists.items():
        sample.page_tokens[rpc] = ok(client.get(path, params={"pageSize": 1}))["nextPageToken"]
    for client in (market.seller, market.buyer, market.admin):
        sample.access.append(str(client.headers["authorization"]))
    now = int(time.time())
    key = signing_keys.service_key(stack.data_dir).load()
    for service in ("order", "review"):
        claims = {"iss": SERVICE_ISSUER, "aud": SERVICE_AUDIENCE, "sub": seller, "preferred_username": service}
        claims |= {"roles": ["service"], "exp": now + 86_400}
        signed = jwt.encode(claims, key, algorithm="ES256", headers={"kid": signing_keys.key_id(key)})
        sample.service_access.append(f"Bearer {signed}")
    return sample


def _a_conversation(market: Market, buyer: httpx.Client) -> str:
    """Let a buyer and a seller talk, and the seller make an offer. Return the conversation's id."""
    gig = market.gig()["id"]
    conversation = ok(buyer.post("/api/conversations", json={"gigId": gig, "text": "Hello"}), 201)["id"]
    offer = {"gigId": gig, "title": "All of it", "price": 5, "deliveryDays": 3}
    ok(market.seller.post(f"/api/conversations/{conversation}/offers", json=offer), 201)
    return str(conversation)


def over_http(
    api: httpx.Client, random: Random, routes: list[contract.Route], sample: Sample
) -> tuple[str, str | None]:
    """Send one request through the edge. Return the kind of its answer, and a fault."""
    lists = [route for route in routes if route.rpc in LISTS]
    route = random.choice(lists if random.random() < 0.5 else routes)
    request = GetMessageClass(METHODS[f"/{route.service}/{route.rpc}"].input_type)()
    path = route.path
    for name in PATH_FIELD.findall(route.path):
        value = random.choice(sample.ids.get(name, VALUES))
        if random.random() < 0.2:
            value = mutate(random, value)
        else:
            setattr(request, name, value)
        path = path.replace("{" + name + "}", quote(value.encode("utf-8", "surrogatepass"), safe=""))
    query: list[tuple[str, str]] = []
    token = page_token(random, route.rpc, request, sample)
    if token is not None:
        query.append(("pageToken", token))
    # Not `wait`: it only makes a call long.
    others = [parameter.name for parameter in route.query if parameter.name not in ("pageToken", "wait")]
    chosen = random.sample(others, k=min(len(others), random.choice((0, 0, 1, 2))))
    query += [(name, random.choice([*VALUES, *sample.ids["gig_id"]])) for name in chosen]
    text = "&".join(f"{name}={quote(value.encode('utf-8', 'surrogatepass'), safe='')}" for name, value in query)
    headers = [(b"authorization", each) for each in access(random, route.rpc, sample)]
    headers += random_headers(random)
    content = None
    if route.method != "GET" and (route.body or route.raw) and random.random() < 0.8:
        content = random.choice((b"{}", b'{"message": "x"}', json.dumps({random.choice(VALUES): VALUES}).encode()))
        headers.append((b"content-type", b"application/json"))

    if route.upload:
        content = random.choice((b"", b"GIF89a", b"x" * 100_000))
        headers.append((b"content-type", random.choice((b"image/png", b"multipart/form-data; boundary=x", b"image/"))))

    def send() -> httpx.Response:
        target = f"{path}?{text}" if text else path
        request = api.build_request(route.method, target, headers=headers, content=content)
        if not route.stream:
            return api.send(request)
        # A watch has no end.
        with closing(api.send(request, stream=True)) as watch:
            return httpx.Response(watch.status_code, content=next(watch.iter_bytes(), b""), request=request)

    try:
        answer = send()
        if answer.status_code in BUSY:
            answer = send()
    except (httpx.LocalProtocolError, httpx.InvalidURL):
        return "not sent", None
    except httpx.RemoteProtocolError:
        return "closed", None
    is_fault = answer.status_code >= 500
    fault = f"{answer.status_code} {answer.text[:200]} {route.method} {path[:300]}?{text[:500]} {headers}"
    return str(answer.status_code), fault if is_fault else foreign(route, answer, headers, sample)


def foreign(
    route: contract.Route, answer: httpx.Response, headers: list[tuple[bytes, bytes]], sample: Sample
) -> str | None:
    """Return a fault when a buyer's list of orders or offers has another's."""
    is_buyer = (b"authorization", sample.access[1].encode()) in headers
    if route.rpc not in ("ListOrders", "ListOffers") or answer.status_code != 200 or not is_buyer:
        return None
    others = [each for each in answer.json()["results"] if each["buyerId"] != sample.buyer_id]
    return f"a buyer reads others': {others}" if others else None


def over_grpc(workers: dict[str, RawGrpc], random: Random, sample: Sample) -> tuple[str, str | None]:
    """Send one call to a worker. Return the kind of its answer, and a fault."""
    lists = [method for method in METHODS.values() if method.name in LISTS]
    method = random.choice(lists if random.random() < 0.5 else UNARY)
    request = GetMessageClass(method.input_type)()
    for each in method.input_type.fields:
        if each.cpp_type != each.CPPTYPE_STRING or each.type == each.TYPE_BYTES or each.is_repeated:
            continue
        value = random.choice(sample.ids.get(each.name, VALUES))
        if each.name in ("page_token", "status", "role", "sort") and random.random() < 0.8:
            continue
        value = sometimes(random, 0.2, lambda value=value: mutate(random, value), value)  # type: ignore[misc]
        setattr(request, each.name, value.encode("utf-8", "ignore").decode())
    token = page_token(random, method.name, request, sample)
    if token is not None:
        setattr(request, "page_token", token.encode("utf-8", "ignore").decode())  # noqa: B010
    metadata = [(b"authorization", each) for each in access(random, method.name, sample)]
    if method.name not in LISTS and random.random() < 0.3:
        metadata = [(b"authorization", random.choice(sample.service_access).encode())]
    # gRPC's own library answers a malformed timeout with INTERNAL; the edge sets that header itself.
    metadata += [header for header in random_headers(random) if header[0] != b"grpc-timeout"]
    worker = workers[SERVICES[method.containing_service.name]]
    path = f"/{method.containing_service.full_name}/{method.name}"
    status = worker.call(path, request.SerializeToString(), metadata)
    if status in BUSY:
        status = worker.call(path, request.SerializeToString(), metadata)
    if status not in (*BAD_STATUSES, *BUSY):
        return f"gRPC {status}", None
    return f"gRPC {status}", f"{status} {worker.message!r} {path} {str(request)[:500]!r} {metadata}"


def access(random: Random, rpc: str, sample: Sample) -> list[bytes]:
    """Return the values of `authorization`: mostly one good token, at times none, several or a mutated one."""
    if rpc in LISTS and random.random() < 0.8:
        return [sample.access[LISTS[rpc]].encode()]
    match random.random():
        case chance if chance < 0.75:
            return [random.choice(sample.access).encode()]
        case chance if chance < 0.85:
            return []
        case chance if chance < 0.9:
            return [random.choice(sample.access).encode() for _ in range(2)]
    return [mutate(random, random.choice(sample.access)).encode("utf-8", "replace")]


def random_headers(random: Random) -> list[tuple[bytes, bytes]]:
    """Return up to three headers that services read, with right or mutated values."""
    headers = []
    for name in random.choices(sorted(HEADERS), k=random.choice((0, 1, 2, 3))):
        value = random.choice(HEADERS[name])
        value = mutate(random, value) if random.random() < 0.6 else value
        headers.append((name.encode(), value.encode(random.choice(("utf-8", "latin-1")), "replace")[:9000]))
    return headers


def page_token(random: Random, rpc: str, request: Message, sample: Sample) -> str | None:
    """Return a page token for the request: the real one, or one made of it; None for an RPC that has none."""
    if rpc not in sample.page_tokens or random.random() < 0.1:
        return None
    raw = base64.urlsafe_b64decode(sample.page_tokens[rpc] + "==")
    payload = mutate_token(random, raw[paging.DIGEST_BYTES :])
    # The digest is the service's own code, which is public.
    token = base64.urlsafe_b64encode(paging._digest(request, payload) + payload).decode()
    token = token.rstrip("=") if random.random() < 0.9 else token
    return mutate(random, token) if random.random() < 0.1 else token
