"""A client of the marketplace's gRPC services: finds a gig, orders it, and shows what errors look like.

    python docs/examples/python_client.py GIG_ADDRESSES ORDER_ADDRESSES TOKEN

The addresses are those of all workers of a service, `host:port,host:port`. It needs grpcio, protobuf, protovalidate and
googleapis-common-protos, and the stubs in `generated/` on the path.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.rpc import error_details_pb2, status_pb2

from marketplace.gig.v1 import gig_pb2, gig_pb2_grpc
from marketplace.order.v1 import order_pb2, order_pb2_grpc

R = TypeVar("R")

SECONDS = 5.0
RETRIES = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
# Calls that are sent again after UNAVAILABLE: reads, and writes that always have an idempotency key. Any other write
# may have been done although its answer was lost.
REPEATED = [
    {"service": "marketplace.gig.v1.GigService", "method": "SearchGigs"},
    {"service": "marketplace.gig.v1.GigService", "method": "GetGig"},
    {"service": "marketplace.order.v1.OrderService", "method": "PlaceOrder"},
    {"service": "marketplace.order.v1.OrderService", "method": "ListOrders"},
]
SERVICE_CONFIG = {
    # Every worker gets its share; the health check takes one out that is going down.
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": [{"name": REPEATED, "retryPolicy": RETRIES}],
}


class MarketplaceError(Exception):
    """An error of the catalogue: its code, as in the JSON errors, and the fields that were wrong."""

    def __init__(self, code: str, message: str, fields: dict[str, str]) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.fields = code, message, fields

    @classmethod
    def of(cls, error: grpc.RpcError) -> MarketplaceError:
        """Return the error of a failed call, from `google.rpc.ErrorInfo` and `google.rpc.BadRequest`."""
        code, fields = error.code().name, {}
        trailers: dict[str, Any] = {each.key: each.value for each in error.trailing_metadata() or ()}
        status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
        for detail in status.details:
            info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info) and info.domain == "marketplace":
                code = info.reason
            elif detail.Unpack(bad_request):
                fields = {each.field: each.description for each in bad_request.field_violations}
        return cls(code, error.details() or "", fields)


class Marketplace:
    """The services, called as one person."""

    def __init__(self, gig_addresses: str, order_addresses: str, token: str, certificates: str = "") -> None:
        self._certificates = certificates
        self.gigs = gig_pb2_grpc.GigServiceStub(self._channel(gig_addresses, "gig"))
        self.orders = order_pb2_grpc.OrderServiceStub(self._channel(order_addresses, "order"))
        self._token = token

    def call(self, rpc: Callable[..., R], request: Any, *, idempotency_key: str = "") -> R:
        """Call a stub's method. Raises MarketplaceError."""
        metadata = [("authorization", f"Bearer {self._token}"), ("x-request-id", str(uuid.uuid4()))]
        if idempotency_key:
            metadata.append(("idempotency-key", idempotency_key))
        try:
            # A deadline in every call: the services pass on what is left of it.
            return rpc(request, timeout=SECONDS, metadata=metadata)
        except grpc.RpcError as error:
            raise MarketplaceError.of(error) from error

    def _channel(self, addresses: str, service: str) -> grpc.Channel:
        options = [("grpc.service_config", json.dumps(SERVICE_CONFIG))]
        if not self._certificates:
            return grpc.insecure_channel(f"ipv4:{addresses}", options=options)
        files = (Path(self._certificates, name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt"))
        # A server is known by its identity, whatever its address is.
        options.append(("grpc.ssl_target_name_override", f"{service}.marketplace.internal"))
        return grpc.secure_channel(f"ipv4:{addresses}", grpc.ssl_channel_credentials(*files), options=options)


def main(gig_addresses: str, order_addresses: str, token: str, certificates: str = "") -> None:
    """Find a gig, order it twice with one idempotency key, and read an error."""
    market = Marketplace(gig_addresses, order_addresses, token, certificates)

    found = market.call(market.gigs.SearchGigs, gig_pb2.SearchGigsRequest(category="web-dev", page_size=1))
    gig = market.call(market.gigs.GetGig, gig_pb2.GetGigRequest(gig_id=found.results[0].id)).gig
    print(f"{gig.title}, by {gig.seller.username}: {len(gig.packages)} packages")

    request = order_pb2.PlaceOrderRequest(
        package_id=gig.packages[0].id, requirements="Dark theme", payment_method="sandbox"
    )
    key = str(uuid.uuid4())
    order = market.call(market.orders.PlaceOrder, request, idempotency_key=key)
    again = market.call(market.orders.PlaceOrder, request, idempotency_key=key)
    print(f"ordered: {order.order_id}, {order.price:g}; again with the same key: {again.order_id == order.order_id}")

    try:
        market.call(market.orders.PlaceOrder, order_pb2.PlaceOrderRequest(package_id="none"))
    except MarketplaceError as error:
        print(f"refused: {error.code} {error.fields}")


if __name__ == "__main__":
    main(*sys.argv[1:])
