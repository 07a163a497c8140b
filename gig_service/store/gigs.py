"""Gigs: reading one, locking one for a change, and the changes themselves."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from gig_service.domain.gig import Gig, GigPage, Package, Seller, Status, Terms, Texts
from gig_service.domain.image import Image
from gig_service.domain.rating import Tally
from gig_service.store.index import Index
from gig_service.store.models import GigRow
from gig_service.store.packages import Packages
from servicekit.clock import Clock
from servicekit.database import Database, Row, Statement
from servicekit.errors import NotFound
from servicekit.ids import new_id

_HEAD = """
    SELECT id, seller_id, status, version,
        array(SELECT p.id FROM packages AS p WHERE p.gig_id = gigs.id ORDER BY p.position) AS package_ids,
        array(SELECT i.id FROM images AS i WHERE i.gig_id = gigs.id ORDER BY i.position) AS image_ids
    FROM gigs WHERE id = $1 AND deleted_at IS NULL
"""
HEAD = Statement(_HEAD)
# Two statements: the lock may have to wait, and what is read with it would then be what was there before the wait.
LOCK = Statement("SELECT id FROM gigs WHERE id = $1 FOR UPDATE")
# `price` goes as text, or JSON would make a binary fraction of it.
PAGE = Statement("""
    SELECT g.id, g.title, g.description, g.category_id, g.tags, g.status, g.version, g.rating_version, g.rating,
        g.review_count, g.created_at, g.updated_at, g.seller_id, s.username, s.version AS seller_version,
        s.review_count AS seller_review_count, s.rating_sum AS seller_rating_sum,
        (
            SELECT coalesce(json_agg(json_build_object(
                'id', p.id, 'title', p.title, 'description', p.description, 'price', p.price::text,
                'delivery_days', p.delivery_days, 'features', p.features, 'revisions', p.revisions
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


class Gigs:
    """The gigs. Whatever changes one wants a transaction that has locked it."""

    def __init__(self, database: Database, packages: Packages, index: Index) -> None:
        self._database = database
        self._packages = packages
        self._index = index
        self._clock = Clock(database)

    def head(self, gig_id: UUID) -> Gig:
        """What the rules ask of a gig. Raises NotFound("Gig") when there is none, or it is deleted."""
        row = self._database.fetch_one(HEAD, gig_id)
        if row is None:
            raise NotFound("Gig")
        return _to_gig(row)

    def lock(self, gig_id: UUID) -> Gig:
        """As `head`; until the transaction ends nobody else changes the gig, its packages or its images."""
        self._database.fetch_one(LOCK, gig_id)
        return self.head(gig_id)

    def page(self, gig_id: UUID) -> GigPage:
        """Everything that a gig's page shows, in one round trip. Raises as `head` does."""
        row = self._database.fetch_one(PAGE, gig_id)
        if row is None:
            raise NotFound("Gig")
        return _to_page(row)

    def create(self, seller_id: UUID, texts: Texts, packages: Sequence[Terms]) -> UUID:
        """Stores a new gig, ACTIVE, with its packages in this order; the seller is known already. Returns its id."""
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
            **_columns(texts),
        ).execute(self._database.peewee)
        self._packages.insert(gig_id, packages)
        self._index.refresh(gig_id)
        self._index.learn(gig_id)
        return gig_id

    def replace_texts(self, gig_id: UUID, texts: Texts) -> None:
        """Stores other texts, category and tags."""
        self.touch(gig_id, **_columns(texts))
        self._index.learn(gig_id)

    def set_status(self, gig_id: UUID, status: Status) -> None:
        """Stores another status."""
        self.touch(gig_id, status=status)

    def delete(self, gig_id: UUID) -> None:
        """Takes the gig away. Its row stays for the seller's badges and for reviews still to come."""
        self.touch(gig_id, deleted_at=self._clock.now())

    def touch(self, gig_id: UUID, **columns: object) -> None:
        """Raises the gig's version and sets these columns; after any change of the gig, its packages or its images."""
        GigRow.update(version=GigRow.version + 1, updated_at=self._clock.now(), **columns).where(
            GigRow.id == gig_id
        ).execute(self._database.peewee)
        self._index.refresh(gig_id)


def _columns(texts: Texts) -> dict[str, Any]:
    return {
        "title": texts.title,
        "description": texts.description,
        "category_id": texts.category_id,
        "tags": list(texts.tags),
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
    seller_tally = Tally(row["seller_review_count"], row["seller_rating_sum"])
    return GigPage(
        gig=Gig(
            id=row["id"],
            seller_id=row["seller_id"],
            status=Status(row["status"]),
            version=row["version"],
            package_ids=tuple(package.id for package in packages),
            image_ids=tuple(image.id for image in images),
        ),
        texts=Texts(row["title"], row["description"], row["category_id"], tuple(row["tags"])),
        seller=Seller(row["seller_id"], row["username"], seller_tally, row["seller_version"]),
        rating=row["rating"],
        review_count=row["review_count"],
        rating_version=row["rating_version"],
        packages=packages,
        images=images,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _to_package(row: Row) -> Package:
    terms = Terms(
        title=row["title"],
        description=row["description"],
        price=Decimal(row["price"]),
        delivery_days=row["delivery_days"],
        features=tuple(row["features"]),
        revisions=row["revisions"],
    )
    return Package(UUID(row["id"]), terms)


def _to_image(row: Row) -> Image:
    return Image(UUID(row["id"]), row["key"], row["thumbnail_key"], row["is_primary"])
