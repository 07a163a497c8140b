"""The tree of categories. Migrations fill it; nothing changes it while the service runs."""

from uuid import UUID

from gig_service.domain.search import Category
from servicekit.database import Database, Statement
from servicekit.errors import InvalidArgument, Violation

_COLUMNS = "SELECT id, slug, name, parent_id FROM categories"
ALL = Statement(f"{_COLUMNS} ORDER BY position")


class Categories:
    """The categories. Those that were read once are remembered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_slug: dict[str, Category] = {}
        self._by_id: dict[str, Category] = {}

    def all(self) -> list[Category]:
        """Return the whole tree: each parent, then its children."""
        return [Category(**row) for row in self._database.fetch_all(ALL)]

    def find(self, slug_or_id: str) -> Category:
        """Return the category with this slug, or with this id in any letter case. Raises InvalidArgument for others."""
        category = self._remembered(slug_or_id) or self._read(slug_or_id)
        if category is None:
            raise InvalidArgument([Violation("category", "is not a known category")])
        return category

    def require(self, category_id: UUID) -> None:
        """Raise InvalidArgument when there is no category with this id."""
        if (self._remembered(str(category_id)) or self._read(str(category_id))) is None:
            raise InvalidArgument([Violation("categoryId", "is not a known category")])

    def _remembered(self, slug_or_id: str) -> Category | None:
        return self._by_slug.get(slug_or_id) or self._by_id.get(slug_or_id.lower())

    def _read(self, slug_or_id: str) -> Category | None:
        """Read all categories anew, since a migration of a newer version may have added some."""
        categories = self.all()
        self._by_slug = {category.slug: category for category in categories}
        self._by_id = {str(category.id): category for category in categories}
        return self._remembered(slug_or_id)
