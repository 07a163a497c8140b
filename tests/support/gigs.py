"""Builders of gigs; each field that a test does not name has a realistic value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gig_service.domain.gig import Gig, Status
from gig_service.domain.image import Image, after_adding
from gig_service.ready_pages import ReadyPages
from gig_service.servicer import GigServicer
from gig_service.store.store import Store
from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from servicekit.idempotency import IdempotencyKeys
from servicekit.ids import new_id
from servicekit.methods import Method
from servicekit.storage.storage import new_key
from tests.support.identity import service_token, token, user_id
from tests.support.rpc import Answer, Rpc

WEB_DEV = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
SERVICE = gig_pb2.DESCRIPTOR.services_by_name["GigService"]
OWNER = user_id("webdev_pro")
MEDIA_URL = "https://market.example.com/media"
READY_BYTES = 1024 * 1024


def a_domain_gig(**changes: Any) -> Gig:
    """Return the rules' view of the owner's ACTIVE gig with two packages."""
    fields = {"id": new_id(), "seller_id": OWNER, "status": Status.ACTIVE, "version": 3}
    return Gig(**{**fields, "package_ids": (new_id(), new_id()), **changes})


def an_image() -> Image:
    """Return an image with new keys; neither its row nor its files are stored."""
    return Image(new_id(), new_key("jpg"), new_key("webp"), is_primary=False)


def a_package(**changes: Any) -> gig_pb2.PackageInput:
    """Return the seed's package of a basic website."""
    fields: dict[str, Any] = {
        "title": "Basic Website",
        "description": "5-page site",
        "price": 500,
        "delivery_days": 14,
        "features": ["Responsive Design", "Contact Form"],
    }
    return gig_pb2.PackageInput(**{**fields, **changes})


def prices(*amounts: float, delivery_days: int = 14) -> list[gig_pb2.PackageInput]:
    """Return packages with these prices."""
    return [a_package(price=amount, delivery_days=delivery_days) for amount in amounts]


def a_gig(**changes: Any) -> gig_pb2.CreateGigRequest:
    """Return the request for the seed's gig."""
    fields: dict[str, Any] = {
        "title": "Professional Website Development",
        "description": "I'll build you a responsive website",
        "category_id": WEB_DEV,
        "tags": ["frontend", "web"],
        "packages": [a_package()],
    }
    return gig_pb2.CreateGigRequest(**{**fields, **changes})


def an_update(gig_id: str, **changes: Any) -> gig_pb2.UpdateGigRequest:
    """Return a request for other details of a gig."""
    fields: dict[str, Any] = {"title": "Fast websites", "description": "In a week", "category_id": WEB_DEV}
    return gig_pb2.UpdateGigRequest(**{"gig_id": gig_id, **fields, **changes})


def refused_field(answer: Answer) -> str:
    """Return the first field that an INVALID_ARGUMENT names."""
    assert answer.error == "INVALID_ARGUMENT"
    return str(answer.body["details"][0]["field"])


class Gigs:
    """GigService without a network, and short calls to it. Callers have names; their tokens are made here."""

    def __init__(self, database: Database) -> None:
        self.store = Store(database)
        self.servicer = GigServicer(self.store, MEDIA_URL, ReadyPages(READY_BYTES))
        self.rpc = Rpc(self.servicer, SERVICE, IdempotencyKeys(database, timedelta(hours=48)))
        self._versions: dict[str, int] = {}
        self._reviews = 0

    def call(self, request: Any, name: str | None = "webdev_pro", *roles: str, **metadata: Any) -> Answer:
        """Call the RPC that takes this request: as a seller by default, anonymously without a name."""
        method = type(request).__name__.removesuffix("Request")
        return self.rpc.call(method, request, name and token(name, *(roles or ("seller",))), **metadata)

    def create(self, name: str = "webdev_pro", **changes: Any) -> str:
        """Create a gig and return its id."""
        answer = self.call(a_gig(**changes), name)
        assert not answer.error, answer.message
        return str(answer.response.id)

    def add_images(self, gig_id: str, count: int = 1, *, first_is_primary: bool = False) -> list[Image]:
        """Add images to a gig as an upload does, but without files."""
        with self.store.transaction():
            gig = self.store.gigs.lock(UUID(gig_id))
            before = self.store.images.of_gig(gig.id)
            added = [an_image() for _ in range(count)]
            after = after_adding(before, added, first_is_primary=first_is_primary)
            self.store.images.save(gig.id, before, after)
            return after[len(before) :]

    def get(self, gig_id: str, name: str | None = None, *roles: str) -> Answer:
        """Call GetGig; anonymously by default."""
        return self.call(gig_pb2.GetGigRequest(gig_id=gig_id), name, *roles)

    def page(self, gig_id: str) -> gig_pb2.Gig:
        """Return a gig's page, as its owner sees it."""
        answer = self.get(gig_id, "webdev_pro")
        assert not answer.error, answer.message
        return answer.response.gig  # type: ignore[no-any-return]

    def etag(self, gig_id: str, name: str = "webdev_pro") -> str:
        """Return a gig's current `ETag`."""
        etag: str = self.get(gig_id, name).headers["etag"]
        return etag

    def set_status(self, gig_id: str, status: str | None, name: str = "webdev_pro", *roles: str, **sent: str) -> Answer:
        """Call SetGigStatus; None toggles."""
        request = gig_pb2.SetGigStatusRequest(gig_id=gig_id)
        if status is not None:
            request.status = gig_pb2.Gig.Status.Value(status)
        return self.call(request, name, *roles, **sent)

    def internal(self, request: Any) -> Answer:
        """Call an RPC as a service that may."""
        rpc = type(request).__name__.removesuffix("Request")
        caller, *_ = Method.of(gig_pb2.DESCRIPTOR.services_by_name["GigService"].methods_by_name[rpc]).services
        return self.rpc.call(rpc, request, service_token(caller))

    def rate(self, gig_id: str, *stars: int) -> None:
        """Call ApplyRating: all reviews of the gig together gave these stars."""
        version = self._versions[gig_id] = self._versions.get(gig_id, 0) + 1
        request = gig_pb2.ApplyRatingRequest(
            gig_id=gig_id, version=version, review_count=len(stars), rating_sum=sum(stars)
        )
        answer = self.internal(request)
        assert not answer.error, answer.message

    def review(self, gig_id: str, buyer: str, stars: int, **changes: Any) -> None:
        """Call ApplyReview: the buyer has reviewed the gig; each review is newer than those before."""
        self._reviews += 1
        request = gig_pb2.ApplyReviewRequest(
            gig_id=gig_id, buyer_id=str(user_id(buyer)), review_id=str(new_id()), rating=stars
        )
        request.created_at.FromDatetime(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._reviews))
        for name, value in changes.items():
            setattr(request, name, value)
        answer = self.internal(request)
        assert not answer.error, answer.message

    def search(self, name: str | None = None, **filters: Any) -> Answer:
        """Call SearchGigs; anonymously by default."""
        return self.call(gig_pb2.SearchGigsRequest(**filters), name)

    def found(self, name: str | None = None, **filters: Any) -> list[str]:
        """Return the ids of the gigs on the first page."""
        answer = self.search(name, **filters)
        assert not answer.error, answer.message
        return [result.id for result in answer.response.results]

    def every_page(self, **filters: Any) -> list[str]:
        """Return the ids of the gigs on all pages."""
        ids: list[str] = []
        token = ""
        while True:
            response = self.search(page_token=token, **filters).response
            ids += [result.id for result in response.results]
            token = response.next_page_token
            if not token:
                return ids
