"""Packages. A gig's packages change only while the gig is locked."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from gig_service.domain.gig import Extra, PackageDetails, PackageTerms, Status
from gig_service.store.models import PackageRow
from servicekit.database import Database, Statement
from servicekit.errors import NotFound
from servicekit.ids import new_id

TERMS = Statement(f"""
    SELECT p.id::text, p.title, g.id::text, g.title, g.seller_id::text, p.price::float8, p.delivery_days, p.revisions,
        p.extras
    FROM packages AS p JOIN gigs AS g ON g.id = p.gig_id
    WHERE p.id = $1 AND g.status = '{Status.ACTIVE}' AND g.deleted_at IS NULL
""")
EXTRA_IDS = Statement("""
    SELECT (extra ->> 'id')::uuid AS id FROM packages, jsonb_array_elements(extras) AS extra WHERE packages.id = $1
""")
LAST_POSITION = Statement("SELECT coalesce(max(position), 0) AS last FROM packages WHERE gig_id = $1")


class Packages:
    """The packages. After a write the caller raises the gig's version, with `Gigs.touch`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def terms(self, package_id: str) -> PackageTerms:
        """Return the package as it can be ordered now. Raises NotFound("Package") unless its gig is ACTIVE.

        `package_id` is a UUID as text.
        """
        row = self._database.fetch_tuple(TERMS, package_id)
        if row is None:
            raise NotFound("Package")
        return PackageTerms(*row)

    def extra_ids(self, package_id: UUID) -> frozenset[UUID]:
        """Return the ids of the package's extras."""
        return frozenset(row["id"] for row in self._database.fetch_all(EXTRA_IDS, package_id))

    def insert(self, gig_id: UUID, packages: Sequence[PackageDetails]) -> None:
        """Add packages behind the gig's others, in this order."""
        row = self._database.fetch_one(LAST_POSITION, gig_id)
        last = row["last"] if row else 0
        rows = [
            {"id": new_id(), "gig_id": gig_id, "position": last + number, **_columns(details)}
            for number, details in enumerate(packages, start=1)
        ]
        PackageRow.insert_many(rows).execute(self._database.peewee)

    def replace(self, package_id: UUID, details: PackageDetails) -> None:
        """Replace a package's details; it keeps its id, and so does each extra that has one."""
        PackageRow.update(_columns(details)).where(PackageRow.id == package_id).execute(self._database.peewee)

    def remove(self, package_id: UUID) -> None:
        """Delete a package. Orders have their own copies of its terms."""
        PackageRow.delete().where(PackageRow.id == package_id).execute(self._database.peewee)


def _columns(details: PackageDetails) -> dict[str, Any]:
    return {**asdict(details), "features": list(details.features), "extras": list(map(_extra, details.extras))}


def _extra(extra: Extra) -> dict[str, Any]:
    return {**asdict(extra), "id": str(extra.id or new_id()), "price": float(extra.price)}
