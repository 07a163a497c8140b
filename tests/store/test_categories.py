"""Categories: a worker reads them once, and again for one that it does not know."""

from __future__ import annotations

from uuid import UUID

import pytest

from gig_service.store.categories import ALL, Categories
from servicekit.database import Database
from servicekit.errors import InvalidArgument
from servicekit.ids import new_id
from tests.support.counting import CountingDatabase
from tests.support.gigs import WEB_DEV

ADD = "INSERT INTO categories (id, slug, name, position) VALUES (%s, 'gardening', 'Gardening', 1000)"


@pytest.fixture
def database(gig_database: Database) -> CountingDatabase:
    return CountingDatabase.of(gig_database)


@pytest.fixture
def categories(database: CountingDatabase) -> Categories:
    return Categories(database)


def test_a_category_is_found_by_its_slug_and_by_its_id_in_any_letter_case(categories: Categories) -> None:
    found = categories.find("web-dev")

    assert (str(found.id), found.slug) == (WEB_DEV, "web-dev")
    assert categories.find(WEB_DEV) == categories.find(WEB_DEV.upper()) == found
    with pytest.raises(InvalidArgument):
        categories.find("Web-Dev")


def test_the_categories_are_read_once(categories: Categories, database: CountingDatabase) -> None:
    for _ in range(3):
        categories.find("web-dev")
        categories.find("seo")
        categories.require(UUID(WEB_DEV))

    assert database.reads(ALL) == 1


def test_a_category_that_a_newer_version_has_added_is_found(categories: Categories, database: CountingDatabase) -> None:
    added = new_id()
    for unknown in ("gardening", str(added)):
        with pytest.raises(InvalidArgument):
            categories.find(unknown)
    with pytest.raises(InvalidArgument):
        categories.require(added)

    database.execute(ADD, (added,))

    assert categories.find("gardening").id == added
    categories.require(added)
