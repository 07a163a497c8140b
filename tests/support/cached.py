"""The edge's cache as tests see it: who an answer was made for, and the cache's counters."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import grpc
import httpx
from google.protobuf.message import Message

from marketplace.gig.v1 import gig_pb2
from marketplace.review.v1 import review_pb2
from tests.support.edge import Edge
from tests.support.upstream import Handler

_COUNTER = re.compile(r'^envoy_edge_cache_requests\{result="(\w+)"\} (\d+)$', re.MULTILINE)
NOBODY = "nobody"
_serials = itertools.count(1)


def counters(edge: Edge) -> dict[str, int]:
    """Return how many requests the cache has answered (`hit`), and passed on (`miss`, `refresh`)."""
    text = httpx.get(f"{edge.admin}/stats/prometheus").text
    counted = {"hit": 0, "miss": 0, "refresh": 0}
    return counted | {result: int(count) for result, count in _COUNTER.findall(text)}


def caller_of(context: grpc.ServicerContext) -> str:
    """Return the `sub` of the token that came with a call, or `NOBODY`."""
    token = dict(context.invocation_metadata() or ()).get("authorization", "")
    if not token:
        return NOBODY
    payload = str(token).split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])


def told(edge: Edge, *headers: tuple[str, str], padding: int = 0) -> None:
    """Let each public read answer what was asked, who asked, and a number that no other answer has."""

    def text(asked: str, context: grpc.ServicerContext) -> str:
        context.set_trailing_metadata(headers)
        return f"{asked} {caller_of(context)} {next(_serials)}" + "." * padding

    def handler(make: Callable[[str], Message], asked: Callable[[Any], str]) -> Handler:
        return lambda request, context: make(text(asked(request), context))

    gig, review = edge.gig.responses, edge.review.responses
    gig["GetGig"] = handler(lambda text: gig_pb2.GetGigResponse(gig=gig_pb2.Gig(title=text)), lambda asked: asked.gig_id)
    gig["SearchGigs"] = handler(
        lambda text: gig_pb2.SearchGigsResponse(next_page_token=text), lambda asked: f"{asked.q}/{asked.page_size or 20}"
    )
    gig["ListCategories"] = handler(
        lambda text: gig_pb2.ListCategoriesResponse(categories=[gig_pb2.Category(name=text)]), lambda asked: "all"
    )
    gig["ListPackages"] = handler(
        lambda text: gig_pb2.ListPackagesResponse(packages=[gig_pb2.Package(title=text)]), lambda asked: asked.gig_id
    )
    review["ListReviews"] = handler(
        lambda text: review_pb2.ListReviewsResponse(next_page_token=text), lambda asked: asked.gig_id
    )
