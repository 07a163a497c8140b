"""The tree of categories. Migrations fill it; nothing changes it while the service runs."""

from uuid import UUID

from gig_service.domain.search import Category
from servicekit.database import Database, Statement
from servicekit.errors import InvalidArgument, Violation

_COLUMNS = "SELECT id, slug, name, parent_id FROM categories"
ALL = Statement(f"{_COLUMNS} ORDER BY position")
FIND = Statement(f"{_COLUMNS} WHERE slug = $1 OR id::text = lower($1)")
EXISTS = Statement("SELECT id FROM categories WHERE id = $1")


class Categories:
    """The categories."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Category]:
        """Return the whole tree: each parent, then its children."""
        return [Category(**row) for row in self._database.fetch_all(ALL)]

    def find(self, slug_or_id: str) -> Category:
        """Return the category with this slug, or with this id in any letter case. Raises InvalidArgument for others."""
        row = self._database.fetch_one(FIND, slug_or_id)
        if row is None:
            raise InvalidArgument([Violation("category", "is not a known category")])
        return Category(**row)

    def require(self, category_id: UUID) -> None:
        """Raise InvalidArgument when there is no category with this id."""
        if self._database.fetch_one(EXISTS, category_id) is None:
            raise InvalidArgument([Violation("categoryId", "is not a known category")])
