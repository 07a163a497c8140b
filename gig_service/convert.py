"""Gigs between proto and domain. `media_url` is what the addresses of pictures begin with; it ends without a slash."""

from collections.abc import Iterable
from uuid import UUID

from gig_service.domain.gig import Gig, GigPage, Offer, Package, Seller, Status, Terms, Texts
from gig_service.domain.image import Image
from gig_service.domain.search import Category, Filters, Found, Total
from marketplace.gig.v1 import gig_pb2
from servicekit.money import to_decimal
from servicekit.times import to_timestamp

TextsRequest = gig_pb2.CreateGigRequest | gig_pb2.UpdateGigRequest
TermsRequest = gig_pb2.PackageInput | gig_pb2.AddPackageRequest | gig_pb2.UpdatePackageRequest


def from_texts(request: TextsRequest) -> Texts:
    """What a seller says of a gig."""
    return Texts(request.title, request.description, UUID(request.category_id), tuple(request.tags))


def from_terms(request: TermsRequest) -> Terms:
    """What a seller says of a package."""
    return Terms(
        title=request.title,
        description=request.description,
        price=to_decimal(request.price),
        delivery_days=request.delivery_days,
        features=tuple(request.features),
        revisions=request.revisions,
    )


def from_status(number: "gig_pb2.Gig.Status.ValueType") -> Status | None:
    """A status in a request; None when it is not given."""
    return Status(gig_pb2.Gig.Status.Name(number)) if number else None


def to_status(status: Status) -> "gig_pb2.Gig.Status.ValueType":
    """A status on its way out."""
    return gig_pb2.Gig.Status.Value(status)


def from_filters(request: gig_pb2.SearchGigsRequest, status: Status, category: Category | None) -> Filters:
    """What a search asks for, with the status and the category that it means."""
    return Filters(
        status=status,
        category=category,
        min_price=to_decimal(request.min_price) if request.HasField("min_price") else None,
        max_price=to_decimal(request.max_price) if request.HasField("max_price") else None,
        max_delivery_days=request.max_delivery_days if request.HasField("max_delivery_days") else None,
        tags=tuple(request.tags),
        min_rating=request.min_rating if request.HasField("min_rating") else None,
        seller_id=from_seller_id(request),
    )


def from_seller_id(request: gig_pb2.SearchGigsRequest) -> UUID | None:
    """The seller whose gigs are asked for."""
    return UUID(request.seller_id) if request.seller_id else None


def to_created(page: GigPage) -> gig_pb2.CreateGigResponse:
    """What the making of a gig answers."""
    return gig_pb2.CreateGigResponse(
        id=str(page.gig.id),
        title=page.texts.title,
        seller_id=str(page.seller.id),
        status=to_status(page.gig.status),
        created_at=to_timestamp(page.created_at),
    )


def to_gig(page: GigPage, media_url: str) -> gig_pb2.Gig:
    """The whole page."""
    return gig_pb2.Gig(
        id=str(page.gig.id),
        title=page.texts.title,
        description=page.texts.description,
        category_id=str(page.texts.category_id),
        tags=page.texts.tags,
        status=to_status(page.gig.status),
        rating=float(page.rating),
        review_count=page.review_count,
        seller=to_seller(page.seller),
        packages=to_packages(page.packages),
        images=to_images(page.images, media_url),
        created_at=to_timestamp(page.created_at),
        updated_at=to_timestamp(page.updated_at),
    )


def to_seller(seller: Seller) -> gig_pb2.Seller:
    """The seller as others see them."""
    return gig_pb2.Seller(id=str(seller.id), username=seller.username, badges=seller.badges)


def to_packages(packages: Iterable[Package]) -> list[gig_pb2.Package]:
    """The packages, in this order."""
    return [to_package(package.id, package.terms) for package in packages]


def to_package(package_id: UUID, terms: Terms) -> gig_pb2.Package:
    """One package."""
    return gig_pb2.Package(
        id=str(package_id),
        title=terms.title,
        description=terms.description,
        price=float(terms.price),
        delivery_days=terms.delivery_days,
        features=terms.features,
        revisions=terms.revisions,
    )


def to_images(images: Iterable[Image], media_url: str) -> list[gig_pb2.Image]:
    """The images, in this order."""
    return [to_image(image, media_url) for image in images]


def to_image(image: Image, media_url: str) -> gig_pb2.Image:
    """One image."""
    return gig_pb2.Image(
        id=str(image.id),
        url=_to_url(image.key, media_url),
        thumbnail_url=_to_url(image.thumbnail_key, media_url),
        is_primary=image.is_primary,
    )


def _to_url(key: str, media_url: str) -> str:
    return f"{media_url}/{key}"


def to_results(found: Iterable[Found], total: Total, media_url: str) -> gig_pb2.SearchGigsResponse:
    """A page of results; the next page's token is not in it yet."""
    return gig_pb2.SearchGigsResponse(
        results=[
            gig_pb2.GigSummary(
                id=str(gig.id),
                title=gig.title,
                starting_price=float(gig.starting_price),
                rating=float(gig.rating),
                review_count=gig.review_count,
                seller=to_seller(gig.seller),
                thumbnail=_to_url(gig.thumbnail_key, media_url) if gig.thumbnail_key else "",
            )
            for gig in found
        ],
        total=total.count,
        total_is_estimate=total.is_estimate,
    )


def to_category(category: Category) -> gig_pb2.Category:
    """One node of the tree."""
    parent_id = str(category.parent_id) if category.parent_id else None
    return gig_pb2.Category(id=str(category.id), slug=category.slug, name=category.name, parent_id=parent_id)


def to_offer(offer: Offer) -> gig_pb2.GetPackageTermsResponse:
    """All that an order copies."""
    return gig_pb2.GetPackageTermsResponse(
        package_id=str(offer.package_id),
        package_title=offer.package_title,
        gig_id=str(offer.gig_id),
        gig_title=offer.gig_title,
        seller_id=str(offer.seller_id),
        price=float(offer.price),
        delivery_days=offer.delivery_days,
        revisions=offer.revisions,
    )


def to_description(gig: Gig) -> gig_pb2.DescribeGigResponse:
    """What other services may know."""
    return gig_pb2.DescribeGigResponse(gig_id=str(gig.id), seller_id=str(gig.seller_id), status=to_status(gig.status))
