"""The limits of writes: by client address and by user, with the time to wait."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from uuid import uuid4

import grpc
import httpx
import jwt
import pytest

from edge import write_limits
from edge.bootstrap import render
from edge.tokens import user_id
from tests.support.edge import Edge, assert_refused, get, read_response, settings_for_tests
from tests.support.upstream import fails

PER_ADDRESS, PER_USER = 30, 12  # a write in 2 s, and in 5 s
TABLE = 60
PROXY = "127.0.0.7"
GIG = "0190a000-0000-7000-8000-000000000001"
REFUSAL = '{"error": "Too many messages", "code": "RATE_LIMITED"}'

_addresses = (f"198.51.{number // 250}.{number % 250 + 1}" for number in count())


@pytest.fixture(scope="module")
def limited() -> Iterator[Edge]:
    """Start an edge with small limits and small tables of buckets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_limits, "MAX_ADDRESSES", TABLE)
        patch.setattr(write_limits, "MAX_USERS", TABLE)
        edge = Edge(
            edge_writes_per_minute_per_address=PER_ADDRESS,
            edge_writes_per_minute_per_user=PER_USER,
            trusted_proxies=PROXY,
        )
        try:
            yield edge.start()
        finally:
            edge.stop()


@pytest.fixture
def edge(limited: Edge) -> Edge:
    """Return the edge, with upstreams that have forgotten the test before."""
    limited.reset()
    return limited


@pytest.fixture
def proxy(edge: Edge) -> Iterator[httpx.Client]:
    """Return a client that is a trusted proxy, so that it names the address of each request."""
    with httpx.Client(base_url=edge.url, transport=httpx.HTTPTransport(local_address=PROXY)) as client:
        yield client


def an_address() -> dict[str, str]:
    """Return the header of an address that no other test has."""
    return {"x-forwarded-for": next(_addresses)}


def a_user(edge: Edge, seconds: int = 600, name: str = "") -> dict[str, str]:
    """Return the header with a token, by default of a user whom no other test has."""
    return {"authorization": f"Bearer {edge.token(name=name or f'user-{uuid4().hex}', seconds=seconds)}"}


def write(client: httpx.Client, *headers: dict[str, str], method: str = "POST", path: str = "/api/gigs") -> int:
    """Return the status of a write."""
    merged = {name: value for each in headers for name, value in each.items()}
    return client.request(method, path, headers=merged).status_code


class Bucket:
    """What a limit allows from now on: all that it has, and what comes back meanwhile."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute, self._began = per_minute, time.monotonic()

    def assert_allowed(self, taken: int) -> None:
        """Check that so many writes are what it allows by now."""
        came_back = (time.monotonic() - self._began) * self._per_minute / 60
        assert self._per_minute <= taken <= self._per_minute + came_back + 1


def use_up(client: httpx.Client, *headers: dict[str, str], method: str = "POST", path: str = "/api/gigs") -> int:
    """Write until it is refused. Return the number of writes before that."""
    for number in range(200):
        if write(client, *headers, method=method, path=path) == 429:
            return number
    raise AssertionError("no write was refused")


def refusal(
    client: httpx.Client, *headers: dict[str, str], content: bytes = b"", path: str = "/api/gigs"
) -> httpx.Response:
    """Write until it is refused by a limit. Return the refusal."""
    merged = {name: value for each in headers for name, value in each.items()}
    for _ in range(200):
        response = client.post(path, headers=merged, content=content)
        if response.status_code == 429:
            return response
    raise AssertionError("no write was refused")


def assert_limited(response: httpx.Response, least: int, most: int) -> None:
    """Check that a response is the refusal of a limit, with a time to wait in these bounds."""
    assert_refused(response, 429, "RATE_LIMITED")
    assert least <= int(response.headers["retry-after"]) <= most
    assert not [name for name in response.headers if name.startswith("x-ratelimit")]


def test_an_address_has_so_many_writes_and_reads_without_end(edge: Edge, proxy: httpx.Client) -> None:
    address, bucket = an_address(), Bucket(PER_ADDRESS)

    bucket.assert_allowed(sum(use_up(proxy, address, method=method) for method in ("POST", "PUT", "PATCH", "DELETE")))
    # A write comes back every two seconds.
    assert_limited(refusal(proxy, address, path="/api/nothing"), 1, 2)
    for method, status in (("GET", 200), ("HEAD", 200), ("OPTIONS", 204)):
        assert {write(proxy, address, method=method) for _ in range(PER_ADDRESS)} == {status}
    assert write(proxy, an_address()) == 401


def test_connections_and_threads_share_the_bucket_of_an_address(edge: Edge) -> None:
    request = get("/api/gigs", f"X-Forwarded-For: {next(_addresses)}", method="POST")
    bucket = Bucket(PER_ADDRESS)

    def write_on_a_new_connection(_: int) -> int:
        with socket.create_connection(("127.0.0.1", edge.port), timeout=10, source_address=(PROXY, 0)) as connection:
            connection.sendall(request)
            return read_response(connection).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(write_on_a_new_connection, range(2 * PER_ADDRESS)))

    assert set(statuses) == {401, 429}
    bucket.assert_allowed(statuses[401])


def test_after_the_time_to_wait_a_write_is_taken(edge: Edge, proxy: httpx.Client) -> None:
    address = an_address()
    refused = refusal(proxy, address)

    time.sleep(int(refused.headers["retry-after"]))

    assert write(proxy, address) == 401


def test_a_network_of_ipv6_is_one_address(edge: Edge, proxy: httpx.Client) -> None:
    bucket, neighbours = Bucket(PER_ADDRESS), ("2001:db8:1:2::1", "2001:db8:1:2:3::4")

    bucket.assert_allowed(sum(use_up(proxy, {"x-forwarded-for": each}) for each in neighbours))
    assert write(proxy, {"x-forwarded-for": "2001:db8:1:3::1"}) == 401


def test_an_address_that_no_trusted_proxy_names_does_not_count(edge: Edge) -> None:
    transport = httpx.HTTPTransport(local_address="127.0.0.8")
    with httpx.Client(base_url=edge.url, transport=transport) as stranger:
        bucket = Bucket(PER_ADDRESS)
        bucket.assert_allowed(sum(write(stranger, an_address()) != 429 for _ in range(2 * PER_ADDRESS)))
    assert edge.received() == 0


def test_many_addresses_at_once_are_all_served(edge: Edge, proxy: httpx.Client) -> None:
    """More than the table has buckets: whose bucket is gone begins with a full one."""
    assert {write(proxy, an_address()) for _ in range(3 * TABLE)} == {401}

    address, bucket = an_address(), Bucket(PER_ADDRESS)
    taken = use_up(proxy, address)
    for _ in range(TABLE // 2):
        write(proxy, an_address())
    bucket.assert_allowed(taken + use_up(proxy, address))


def test_a_user_has_so_many_writes_from_all_addresses_and_with_all_tokens(edge: Edge, proxy: httpx.Client) -> None:
    name, bucket = f"user-{uuid4().hex}", Bucket(PER_USER)
    statuses = Counter(write(proxy, an_address(), a_user(edge, 600 + each, name)) for each in range(2 * PER_USER))

    bucket.assert_allowed(2 * PER_USER - statuses[429])
    assert_limited(refusal(proxy, an_address(), a_user(edge, name=name)), 1, 5)
    assert write(proxy, an_address(), a_user(edge, name=name), method="GET") == 200
    assert write(proxy, an_address(), a_user(edge)) != 429


def test_a_refused_write_of_a_user_reaches_no_service(edge: Edge, proxy: httpx.Client) -> None:
    user = a_user(edge)

    taken = use_up(proxy, an_address(), user, method="DELETE", path=f"/api/gigs/{GIG}")

    assert edge.received() == taken


def test_the_limit_of_a_user_comes_after_the_token_and_before_the_body(edge: Edge, proxy: httpx.Client) -> None:
    user, plain = a_user(edge), {"content-type": "text/plain"}
    broken = {"authorization": user["authorization"][:-8] + "aaaaaaaa"}

    assert_limited(refusal(proxy, an_address(), user, plain, content=b"x"), 1, 5)
    assert proxy.post("/api/gigs", headers=an_address() | broken | plain, content=b"x").status_code == 401
    assert write(proxy, an_address(), user, path="/api/nothing") == 404


def test_a_forged_token_takes_nothing_from_the_user_whom_it_names(edge: Edge, proxy: httpx.Client) -> None:
    name = f"user-{uuid4().hex}"
    claims = jwt.decode(edge.token(name=name), options={"verify_signature": False})
    assert claims["sub"] == str(user_id(name))
    forged = {"authorization": "Bearer " + jwt.encode(claims, "x" * 32, "HS256")}

    assert {write(proxy, an_address(), forged) for _ in range(3 * PER_USER)} == {401}
    assert 429 not in [write(proxy, an_address(), a_user(edge, name=name)) for _ in range(PER_USER)]


@pytest.mark.parametrize("framing", [{"content-length": "5"}, {"transfer-encoding": "chunked"}])
def test_a_write_whose_body_is_not_taken_counts_once(edge: Edge, framing: dict[str, str]) -> None:
    """The edge sends it through its inner listener a second time."""
    token = a_user(edge)["authorization"]
    lines = [f"{name}: {value}" for name, value in framing.items()]
    requests = [
        get(
            f"/api/gigs/{GIG}",
            f"X-Forwarded-For: {next(_addresses)}",
            f"Authorization: {token}",
            *lines,
            method="DELETE",
        )
        for _ in range(PER_USER)
    ]

    assert [edge.raw(each).status_code for each in requests] == [204] * PER_USER
    assert "x-edge-counted" not in edge.gig.last().metadata


def test_the_payment_providers_webhooks_are_not_limited(edge: Edge, proxy: httpx.Client) -> None:
    address, bucket = an_address(), Bucket(PER_ADDRESS)

    statuses = {write(proxy, address, path="/api/webhooks/stripe?a=1") for _ in range(2 * PER_ADDRESS)}

    assert 429 not in statuses
    bucket.assert_allowed(use_up(proxy, address))


def test_over_grpc_web_reads_are_not_limited_and_writes_are(edge: Edge, proxy: httpx.Client) -> None:
    address, service, bucket = an_address(), "/marketplace.gig.v1.GigService", Bucket(PER_ADDRESS)

    reads = {write(proxy, address, path=f"{service}/SearchGigs") for _ in range(2 * PER_ADDRESS)}

    assert 429 not in reads
    bucket.assert_allowed(use_up(proxy, address, path=f"{service}/CreateGig"))


def test_a_services_own_limit_keeps_its_time_to_wait(edge: Edge, proxy: httpx.Client) -> None:
    edge.gig.responses["DeleteGig"] = fails(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        headers=[("x-error-status", "429"), ("x-error-body", REFUSAL), ("retry-after", "77")],
    )

    response = proxy.delete(f"/api/gigs/{GIG}", headers=an_address() | a_user(edge))

    assert_limited(response, 77, 77)


def test_the_metrics_count_refusals(edge: Edge, proxy: httpx.Client) -> None:
    def refused(limit: str) -> int:
        text = httpx.get(f"{edge.admin}/stats/prometheus").text
        name = f'envoy_http_local_rate_limit_enforced{{envoy_local_http_ratelimit_prefix="{limit}"}}'
        return sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    before = [refused(limit) for limit in ("writes_per_address", "writes_per_user")]
    use_up(proxy, an_address())
    use_up(proxy, an_address(), a_user(edge))

    assert [refused("writes_per_address"), refused("writes_per_user")] == [each + 1 for each in before]


def test_by_default_there_are_6000_writes_a_minute_and_0_is_no_limit(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("edge")
    by_default = render(settings_for_tests(folder))
    off = render(settings_for_tests(folder, edge_writes_per_minute_per_address=0, edge_writes_per_minute_per_user=0))

    assert by_default.count("max_tokens: 6000,") == 2
    assert "local_ratelimit" not in off
