"""GigService's RPCs: proto in, proto out. A write calls one command, a read the store.

The pipeline in servicekit.pipeline checks access and requests around each of them.
"""

from uuid import UUID

from gig_service import convert, page_tokens
from gig_service.commands.add_package import AddPackage
from gig_service.commands.apply_rating import ApplyRating
from gig_service.commands.apply_review import ApplyReview
from gig_service.commands.create_gig import CreateGig
from gig_service.commands.delete_gig import DeleteGig
from gig_service.commands.delete_image import DeleteImage
from gig_service.commands.delete_package import DeletePackage
from gig_service.commands.set_gig_status import SetGigStatus
from gig_service.commands.update_gig import UpdateGig
from gig_service.commands.update_image import UpdateImage
from gig_service.commands.update_package import UpdatePackage
from gig_service.domain.gig import check_visible
from gig_service.domain.search import Filters, Total, choose_sort, choose_status
from gig_service.domain.words import build_query
from gig_service.ready_pages import ReadyPage, ReadyPages
from gig_service.store.store import Store
from marketplace.gig.v1 import gig_pb2
from servicekit import paging
from servicekit.call import Call


class GigServicer:
    """The RPCs of `marketplace.gig.v1.GigService`. `media_url` is the prefix of images' URLs."""

    def __init__(self, store: Store, media_url: str, ready_pages: ReadyPages) -> None:
        self._store = store
        self._ready_pages = ready_pages
        self._media_url = media_url
        self._create_gig = CreateGig(store)
        self._update_gig = UpdateGig(store)
        self._delete_gig = DeleteGig(store)
        self._set_gig_status = SetGigStatus(store)
        self._add_package = AddPackage(store)
        self._update_package = UpdatePackage(store)
        self._delete_package = DeletePackage(store)
        self._update_image = UpdateImage(store)
        self._delete_image = DeleteImage(store)
        self._apply_rating = ApplyRating(store)
        self._apply_review = ApplyReview(store)

    def CreateGig(self, request: gig_pb2.CreateGigRequest, call: Call) -> gig_pb2.CreateGigResponse:
        packages = [convert.from_package_details(package) for package in request.packages]
        page = self._create_gig.execute(convert.from_gig_details(request), packages, call.caller)
        call.set_etag(page.etag)
        return convert.to_created(page)

    def GetGig(self, request: gig_pb2.GetGigRequest, call: Call) -> bytes:
        ready = self._ready_pages.find(request.gig_id)
        if ready is not None and self._store.gigs.state(request.gig_id) == ready.state:
            call.set_etag(ready.etag)
            return ready.response
        view = self._store.gigs.view(request.gig_id)
        view.check_visible(call.caller)
        call.set_etag(view.etag)
        response = convert.to_page(view, self._media_url).SerializeToString()
        if view.is_public:
            self._ready_pages.keep(request.gig_id, ReadyPage(view.state, view.etag, response))
        return response

    def UpdateGig(self, request: gig_pb2.UpdateGigRequest, call: Call) -> gig_pb2.UpdateGigResponse:
        details = convert.from_gig_details(request)
        page = self._update_gig.execute(UUID(request.gig_id), details, call.caller, call.if_match)
        call.set_etag(page.etag)
        return gig_pb2.UpdateGigResponse(gig=convert.to_gig(page, self._media_url))

    def DeleteGig(self, request: gig_pb2.DeleteGigRequest, call: Call) -> gig_pb2.DeleteGigResponse:
        self._delete_gig.execute(UUID(request.gig_id), call.caller, call.if_match)
        return gig_pb2.DeleteGigResponse()

    def SearchGigs(self, request: gig_pb2.SearchGigsRequest, call: Call) -> gig_pb2.SearchGigsResponse:
        filters = self._filters(request, call)
        words = self._store.vocabulary.words(request.q)
        sort = choose_sort(request.sort, has_words=bool(words))
        start = page_tokens.decode(request, sort)
        corrections = self._store.vocabulary.corrections(words) if start.corrections is None else start.corrections
        query = build_query(words, corrections)
        if query is None:
            return convert.to_results([], Total(0, is_estimate=False), self._media_url)
        size = paging.page_size(request.page_size)
        page = self._store.search.page(
            filters, query, sort, after=start.sort_key, limit=size + 1, boundary=start.boundary
        )
        response = convert.to_results([hit.result for hit in page.hits[:size]], page.total, self._media_url)
        if len(page.hits) > size:
            last = page.hits[size - 1].sort_key
            response.next_page_token = page_tokens.encode(request, sort, last, corrections, page.boundary)
        return response

    def SetGigStatus(self, request: gig_pb2.SetGigStatusRequest, call: Call) -> gig_pb2.SetGigStatusResponse:
        status = convert.from_status(request.status)
        page = self._set_gig_status.execute(UUID(request.gig_id), status, call.caller, call.if_match)
        call.set_etag(page.etag)
        return gig_pb2.SetGigStatusResponse(id=str(page.gig.id), status=convert.to_status(page.gig.status))

    def ListPackages(self, request: gig_pb2.ListPackagesRequest, call: Call) -> gig_pb2.ListPackagesResponse:
        page = self._store.gigs.page(UUID(request.gig_id))
        check_visible(page.gig, call.caller)
        call.set_etag(page.etag)
        return gig_pb2.ListPackagesResponse(packages=convert.to_packages(page.packages))

    def AddPackage(self, request: gig_pb2.AddPackageRequest, call: Call) -> gig_pb2.AddPackageResponse:
        details = convert.from_package_details(request)
        page = self._add_package.execute(UUID(request.gig_id), details, call.caller, call.if_match)
        call.set_etag(page.etag)
        added = page.packages[-1]
        return gig_pb2.AddPackageResponse(id=str(added.id), gig_id=str(page.gig.id), title=added.details.title)

    def UpdatePackage(self, request: gig_pb2.UpdatePackageRequest, call: Call) -> gig_pb2.UpdatePackageResponse:
        package_id, details = UUID(request.package_id), convert.from_package_details(request)
        page = self._update_package.execute(UUID(request.gig_id), package_id, details, call.caller, call.if_match)
        call.set_etag(page.etag)
        return gig_pb2.UpdatePackageResponse(package=convert.to_package(page.package(package_id)))

    def DeletePackage(self, request: gig_pb2.DeletePackageRequest, call: Call) -> gig_pb2.DeletePackageResponse:
        page = self._delete_package.execute(UUID(request.gig_id), UUID(request.package_id), call.caller, call.if_match)
        call.set_etag(page.etag)
        return gig_pb2.DeletePackageResponse()

    def UpdateImage(self, request: gig_pb2.UpdateImageRequest, call: Call) -> gig_pb2.UpdateImageResponse:
        image_id = UUID(request.image_id)
        page = self._update_image.execute(UUID(request.gig_id), image_id, call.caller, call.if_match)
        call.set_etag(page.etag)
        return gig_pb2.UpdateImageResponse(image=convert.to_image(page.image(image_id), self._media_url))

    def DeleteImage(self, request: gig_pb2.DeleteImageRequest, call: Call) -> gig_pb2.DeleteImageResponse:
        page = self._delete_image.execute(UUID(request.gig_id), UUID(request.image_id), call.caller, call.if_match)
        call.set_etag(page.etag)
        return gig_pb2.DeleteImageResponse()

    def ListCategories(self, request: gig_pb2.ListCategoriesRequest, call: Call) -> gig_pb2.ListCategoriesResponse:
        categories = self._store.categories.all()
        return gig_pb2.ListCategoriesResponse(categories=[convert.to_category(category) for category in categories])

    def GetPackageTerms(self, request: gig_pb2.GetPackageTermsRequest, call: Call) -> gig_pb2.GetPackageTermsResponse:
        return convert.to_package_terms(self._store.packages.terms(request.package_id))

    def DescribeGig(self, request: gig_pb2.DescribeGigRequest, call: Call) -> gig_pb2.DescribeGigResponse:
        return convert.to_description(self._store.gigs.describe(UUID(request.gig_id)))

    def ApplyRating(self, request: gig_pb2.ApplyRatingRequest, call: Call) -> gig_pb2.ApplyRatingResponse:
        self._apply_rating.execute(UUID(request.gig_id), convert.from_rating(request))
        return gig_pb2.ApplyRatingResponse()

    def ApplyReview(self, request: gig_pb2.ApplyReviewRequest, call: Call) -> gig_pb2.ApplyReviewResponse:
        self._apply_review.execute(UUID(request.gig_id), convert.from_review(request))
        return gig_pb2.ApplyReviewResponse()

    def ListRatings(self, request: gig_pb2.ListRatingsRequest, call: Call) -> gig_pb2.ListRatingsResponse:
        page = self._store.ratings.page(UUID(request.after_gig_id), UUID(request.until_gig_id))
        return convert.to_ratings(*page)

    def FindMissingReviews(
        self, request: gig_pb2.FindMissingReviewsRequest, call: Call
    ) -> gig_pb2.FindMissingReviewsResponse:
        reviews = [(UUID(review.gig_id), convert.from_review(review)) for review in request.reviews]
        missing = self._store.ratings.missing_reviews(reviews)
        return gig_pb2.FindMissingReviewsResponse(review_ids=map(str, missing))

    def _filters(self, request: gig_pb2.SearchGigsRequest, call: Call) -> Filters:
        category = self._store.categories.find(request.category) if request.category else None
        status = choose_status(convert.from_status(request.status), convert.from_seller_id(request), call.caller)
        return convert.from_filters(request, status, category)
