"""What a request and its answer look like on the other side of the edge."""

from __future__ import annotations

import httpx

from marketplace.gig.v1 import gig_pb2
from tests.support.edge import Edge
from tests.support.upstream import tells

GIG = "0190a000-0000-7000-8000-000000000001"


def test_a_get_reaches_the_service_and_comes_back_as_json(edge: Edge, api: httpx.Client) -> None:
    edge.gig.answers["GetGig"] = tells(gig_pb2.GetGigResponse(gig=gig_pb2.Gig(id=GIG, title="A gig")), ("etag", '"1"'))

    answer = api.get(f"/api/gigs/{GIG}")

    assert answer.status_code == 200, answer.text
    assert answer.json()["title"] == "A gig"
    assert answer.headers["etag"] == '"1"'
    assert edge.gig.last().request.gig_id == GIG
