"""Lists: too many items are refused by their count, and a worker's memory stays within its bound meanwhile."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import pytest

from tests.support.bodies import body_routes
from tests.support.bystanders import bystanders
from tests.support.memory import peak_mib, reset_peaks, resident_mib
from tests.support.stack import Stack
from tests.support.story import a_name

pytestmark = pytest.mark.alone

# A little less than a JSON body may have.
MANY_BYTES = 1_040_000
CLIENTS = 8
MAX_TRIES = 5
# The bound of docs/security.md: what requests add to the memory of a worker, in MiB. Each of its four threads has a
# request of 1 MiB, which takes 40 MiB once it is parsed; each request that waits takes 1 MiB.
MAX_GROWTH_MIB = 4 * 42 + CLIENTS
WORKERS = ("gig-0", "gig-1", "order-0", "order-1", "review-0", "review-1", "gig-images", "order-events")
CREATE = "/marketplace.gig.v1.GigService/CreateGig"
EVENT = "/marketplace.order.v1.OrderService/ReceiveStripeEvent"


def filled(path: tuple[str, ...]) -> bytes:
    """Return a JSON body of about MANY_BYTES: the list at this path has as many items as fit."""
    match path[-1]:
        case "packages" | "extras":
            items = ["{}"] * (MANY_BYTES // 3)
        case "tags":
            # Equal tags count once.
            items = [f'"{number:x}"' for number in range(MANY_BYTES // 8)]
        case _:
            items = ['""'] * (MANY_BYTES // 3)
    body = "[" + ",".join(items) + "]"
    for depth, name in enumerate(reversed(path)):
        body = f'{{"{name}":{body}}}' if depth == 0 else f'{{"{name}":[{body}]}}'
    return body.encode()


def worst_bodies() -> list[tuple[str, str, bytes]]:
    """Return the method, path and body of each list of each RPC, filled with the shortest items."""
    return [(route.method, route.path_with({}), filled(path)) for route in body_routes() for path in route.lists()]


def begin(stack: Stack) -> dict[str, int]:
    """Return the memory of each process, and begin to measure its peak.

    A worker that has just started takes tens of MiB more with its first requests: it counts as large as its siblings.
    """
    reset_peaks(stack)
    sizes = resident_mib(stack)
    return {name: max(size for other, size in sizes.items() if _service(other) == _service(name)) for name in sizes}


def _service(process: str) -> str:
    return process.rstrip("0123456789")


def require_bounded_growth(stack: Stack, before: dict[str, int]) -> None:
    """Fail when a worker has taken more memory since `reset_peaks` than its bound."""
    grown = {name: size - before[name] for name, size in peak_mib(stack).items() if name in WORKERS}
    assert grown
    assert max(grown.values()) <= MAX_GROWTH_MIB, grown


def test_as_many_items_as_fit_into_a_body_are_refused_and_nobody_else_notices(stack: Stack) -> None:
    bodies = worst_bodies()
    assert len(bodies) == 14

    def send(body: tuple[str, str, bytes]) -> httpx.Response:
        answer = client.request(body[0], body[1], content=body[2])
        tries = 1
        # A machine that is busy with other tests may have no time for the attacker at first.
        while answer.status_code == 503 and tries < MAX_TRIES:
            time.sleep(1)
            answer = client.request(body[0], body[1], content=body[2])
            tries += 1
        return answer

    with (
        stack.client(a_name("attacker"), "seller", "buyer", "admin") as client,
        bystanders(stack) as others,
        ThreadPoolExecutor(CLIENTS) as attackers,
    ):
        before = begin(stack)
        client.headers["content-type"] = "application/json"
        client.timeout = httpx.Timeout(60)
        answers = list(attackers.map(send, bodies * 2))
    others.require_served()
    for (_, path, _), answer in zip(bodies * 2, answers, strict=True):
        assert answer.status_code == 400, f"{path}: {answer.status_code} {answer.text[:300]}"
        assert any("must contain no more than" in detail["message"] for detail in answer.json()["details"]), path
        assert len(answer.json()["details"]) <= 50
    require_bounded_growth(stack, before)


def empty(field: int, size: int, inside: int | None = None) -> bytes:
    """Return a message with an empty item of this field so often, in a field of its own with `inside`."""
    items = bytes([field << 3 | 2, 0]) * (size // 2)
    if inside is None:
        return items
    length, size = b"", len(items)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([inside << 3 | 2]) + length + bytes([size]) + items


@pytest.mark.parametrize(
    ("service", "method", "message", "code"),
    [
        pytest.param("gig", CREATE, empty(5, 1_040_000), "INVALID_ARGUMENT", id="packages"),
        pytest.param("gig", CREATE, empty(4, 1_040_000), "INVALID_ARGUMENT", id="tags"),
        pytest.param("gig", CREATE, empty(5, 1_040_000, 5), "INVALID_ARGUMENT", id="features"),
        pytest.param("gig", CREATE, empty(15, 1_040_000), "INVALID_ARGUMENT", id="unknown fields"),
        pytest.param("gig", CREATE, empty(5, 4_000_000), "RESOURCE_EXHAUSTED", id="4 MB of packages"),
        pytest.param("order", EVENT, empty(3, 1_040_000, 1), "INVALID_ARGUMENT", id="extensions of an HttpBody"),
    ],
)
def test_a_message_to_a_worker_has_the_same_bounds(
    stack: Stack, service: str, method: str, message: bytes, code: str
) -> None:
    token = stack.token(a_name("attacker"), "seller")
    with (
        stack.targets()[f"{service}-0"].channel() as channel,
        bystanders(stack) as others,
        ThreadPoolExecutor(CLIENTS) as attackers,
    ):
        before = begin(stack)
        call = channel.unary_unary(method, None, None)

        def send(_: int) -> str:
            with pytest.raises(grpc.RpcError) as failed:
                call(message, metadata=(("authorization", f"Bearer {token}"),), timeout=15)
            return str(failed.value.code().name)

        codes = set(attackers.map(send, range(2 * CLIENTS)))
        # The others make a few more requests.
        time.sleep(0.5)
    others.require_served()
    assert codes == {code}
    require_bounded_growth(stack, before)
