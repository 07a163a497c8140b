"""Gigs between proto and domain. `media_url` is the prefix of images' URLs; it ends without a slash."""

from collections.abc import Iterable
from datetime import UTC
from typing import Any
from uuid import UUID

from gig_service.domain.gig import (
    Extra,
    GigDescription,
    GigDetails,
    GigPage,
    GigView,
    Package,
    PackageDetails,
    PackageTerms,
    Seller,
    Status,
)
from gig_service.domain.image import Image
from gig_service.domain.rating import BuyerReview, GigRating, RatingTotals, StoredRating
from gig_service.domain.search import Category, Filters, SearchResult, Total
from marketplace.gig.v1 import gig_pb2
from servicekit.money import to_decimal
from servicekit.times import to_timestamp

GigDetailsRequest = gig_pb2.CreateGigRequest | gig_pb2.UpdateGigRequest
# The fields of a package in GigView.
_PACKAGE = ("id", "title", "description", "price", "delivery_days", "features", "revisions", "extras")
PackageDetailsRequest = gig_pb2.PackageInput | gig_pb2.AddPackageRequest | gig_pb2.UpdatePackageRequest


def from_gig_details(request: GigDetailsRequest) -> GigDetails:
    """Return the details of a gig in a request."""
    return GigDetails(request.title, request.description, UUID(request.category_id), tuple(request.tags))


def from_package_details(request: PackageDetailsRequest) -> PackageDetails:
    """Return the details of a package in a request."""
    return PackageDetails(
        title=request.title,
        description=request.description,
        price=to_decimal(request.price),
        delivery_days=request.delivery_days,
        features=tuple(request.features),
        revisions=request.revisions,
        extras=tuple(from_extra(extra) for extra in request.extras),
    )


def from_extra(extra: gig_pb2.ExtraInput) -> Extra:
    """Return an extra of a package in a request."""
    return Extra(
        id=UUID(extra.id) if extra.id else None,
        title=extra.title,
        price=to_decimal(extra.price),
        extra_days=extra.extra_days,
        extra_revisions=extra.extra_revisions,
    )


def from_status(number: "gig_pb2.Gig.Status.ValueType") -> Status | None:
    """Return the status in a request; None when it is not set."""
    return Status(gig_pb2.Gig.Status.Name(number)) if number else None


def to_status(status: Status) -> "gig_pb2.Gig.Status.ValueType":
    """Return a status for a response."""
    return gig_pb2.Gig.Status.Value(status)


def from_filters(request: gig_pb2.SearchGigsRequest, status: Status, category: Category | None) -> Filters:
    """Return the filters of a search, with the status and the category that were looked up for it."""
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
    """Return the seller to whose gigs a search is limited."""
    return UUID(request.seller_id) if request.seller_id else None


def from_rating(request: gig_pb2.ApplyRatingRequest) -> GigRating:
    """Return the rating that ReviewService sends."""
    return GigRating(request.version, RatingTotals(request.review_count, request.rating_sum))


def from_review(request: gig_pb2.ApplyReviewRequest) -> BuyerReview:
    """Return the review that ReviewService sends."""
    return BuyerReview(
        id=UUID(request.review_id),
        buyer_id=UUID(request.buyer_id),
        created_at=request.created_at.ToDatetime(UTC),
        stars=request.rating,
    )


def to_created(page: GigPage) -> gig_pb2.CreateGigResponse:
    """Return the response of CreateGig."""
    return gig_pb2.CreateGigResponse(
        id=str(page.gig.id),
        title=page.details.title,
        seller_id=str(page.seller.id),
        status=to_status(page.gig.status),
        created_at=to_timestamp(page.created_at),
    )


def to_gig(page: GigPage, media_url: str) -> gig_pb2.Gig:
    """Return the whole page of a gig."""
    return gig_pb2.Gig(
        id=str(page.gig.id),
        title=page.details.title,
        description=page.details.description,
        category_id=str(page.details.category_id),
        tags=page.details.tags,
        status=to_status(page.gig.status),
        rating=float(page.rating),
        review_count=page.review_count,
        seller=to_seller(page.seller),
        packages=to_packages(page.packages),
        images=to_images(page.images, media_url),
        created_at=to_timestamp(page.created_at),
        updated_at=to_timestamp(page.updated_at),
    )


def to_page(view: GigView, media_url: str) -> gig_pb2.GetGigResponse:
    """Return the whole page of a gig, as `to_gig` does."""
    # Any: the constructor takes messages as dictionaries, in half of the time, and its types do not say so.
    gig: Any = {
        "id": view.id,
        "title": view.title,
        "description": view.description,
        "category_id": view.category_id,
        "tags": view.tags,
        "status": view.status,
        "rating": view.rating,
        "review_count": view.review_count,
        "seller": {"id": view.seller_id, "username": view.username, "badges": view.badges},
        "packages": [dict(zip(_PACKAGE, package, strict=True)) for package in view.packages],
        "images": [
            {
                "id": image_id,
                "url": _to_url(key, media_url),
                "thumbnail_url": _to_url(thumbnail_key, media_url),
                "is_primary": is_primary,
            }
            for image_id, key, thumbnail_key, is_primary in view.images
        ],
        "created_at": {"seconds": view.created_at},
        "updated_at": {"seconds": view.updated_at},
    }
    return gig_pb2.GetGigResponse(gig=gig)


def to_seller(seller: Seller) -> gig_pb2.Seller:
    """Return the public part of a seller."""
    return gig_pb2.Seller(id=str(seller.id), username=seller.username, badges=seller.badges)


def to_packages(packages: Iterable[Package]) -> list[gig_pb2.Package]:
    """Return the packages, in this order."""
    return [to_package(package) for package in packages]


def to_package(package: Package) -> gig_pb2.Package:
    """Return one package."""
    details = package.details
    return gig_pb2.Package(
        id=str(package.id),
        title=details.title,
        description=details.description,
        price=float(details.price),
        delivery_days=details.delivery_days,
        features=details.features,
        revisions=details.revisions,
        extras=map(to_extra, details.extras),
    )


def to_extra(extra: Extra) -> gig_pb2.Extra:
    """Return one extra of a package."""
    return gig_pb2.Extra(
        id=str(extra.id),
        title=extra.title,
        price=float(extra.price),
        extra_days=extra.extra_days,
        extra_revisions=extra.extra_revisions,
    )


def to_images(images: Iterable[Image], media_url: str) -> list[gig_pb2.Image]:
    """Return the images, in this order."""
    return [to_image(image, media_url) for image in images]


def to_image(image: Image, media_url: str) -> gig_pb2.Image:
    """Return one image."""
    return gig_pb2.Image(
        id=str(image.id),
        url=_to_url(image.key, media_url),
        thumbnail_url=_to_url(image.thumbnail_key, media_url),
        is_primary=image.is_primary,
    )


def _to_url(key: str, media_url: str) -> str:
    return f"{media_url}/{key}"


def to_results(results: Iterable[SearchResult], total: Total, media_url: str) -> gig_pb2.SearchGigsResponse:
    """Return a page of results, still without the token of the next page."""
    # Any: see `to_page`.
    summaries: Any = [
        {
            "id": result.id,
            "title": result.title,
            "starting_price": result.starting_price,
            "rating": result.rating,
            "review_count": result.review_count,
            "seller": {"id": result.seller_id, "username": result.username, "badges": result.badges},
            "thumbnail": _to_url(result.thumbnail_key, media_url) if result.thumbnail_key else "",
        }
        for result in results
    ]
    return gig_pb2.SearchGigsResponse(results=summaries, total=total.count, total_is_estimate=total.is_estimate)


def to_category(category: Category) -> gig_pb2.Category:
    """Return one node of the tree of categories."""
    parent_id = str(category.parent_id) if category.parent_id else None
    return gig_pb2.Category(id=str(category.id), slug=category.slug, name=category.name, parent_id=parent_id)


def to_package_terms(terms: PackageTerms) -> gig_pb2.GetPackageTermsResponse:
    """Return all that an order copies."""
    return gig_pb2.GetPackageTermsResponse(**terms._asdict())


def to_description(gig: GigDescription) -> gig_pb2.DescribeGigResponse:
    """Convert what other services may know of a gig."""
    return gig_pb2.DescribeGigResponse(
        gig_id=str(gig.id),
        seller_id=str(gig.seller_id),
        status=to_status(gig.status),
        seller_username=gig.username,
        title=gig.title,
    )


def to_ratings(ratings: Iterable[StoredRating], reached: UUID | None) -> gig_pb2.ListRatingsResponse:
    """Return the ratings of a part of a range of gigs; `reached` is the last gig of the part, unless the range ends."""
    response = gig_pb2.ListRatingsResponse(
        ratings=[
            gig_pb2.ListRatingsResponse.Rating(
                gig_id=str(each.gig_id),
                version=each.rating.version,
                review_count=each.rating.totals.count,
                rating_sum=each.rating.totals.total,
                is_shown=each.is_shown,
            )
            for each in ratings
        ]
    )
    if reached is not None:
        response.reached_gig_id = str(reached)
    return response
