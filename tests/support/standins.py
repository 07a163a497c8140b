"""Stand-ins for the services that a service under test calls: real gRPC, real tokens, responses set by the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import grpc
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gig_service.servicer import GigServicer
from marketplace.gig.v1 import gig_pb2, gig_pb2_grpc
from marketplace.order.v1 import order_pb2, order_pb2_grpc
from servicekit.call import Call
from servicekit.errors import NotFound
from servicekit.identity import ServiceTokens
from servicekit.pipeline import Pipeline
from servicekit.server import ByteResponses
from tests.support.identity import signing_key, verifier


def service_tokens(service: str) -> ServiceTokens:
    """Return the tokens with which a service under test calls others."""
    pem = signing_key("service").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return ServiceTokens(pem.decode(), service)


class _StandIn:
    def __getattr__(self, name: str) -> Any:
        def unexpected(request: Any, call: Call) -> Any:
            raise AssertionError(f"{name} was not to be called")

        if name.startswith("_"):
            raise AttributeError(name)
        return unexpected


@dataclass
class GigStandIn(_StandIn):
    """A GigService with these package terms and gigs, which keeps the ratings and reviews that it gets."""

    offers: dict[str, gig_pb2.GetPackageTermsResponse] = field(default_factory=dict)
    gigs: dict[str, gig_pb2.DescribeGigResponse] = field(default_factory=dict)
    ratings: list[gig_pb2.ApplyRatingRequest] = field(default_factory=list)
    reviews: list[gig_pb2.ApplyReviewRequest] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def GetPackageTerms(self, request: gig_pb2.GetPackageTermsRequest, call: Call) -> gig_pb2.GetPackageTermsResponse:
        self.asked.append(request.package_id)
        if request.package_id not in self.offers:
            raise NotFound("Package")
        return self.offers[request.package_id]

    def DescribeGig(self, request: gig_pb2.DescribeGigRequest, call: Call) -> gig_pb2.DescribeGigResponse:
        self.asked.append(request.gig_id)
        if request.gig_id not in self.gigs:
            raise NotFound("Gig")
        return self.gigs[request.gig_id]

    def ApplyRating(self, request: gig_pb2.ApplyRatingRequest, call: Call) -> gig_pb2.ApplyRatingResponse:
        self.ratings.append(request)
        return gig_pb2.ApplyRatingResponse()

    def ApplyReview(self, request: gig_pb2.ApplyReviewRequest, call: Call) -> gig_pb2.ApplyReviewResponse:
        self.reviews.append(request)
        return gig_pb2.ApplyReviewResponse()

    def knows(
        self,
        gig_id: UUID,
        seller_id: UUID,
        status: gig_pb2.Gig.Status.ValueType = gig_pb2.Gig.ACTIVE,
        seller_username: str = "",
    ) -> None:
        """Add a gig."""
        self.gigs[str(gig_id)] = gig_pb2.DescribeGigResponse(
            gig_id=str(gig_id),
            seller_id=str(seller_id),
            status=status,
            seller_username=seller_username,
            title="Professional Website Development",
        )


@dataclass
class OrderStandIn(_StandIn):
    """An OrderService with these orders. `on_describe` is called before each response."""

    orders: dict[str, order_pb2.DescribeOrderResponse] = field(default_factory=dict)
    on_describe: Callable[[], None] = lambda: None

    def DescribeOrder(self, request: order_pb2.DescribeOrderRequest, call: Call) -> order_pb2.DescribeOrderResponse:
        self.on_describe()
        if request.order_id not in self.orders:
            raise NotFound("Order")
        return self.orders[request.order_id]


@contextmanager
def serving(stand_in: GigStandIn | OrderStandIn | GigServicer, address: str = "127.0.0.1:0") -> Iterator[str]:
    """Serve a stand-in, or the real GigService, and yield its address. After the block, calls to it are UNAVAILABLE."""
    pipeline = Pipeline(verifier())
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    if isinstance(stand_in, GigStandIn | GigServicer):
        service = gig_pb2.DESCRIPTOR.services_by_name["GigService"]
        # Any: generated code wants a whole server.
        adding: Any = ByteResponses(server)
        gig_pb2_grpc.add_GigServiceServicer_to_server(pipeline.around(stand_in, service), adding)
    else:
        service = order_pb2.DESCRIPTOR.services_by_name["OrderService"]
        order_pb2_grpc.add_OrderServiceServicer_to_server(pipeline.around(stand_in, service), server)
    host = address.rpartition(":")[0]
    port = server.add_insecure_port(address)
    server.start()
    try:
        yield f"{host}:{port}"
    finally:
        server.stop(None).wait()
