"""The client of GigService."""

from uuid import UUID

from marketplace.gig.v1 import gig_pb2
from marketplace.gig.v1.gig_pb2_grpc import GigServiceStub
from order_service.domain.conversation import DescribedGig, Person
from order_service.domain.offer import OfferedGig
from order_service.domain.placing import Extra, PackageTerms
from servicekit.clients import Client, Stub
from servicekit.identity import ServiceTokens
from servicekit.internal_tls import InternalTls
from servicekit.money import to_decimal


class Gigs:
    """The RPCs of GigService that orders, conversations and offers need."""

    def __init__(self, addresses: str, tokens: ServiceTokens, tls: InternalTls | None = None) -> None:
        self._client = Client(tokens)
        self._stub = Stub(GigServiceStub, addresses, "gig", tls)

    def package_terms(self, package_id: UUID) -> PackageTerms:
        """Return the terms of a package at this moment. Raises NotFound unless its gig is ACTIVE."""
        request = gig_pb2.GetPackageTermsRequest(package_id=str(package_id))
        response = self._client.call(self._stub().GetPackageTerms, request)
        return PackageTerms(
            package_id=UUID(response.package_id),
            package_title=response.package_title,
            gig_id=UUID(response.gig_id),
            gig_title=response.gig_title,
            seller_id=UUID(response.seller_id),
            price=to_decimal(response.price),
            delivery_days=response.delivery_days,
            revisions=response.revisions,
            extras=tuple(_to_extra(extra) for extra in response.extras),
        )

    def describe(self, gig_id: UUID) -> DescribedGig:
        """Return a gig, whatever its status, with its owner. Raises NotFound("Gig"), also for a deleted one."""
        response = self._client.call(self._stub().DescribeGig, gig_pb2.DescribeGigRequest(gig_id=str(gig_id)))
        return DescribedGig(
            id=UUID(response.gig_id),
            owner=Person(UUID(response.seller_id), response.seller_username),
            is_active=response.status == gig_pb2.Gig.ACTIVE,
        )

    def offered_gig(self, gig_id: UUID) -> OfferedGig:
        """Return the gig of an offer. Raises NotFound("Gig") for a deleted one."""
        response = self._client.call(self._stub().DescribeGig, gig_pb2.DescribeGigRequest(gig_id=str(gig_id)))
        return OfferedGig(UUID(response.seller_id), response.title, response.status == gig_pb2.Gig.SUSPENDED)


def _to_extra(extra: gig_pb2.Extra) -> Extra:
    return Extra(UUID(extra.id), extra.title, to_decimal(extra.price), extra.extra_days, extra.extra_revisions)
