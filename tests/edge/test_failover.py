"""What the edge does with calls that a service refuses for lack of a primary: it repeats them, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit.errors import Unavailable
from servicekit.status import REPEATABLE_KEY, status_from_error
from tests.support.edge import Edge, an_edge, assert_refused


@pytest.fixture(scope="module")
def patient() -> Iterator[Edge]:
    with an_edge(edge_failover_seconds=2) as edge:
        yield edge


@pytest.fixture(autouse=True)
def _reset(patient: Edge) -> None:
    patient.reset()


def refuse(times: int, *, repeatable: bool) -> Any:
    """Return a handler that refuses so many calls and then creates a gig."""
    left = [times]

    def serve(_: Any, context: grpc.ServicerContext) -> gig_pb2.CreateGigResponse:
        if left[0] > 0:
            left[0] -= 1
            error = Unavailable()
            error.primary_away = True
            status = status_from_error(error, may_repeat=repeatable)
            assert any(name == REPEATABLE_KEY for name, _ in status.metadata) == repeatable
            context.set_trailing_metadata(status.metadata)
            context.abort(status.code, status.message)
        return gig_pb2.CreateGigResponse()

    return serve


def create(edge: Edge) -> httpx.Response:
    with edge.client() as client:
        return client.post("/api/gigs", json={"title": "A gig"}, headers=edge.bearer("seller"))


def test_a_write_that_may_be_repeated_waits_for_the_new_primary(patient: Edge) -> None:
    patient.gig.responses["CreateGig"] = refuse(2, repeatable=True)

    response = create(patient)

    assert response.status_code == 201, response.text
    assert [each.request.title for each in patient.gig.received] == ["A gig"] * 3


def test_a_write_that_may_have_been_executed_is_not_sent_again(patient: Edge) -> None:
    patient.gig.responses["CreateGig"] = refuse(1, repeatable=False)

    assert_refused(create(patient), 503, "UNAVAILABLE")

    assert len(patient.gig.received) == 1


def test_a_write_is_refused_in_the_end_when_no_primary_comes(patient: Edge) -> None:
    patient.gig.responses["CreateGig"] = refuse(1000, repeatable=True)

    assert_refused(create(patient), 503, "UNAVAILABLE")

    assert len(patient.gig.received) == 5


def test_the_wait_for_a_primary_contains_the_response() -> None:
    with an_edge(edge_failover_seconds=27) as edge:
        bootstrap = edge.bootstrap()

    assert edge.settings.edge_request_timeout_seconds < 27
    assert "timeout: 29.0s, max_stream_duration" in bootstrap


def test_without_the_setting_nothing_waits(edge: Edge) -> None:
    edge.reset()
    edge.gig.responses["CreateGig"] = refuse(1, repeatable=True)

    assert_refused(create(edge), 503, "UNAVAILABLE")

    assert len(edge.gig.received) == 1
