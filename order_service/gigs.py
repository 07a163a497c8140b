"""What OrderService asks of GigService."""

from uuid import UUID

from marketplace.gig.v1 import gig_pb2
from marketplace.gig.v1.gig_pb2_grpc import GigServiceStub
from order_service.domain.order import PackageTerms
from servicekit.clients import Client, channel
from servicekit.identity import ServiceTokens
from servicekit.money import to_decimal


class Gigs:
    """GigService, as far as orders need it."""

    def __init__(self, addresses: str, tokens: ServiceTokens) -> None:
        self._client = Client(tokens)
        self._stub = GigServiceStub(channel(addresses))

    def offer(self, package_id: UUID) -> PackageTerms:
        """The package at its terms of this moment. Raises NotFound unless its gig is ACTIVE."""
        found = self._client.call(
            self._stub.GetPackageTerms, gig_pb2.GetPackageTermsRequest(package_id=str(package_id))
        )
        return PackageTerms(
            package_id=UUID(found.package_id),
            package_title=found.package_title,
            gig_id=UUID(found.gig_id),
            gig_title=found.gig_title,
            seller_id=UUID(found.seller_id),
            price=to_decimal(found.price),
            delivery_days=found.delivery_days,
            revisions=found.revisions,
        )
