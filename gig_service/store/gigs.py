"""Gigs: reading one, locking one for a change, and changing it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from gig_service.domain.gig import (
    Extra,
    Gig,
    GigDescription,
    GigDetails,
    GigPage,
    GigView,
    Package,
    PackageDetails,
    PageState,
    Seller,
    Status,
)
from gig_service.domain.image import Image
from gig_service.domain.rating import RatingTotals
from gig_service.store.documents import Documents
from gig_service.store.models import GigRow
from gig_service.store.packages import Packages
from gig_service.store.search_index import SearchIndex
from servicekit.clock import Clock
from servicekit.database import Database, Row, Statement
from servicekit.errors import NotFound
from servicekit.ids import new_id
from servicekit.money import to_decimal

GET = Statement("""
    SELECT id, seller_id, status, version,
        array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids,
        array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids
    FROM gigs WHERE id = $1 AND deleted_at IS NULL
""")
DESCRIPTION = Statement("""
    SELECT g.id, g.seller_id, g.status, s.username, g.title FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id
    WHERE g.id = $1 AND g.deleted_at IS NULL
""")
# Locking and reading are two statements: one statement that waits for a lock reads the gig as it was before the wait.
LOCK = Statement("SELECT id FROM gigs WHERE id = $1 FOR UPDATE")
# `price` is text, since JSON has binary fractions only. Those of extras are the nearest ones, as in a request.
PAGE = Statement("""
    SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating,
        g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version,
        s.buyer_count, s.buyer_rating_sum,
        (
            SELECT coalesce(json_agg(json_build_object(
                'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text,
                'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions, 'extras', p.extras
            ) ORDER BY p.position), '[]') FROM packages AS p WHERE p.gig_id = g.id
        ) AS packages,
        (
            SELECT coalesce(json_agg(json_build_object(
                'id', i.id, 'key', i.key, 'thumbnail_key', i.thumbnail_key, 'is_primary', i.is_primary
            ) ORDER BY i.position), '[]') FROM images AS i WHERE i.gig_id = g.id
        ) AS images
    FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id
    WHERE g.id = $1 AND g.deleted_at IS NULL
""")

# The columns of GigView. JSON, since psycopg2 parses arrays of texts more slowly.
VIEW = Statement("""
    SELECT g.id::text, g.title, g.description, g.category_id::text, to_json(g.tags)::text, g.status, g.version,
        g.rating_version, g.rating::float8, g.review_count, floor(extract(epoch FROM g.created_at))::bigint,
        floor(extract(epoch FROM g.updated_at))::bigint, g.seller_id::text, s.username, s.version, s.buyer_count,
        s.buyer_rating_sum,
        (
            SELECT json_agg(json_build_array(
                p.id, p.title, p.description, p.price::float8, p.delivery_days, p.features, p.revisions, p.extras
            ) ORDER BY p.position)::text FROM packages AS p WHERE p.gig_id = g.id
        ),
        (
            SELECT json_agg(json_build_array(i.id, i.key, i.thumbnail_key, i.is_primary) ORDER BY i.position)::text
            FROM images AS i WHERE i.gig_id = g.id
        ),
        g.xmin, s.xmin
    FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id
    WHERE g.id = $1::uuid AND g.deleted_at IS NULL
""")

# The columns of PageState. Packages and images change together with the row of their gig.
STATE = Statement("""
    SELECT g.xmin, s.xmin FROM gigs AS g JOIN sellers AS s ON s.id = g.seller_id
    WHERE g.id = $1::uuid AND g.deleted_at IS NULL
""")

_JSON_COLUMNS = [GigView._fields.index(name) for name in ("tags", "packages", "images")]


class Gigs:
    """The gigs. Every change needs a transaction that has locked the gig."""

    def __init__(self, database: Database, packages: Packages, index: SearchIndex, documents: Documents) -> None:
        self._database = database
        self._packages = packages
        self._index = index
        self._documents = documents
        self._clock = Clock(database)

    def get(self, gig_id: UUID) -> Gig:
        """Return the part of a gig that the rules need. Raises NotFound("Gig"), for a deleted gig too."""
        row = self._database.fetch_one(GET, gig_id)
        if row is None:
            raise NotFound("Gig")
        return _to_gig(row)

    def describe(self, gig_id: UUID) -> GigDescription:
        """Return what other services may know of a gig. Raises as `get` does."""
        row = self._database.fetch_one(DESCRIPTION, gig_id)
        if row is None:
            raise NotFound("Gig")
        return GigDescription(row["id"], row["seller_id"], Status(row["status"]), row["username"], row["title"])

    def lock(self, gig_id: UUID) -> Gig:
        """Do as `get`, and lock the gig with its packages and images until the end of the transaction."""
        self._database.fetch_one(LOCK, gig_id)
        return self.get(gig_id)

    def page(self, gig_id: UUID) -> GigPage:
        """Return everything on a gig's page, in one round trip. Raises as `get` does."""
        row = self._database.fetch_one(PAGE, gig_id)
        if row is None:
            raise NotFound("Gig")
        return _to_page(row)

    def view(self, gig_id: str) -> GigView:
        """Return a gig's page as it is sent, in one round trip. `gig_id` is a UUID. Raises as `get` does."""
        row = self._database.fetch_tuple(VIEW, gig_id)
        if row is None:
            raise NotFound("Gig")
        values = list(row)
        for position in _JSON_COLUMNS:
            values[position] = orjson.loads(values[position] or "[]")
        return GigView._make(values)

    def state(self, gig_id: str) -> PageState | None:
        """Return the current state of a gig's page; None without such a gig. `gig_id` is a UUID."""
        row = self._database.fetch_tuple(STATE, gig_id)
        return None if row is None else PageState._make(row)

    def create(self, seller_id: UUID, details: GigDetails, packages: Sequence[PackageDetails]) -> UUID:
        """Store a new gig, ACTIVE, with its packages in this order, and return its id. The seller must be stored."""
        gig_id = new_id()
        now = self._clock.now()
        GigRow.insert(
            id=gig_id,
            seller_id=seller_id,
            status=Status.ACTIVE,
            version=1,
            rating_version=0,
            review_count=0,
            rating_sum=0,
            rating=0,
            created_at=now,
            updated_at=now,
            **self._columns(details),
        ).execute(self._database.peewee)
        self._packages.insert(gig_id, packages)
        self._index.refresh(gig_id)
        self._documents.count_words(details)
        return gig_id

    def replace_details(self, gig_id: UUID, details: GigDetails) -> None:
        """Replace the title, the description, the category and the tags."""
        words = self._documents.words_of(gig_id)
        self.touch(gig_id, **self._columns(details))
        self._documents.count_words(details, words)

    def set_status(self, gig_id: UUID, status: Status) -> None:
        """Store another status."""
        self.touch(gig_id, status=status)

    def delete(self, gig_id: UUID) -> None:
        """Mark the gig as deleted. Its row stays, for the seller's badges and for later reviews."""
        words = self._documents.words_of(gig_id)
        self.touch(gig_id, deleted_at=self._clock.now())
        self._documents.count_words(None, words)

    def touch(self, gig_id: UUID, **columns: object) -> None:
        """Raise the gig's version and set these columns. Every change of its packages or images calls this too."""
        GigRow.update(version=GigRow.version + 1, updated_at=self._clock.now(), **columns).where(
            GigRow.id == gig_id
        ).execute(self._database.peewee)
        self._index.refresh(gig_id)

    def _columns(self, details: GigDetails) -> dict[str, Any]:
        return {
            "title": details.title,
            "description": details.description,
            "category_id": details.category_id,
            "tags": list(details.tags),
            **self._documents.columns(details),
        }


def _to_gig(row: Row) -> Gig:
    return Gig(
        id=row["id"],
        seller_id=row["seller_id"],
        status=Status(row["status"]),
        version=row["version"],
        package_ids=tuple(row["package_ids"]),
        image_ids=tuple(row["image_ids"]),
    )


def _to_page(row: Row) -> GigPage:
    packages = tuple(_to_package(package) for package in row["packages"])
    images = tuple(_to_image(image) for image in row["images"])
    seller_totals = RatingTotals(row["buyer_count"], row["buyer_rating_sum"])
    return GigPage(
        gig=Gig(
            id=row["id"],
            seller_id=row["seller_id"],
            status=Status(row["status"]),
            version=row["version"],
            package_ids=tuple(package.id for package in packages),
            image_ids=tuple(image.id for image in images),
        ),
        details=GigDetails(row["title"], row["description"], row["category_id"], tuple(row["tags"])),
        seller=Seller(row["seller_id"], row["username"], seller_totals, row["seller_version"]),
        rating=row["rating"],
        review_count=row["review_count"],
        rating_version=row["rating_version"],
        packages=packages,
        images=images,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _to_package(row: Row) -> Package:
    details = PackageDetails(
        title=row["title"],
        description=row["description"],
        price=Decimal(row["price"]),
        delivery_days=row["delivery_days"],
        features=tuple(row["features"]),
        revisions=row["revisions"],
        extras=tuple(_to_extra(extra) for extra in row["extras"]),
    )
    return Package(UUID(row["id"]), details)


def _to_extra(row: Row) -> Extra:
    return Extra(**{**row, "id": UUID(row["id"]), "price": to_decimal(float(row["price"]))})


def _to_image(row: Row) -> Image:
    return Image(UUID(row["id"]), row["key"], row["thumbnail_key"], row["is_primary"])
