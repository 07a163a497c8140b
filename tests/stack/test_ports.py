"""Ports follow from PORT and from nothing else."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.ports import MAX_WORKERS, SERVICES, Ports

EDGE_PORTS = st.integers(1, 65535)
MOST_WORKERS = dict.fromkeys(SERVICES, MAX_WORKERS)


def test_the_default_stack_has_its_first_workers_on_ports_10000_and_10001() -> None:
    ports = Ports(8080)

    assert [ports.rpc("gig", 0), ports.rpc("gig", 1)] == [10000, 10001]
    assert (ports.rpc("order", 0), ports.rpc("review", 0)) == (10008, 10016)
    assert (ports.metrics("gig", 0), ports.envoy_admin) == (10024, 10048)
    assert (ports.streaming("gig"), ports.streaming_metrics("gig")) == (10007, 10031)


@given(EDGE_PORTS)
def test_no_two_parts_of_a_stack_share_a_port(edge: int) -> None:
    ports = Ports(edge)
    each = [
        port(service, worker)
        for port in (ports.rpc, ports.metrics)
        for service in SERVICES
        for worker in range(MAX_WORKERS)
    ]
    each += [port(service) for port in (ports.streaming, ports.streaming_metrics) for service in SERVICES]

    shared = [port for port, times in Counter([*each, ports.envoy_admin]).items() if times > 1]

    assert shared == []
    assert set(each) <= set(ports.block)


@given(EDGE_PORTS, EDGE_PORTS)
def test_two_stacks_share_ports_only_when_their_edge_ports_are_397_apart(one: int, other: int) -> None:
    shared = set(Ports(one).block) & set(Ports(other).block)

    assert bool(shared) == ((one - other) % 397 == 0)


@given(EDGE_PORTS)
def test_the_ports_inside_stay_out_of_the_range_for_outgoing_connections(edge: int) -> None:
    block = Ports(edge).block

    assert block.start >= 10000
    assert block.stop <= 32768


def test_an_edge_port_inside_its_own_block_is_known_to_collide() -> None:
    assert Ports(10066).collides_with_itself
    assert not Ports(8080).collides_with_itself


def test_every_port_that_is_used_is_named_once() -> None:
    used = Ports(8080).used(MOST_WORKERS)

    assert len(used) == 6 + 2 * MAX_WORKERS * len(SERVICES)
    assert used[8080] == "edge"
    assert used[10025] == "gig-1 metrics"


def test_a_service_with_few_workers_has_ports_for_spare_processes() -> None:
    spares = Ports(8080).spares({"gig": 5, "order": 6, "review": 1})

    assert spares == {"gig-spare": 10005, "review-spare": 10021, "gig-images-spare": 10006}
    assert Ports(8080).used({"gig": 5, "order": 6, "review": 1})[10029] == "gig-spare metrics"


def test_there_is_no_eighth_worker() -> None:
    with pytest.raises(ValueError, match="at most 7 workers"):
        Ports(8080).rpc("gig", 7)


@pytest.mark.parametrize("edge", [8080, 9090, 443, 12345])
def test_the_admin_page_is_found_from_each_port_of_the_block(edge: int) -> None:
    ports = Ports(edge)

    assert {Ports.admin_beside(port) for port in ports.block} == {ports.envoy_admin}
