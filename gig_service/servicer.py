"""GigService's RPCs. What surrounds each of them is in servicekit.pipeline."""

from uuid import UUID

from gig_service import convert, tokens
from gig_service.domain.gig import (
    Gig,
    check_editable,
    check_not_last,
    check_room,
    check_visible,
    is_owner,
    next_status,
)
from gig_service.domain.rating import Standing, Tally
from gig_service.domain.search import Filters, Total, sort_order, wanted_status
from gig_service.domain.words import query
from gig_service.store import Store
from marketplace.gig.v1 import gig_pb2
from servicekit import paging
from servicekit.call import Call


class GigServicer:
    """Answers the RPCs of `marketplace.gig.v1.GigService`. `media_url` is what the addresses of pictures begin with."""

    def __init__(self, store: Store, media_url: str) -> None:
        self._store = store
        self._media_url = media_url

    def CreateGig(self, request: gig_pb2.CreateGigRequest, call: Call) -> gig_pb2.CreateGigResponse:
        texts = convert.from_texts(request)
        self._store.categories.require(texts.category_id)
        with self._store.transaction():
            self._store.sellers.remember(call.user_id, call.caller.username)
            packages = [convert.from_terms(package) for package in request.packages]
            page = self._store.gigs.page(self._store.gigs.create(call.user_id, texts, packages))
        call.set_etag(page.etag)
        return convert.to_created(page)

    def GetGig(self, request: gig_pb2.GetGigRequest, call: Call) -> gig_pb2.GetGigResponse:
        page = self._store.gigs.page(UUID(request.gig_id))
        check_visible(page.gig, call.caller)
        call.set_etag(page.etag)
        return gig_pb2.GetGigResponse(gig=convert.to_gig(page, self._media_url))

    def UpdateGig(self, request: gig_pb2.UpdateGigRequest, call: Call) -> gig_pb2.UpdateGigResponse:
        texts = convert.from_texts(request)
        self._store.categories.require(texts.category_id)
        with self._store.transaction():
            gig = self._to_edit(request.gig_id, call)
            self._store.gigs.replace_texts(gig.id, texts)
            page = self._store.gigs.page(gig.id)
        call.set_etag(page.etag)
        return gig_pb2.UpdateGigResponse(gig=convert.to_gig(page, self._media_url))

    def DeleteGig(self, request: gig_pb2.DeleteGigRequest, call: Call) -> gig_pb2.DeleteGigResponse:
        with self._store.transaction():
            gig = self._to_edit(request.gig_id, call)
            self._store.images.delete_all(gig.id)
            self._store.gigs.delete(gig.id)
        return gig_pb2.DeleteGigResponse()

    def SearchGigs(self, request: gig_pb2.SearchGigsRequest, call: Call) -> gig_pb2.SearchGigsResponse:
        filters = self._filters(request, call)
        words = self._store.vocabulary.words(request.q)
        sort = sort_order(request.sort, has_words=bool(words))
        place = tokens.decode(request, sort)
        corrections = self._store.vocabulary.corrections(words) if place.corrections is None else place.corrections
        wanted = query(words, corrections)
        if wanted is None:
            return convert.to_results([], Total(0, is_estimate=False), self._media_url)
        size = paging.page_size(request.page_size)
        hits = self._store.search.page(filters, wanted, sort, after=place.key, limit=size + 1)
        is_whole = place.key is None and len(hits) <= size
        total = Total(len(hits), is_estimate=False) if is_whole else self._store.search.total(filters, wanted)
        response = convert.to_results([hit.found for hit in hits[:size]], total, self._media_url)
        if len(hits) > size:
            response.next_page_token = tokens.encode(request, hits[size - 1].key, corrections)
        return response

    def SetGigStatus(self, request: gig_pb2.SetGigStatusRequest, call: Call) -> gig_pb2.SetGigStatusResponse:
        with self._store.transaction():
            gig = self._store.gigs.lock(UUID(request.gig_id))
            status = next_status(gig, call.caller, call.if_match, convert.from_status(request.status))
            if is_owner(gig, call.caller):
                self._store.sellers.remember(call.user_id, call.caller.username)
            if status is not gig.status:
                self._store.gigs.set_status(gig.id, status)
            page = self._store.gigs.page(gig.id)
        call.set_etag(page.etag)
        return gig_pb2.SetGigStatusResponse(id=str(page.gig.id), status=convert.to_status(page.gig.status))

    def ListPackages(self, request: gig_pb2.ListPackagesRequest, call: Call) -> gig_pb2.ListPackagesResponse:
        page = self._store.gigs.page(UUID(request.gig_id))
        check_visible(page.gig, call.caller)
        call.set_etag(page.etag)
        return gig_pb2.ListPackagesResponse(packages=convert.to_packages(page.packages))

    def AddPackage(self, request: gig_pb2.AddPackageRequest, call: Call) -> gig_pb2.AddPackageResponse:
        terms = convert.from_terms(request)
        with self._store.transaction():
            gig = self._to_edit(request.gig_id, call)
            check_room(gig)
            (package_id,) = self._store.packages.insert(gig.id, [terms])
            etag = self._packages_changed(gig)
        call.set_etag(etag)
        return gig_pb2.AddPackageResponse(id=str(package_id), gig_id=str(gig.id), title=terms.title)

    def UpdatePackage(self, request: gig_pb2.UpdatePackageRequest, call: Call) -> gig_pb2.UpdatePackageResponse:
        package_id, terms = UUID(request.package_id), convert.from_terms(request)
        with self._store.transaction():
            gig = self._to_edit(request.gig_id, call, package_id=package_id)
            self._store.packages.replace(package_id, terms)
            etag = self._packages_changed(gig)
        call.set_etag(etag)
        return gig_pb2.UpdatePackageResponse(package=convert.to_package(package_id, terms))

    def DeletePackage(self, request: gig_pb2.DeletePackageRequest, call: Call) -> gig_pb2.DeletePackageResponse:
        package_id = UUID(request.package_id)
        with self._store.transaction():
            gig = self._to_edit(request.gig_id, call, package_id=package_id)
            check_not_last(gig)
            self._store.packages.remove(package_id)
            etag = self._packages_changed(gig)
        call.set_etag(etag)
        return gig_pb2.DeletePackageResponse()

    def UpdateImage(self, request: gig_pb2.UpdateImageRequest, call: Call) -> gig_pb2.UpdateImageResponse:
        image_id = UUID(request.image_id)
        with self._store.transaction():
            gig = self._to_edit(request.gig_id, call, image_id=image_id)
            image = self._store.images.make_primary(gig.id, image_id)
            etag = self._store.gigs.page(gig.id).etag
        call.set_etag(etag)
        return gig_pb2.UpdateImageResponse(image=convert.to_image(image, self._media_url))

    def DeleteImage(self, request: gig_pb2.DeleteImageRequest, call: Call) -> gig_pb2.DeleteImageResponse:
        image_id = UUID(request.image_id)
        with self._store.transaction():
            gig = self._to_edit(request.gig_id, call, image_id=image_id)
            self._store.images.delete(gig.id, image_id)
            etag = self._store.gigs.page(gig.id).etag
        call.set_etag(etag)
        return gig_pb2.DeleteImageResponse()

    def ListCategories(self, request: gig_pb2.ListCategoriesRequest, call: Call) -> gig_pb2.ListCategoriesResponse:
        categories = self._store.categories.all()
        return gig_pb2.ListCategoriesResponse(categories=[convert.to_category(category) for category in categories])

    def GetPackageTerms(self, request: gig_pb2.GetPackageTermsRequest, call: Call) -> gig_pb2.GetPackageTermsResponse:
        return convert.to_offer(self._store.packages.offer(UUID(request.package_id)))

    def DescribeGig(self, request: gig_pb2.DescribeGigRequest, call: Call) -> gig_pb2.DescribeGigResponse:
        return convert.to_description(self._store.gigs.head(UUID(request.gig_id)))

    def ApplyRating(self, request: gig_pb2.ApplyRatingRequest, call: Call) -> gig_pb2.ApplyRatingResponse:
        told = Standing(request.version, Tally(request.review_count, request.rating_sum))
        self._store.ratings.apply(UUID(request.gig_id), told)
        return gig_pb2.ApplyRatingResponse()

    def _to_edit(self, gig_id: str, call: Call, *, package_id: UUID | None = None, image_id: UUID | None = None) -> Gig:
        """Locks the caller's own gig, which they have seen as it is, and notes their name."""
        gig = self._store.gigs.lock(UUID(gig_id))
        check_editable(gig, call.caller, call.if_match, package_id, image_id)
        self._store.sellers.remember(call.user_id, call.caller.username)
        return gig

    def _packages_changed(self, gig: Gig) -> str:
        """The gig's new tag."""
        self._store.gigs.touch(gig.id)
        return self._store.gigs.page(gig.id).etag

    def _filters(self, request: gig_pb2.SearchGigsRequest, call: Call) -> Filters:
        category = self._store.categories.find(request.category) if request.category else None
        status = wanted_status(convert.from_status(request.status), convert.from_seller_id(request), call.caller)
        return convert.from_filters(request, status, category)
