"""Images in a real PostgreSQL: concurrent writes, the cost of a page, the files left to the outbox."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from uuid import UUID

import peewee
import pytest

from gig_service.domain.gig import GigDetails, PackageDetails
from gig_service.domain.image import Image, after_adding, after_choosing, after_removing, check_image_room
from gig_service.domain.search import Filters, Sort
from gig_service.store.models import ImageRow
from gig_service.store.store import Store
from servicekit.database import Database, Statement
from servicekit.errors import NotFound
from servicekit.ids import new_id
from tests.support.at_once import at_once
from tests.support.gigs import OWNER, WEB_DEV, an_image

OUTBOX = Statement("SELECT topic, key, payload FROM outbox ORDER BY id")


@pytest.fixture
def store(gig_database: Database) -> Store:
    return Store(gig_database)


@pytest.fixture
def gig_id(store: Store) -> UUID:
    return a_stored_gig(store)


def a_stored_gig(store: Store) -> UUID:
    with store.transaction():
        store.sellers.remember(OWNER, "webdev_pro")
        package = PackageDetails("Basic", "", Decimal(500), 14, (), 0)
        return store.gigs.create(OWNER, GigDetails("Logo design", "A logo", UUID(WEB_DEV), ("logo",)), [package])


def change(store: Store, gig_id: UUID, rule: Callable[[Sequence[Image]], list[Image]]) -> list[Image]:
    """Lock the gig, let the rule decide, save, and return all images: the steps of every command on images."""
    with store.transaction():
        store.gigs.lock(gig_id)
        before = store.images.of_gig(gig_id)
        after = rule(before)
        store.images.save(gig_id, before, after)
        return after


def add(store: Store, gig_id: UUID, count: int = 1, *, first_is_primary: bool = False) -> list[Image]:
    added = [an_image() for _ in range(count)]

    def rule(before: Sequence[Image]) -> list[Image]:
        check_image_room(len(before), count, limit=20)
        return after_adding(before, added, first_is_primary=first_is_primary)

    return change(store, gig_id, rule)[-count:]


def delete(store: Store, gig_id: UUID, image_id: UUID) -> None:
    change(store, gig_id, lambda before: after_removing(before, image_id))


def delete_all(store: Store, gig_id: UUID) -> None:
    change(store, gig_id, lambda before: [])


def make_primary(store: Store, gig_id: UUID, image_id: UUID) -> None:
    change(store, gig_id, lambda before: after_choosing(before, image_id))


def images(store: Store, gig_id: UUID) -> list[Image]:
    return list(store.gigs.page(gig_id).images)


def primaries(store: Store, gig_id: UUID) -> list[UUID]:
    return [image.id for image in images(store, gig_id) if image.is_primary]


def thumbnail_key(store: Store) -> str:
    """Return the thumbnail of the only result of a search."""
    (hit,) = store.search.page(Filters(), "", Sort.NEWEST, after=None, limit=2).hits
    return hit.result.thumbnail_key


def discarded(database: Database) -> list[tuple[str, list[str]]]:
    """Return the images in the outbox, and the keys of their files."""
    rows = database.fetch_all(OUTBOX)
    assert all(row["topic"] == "media" for row in rows)
    return [(row["key"], row["payload"]["keys"]) for row in rows]


def keys_of(image: Image) -> list[str]:
    return [image.key, image.thumbnail_key]


def test_images_are_stored_in_the_order_in_which_they_came(store: Store, gig_id: UUID) -> None:
    added = [*add(store, gig_id, 2), *add(store, gig_id)]

    assert images(store, gig_id) == added
    assert store.gigs.get(gig_id).image_ids == tuple(image.id for image in added)
    assert store.gigs.page(gig_id).gig == store.gigs.get(gig_id)
    assert all(image.id.version == 7 for image in added)


def test_the_first_image_is_primary_and_another_takes_its_place_when_asked_to(store: Store, gig_id: UUID) -> None:
    first, _ = add(store, gig_id, 2)
    assert primaries(store, gig_id) == [first.id]

    third, fourth = add(store, gig_id, 2, first_is_primary=True)

    assert (third.is_primary, fourth.is_primary) == (True, False)
    assert primaries(store, gig_id) == [third.id]
    assert thumbnail_key(store) == third.thumbnail_key


def test_an_image_added_after_the_newest_went_is_still_the_last(store: Store, gig_id: UUID) -> None:
    first, second, third = add(store, gig_id, 3)
    delete(store, gig_id, second.id)

    (fourth,) = add(store, gig_id)

    assert [image.id for image in images(store, gig_id)] == [first.id, third.id, fourth.id]


def test_each_change_raises_the_version_once_and_no_change_does_not(store: Store, gig_id: UUID) -> None:
    first, second = add(store, gig_id, 2)
    assert store.gigs.page(gig_id).gig.version == 2

    make_primary(store, gig_id, second.id)
    make_primary(store, gig_id, second.id)
    assert store.gigs.page(gig_id).gig.version == 3

    delete(store, gig_id, first.id)
    page = store.gigs.page(gig_id)
    assert page.gig.version == 4
    assert page.updated_at > page.created_at


def test_an_image_that_goes_leaves_its_files_to_the_outbox(store: Store, gig_id: UUID, gig_database: Database) -> None:
    first, second = add(store, gig_id, 2)

    delete(store, gig_id, first.id)

    assert discarded(gig_database) == [(str(first.id), keys_of(first))]
    assert primaries(store, gig_id) == [second.id]
    assert thumbnail_key(store) == second.thumbnail_key


def test_all_images_of_a_gig_go_with_it(store: Store, gig_id: UUID, gig_database: Database) -> None:
    added = add(store, gig_id, 3)
    kept = add(store, a_stored_gig(store))

    with store.transaction():
        delete_all(store, gig_id)
        store.gigs.delete(gig_id)

    assert discarded(gig_database) == [(str(image.id), keys_of(image)) for image in added]
    assert [image for _, image in store.images.all()] == kept


def test_what_is_rolled_back_keeps_images_and_files(store: Store, gig_id: UUID, gig_database: Database) -> None:
    added = add(store, gig_id, 2)

    with pytest.raises(ZeroDivisionError), store.transaction():
        delete_all(store, gig_id)
        raise ZeroDivisionError

    assert images(store, gig_id) == added
    assert discarded(gig_database) == []


def test_an_image_of_another_gig_is_not_found(store: Store, gig_id: UUID) -> None:
    (foreign,) = add(store, a_stored_gig(store))
    add(store, gig_id)

    for command in (make_primary, delete):
        for image_id in (foreign.id, new_id()):
            with pytest.raises(NotFound, match="Image not found"):
                command(store, gig_id, image_id)


def test_the_database_itself_takes_no_second_primary_image(store: Store, gig_id: UUID, gig_database: Database) -> None:
    _, second = add(store, gig_id, 2)

    with pytest.raises(peewee.IntegrityError, match="images_primary"):
        ImageRow.update(is_primary=True).where(ImageRow.id == second.id).execute(gig_database.peewee)


def test_the_files_of_images_and_those_to_be_deleted_are_known(
    store: Store, gig_id: UUID, gig_database: Database
) -> None:
    first, second = add(store, gig_id, 2)
    delete(store, gig_id, first.id)
    stranger = an_image()

    keys = [*keys_of(first), *keys_of(second), stranger.key, stranger.thumbnail_key]

    assert store.images.known(keys) == {*keys_of(first), *keys_of(second)}
    gig_database.execute("DELETE FROM outbox")
    assert store.images.known(keys) == set(keys_of(second))
    assert store.images.known([]) == set()


def test_all_images_of_all_gigs_are_walked_through(store: Store, gig_database: Database) -> None:
    gig_ids = [a_stored_gig(store) for _ in range(60)]
    stored = {(gig_id, image.id) for gig_id in gig_ids for image in add(store, gig_id, 20)}

    walked = [(gig_id, image.id) for gig_id, image in store.images.all()]

    assert len(walked) == 1200
    assert set(walked) == stored


def test_images_added_at_once_stop_at_the_limit_and_one_is_primary(
    store: Store, gig_id: UUID, gig_database: Database
) -> None:
    add(store, gig_id, 16)

    outcome = at_once([partial(add, store, gig_id, 2, first_is_primary=True)] * 5, gig_database)

    assert sorted(outcome) == ["LIMIT_REACHED"] * 3 + ["won"] * 2
    assert len(images(store, gig_id)) == 20
    assert len(primaries(store, gig_id)) == 1


def test_the_first_images_added_at_once_make_one_primary(store: Store, gig_database: Database) -> None:
    for _ in range(5):
        gig_id = a_stored_gig(store)

        assert at_once([partial(add, store, gig_id)] * 4, gig_database) == ["won"] * 4

        assert primaries(store, gig_id) == [images(store, gig_id)[0].id]


def test_whatever_happens_to_the_images_at_once_exactly_one_is_primary(store: Store, gig_database: Database) -> None:
    for _ in range(5):
        gig_id = a_stored_gig(store)
        some = add(store, gig_id, 6)
        works: list[Callable[[], object]] = [partial(delete, store, gig_id, image.id) for image in some[:4]]
        works += [partial(make_primary, store, gig_id, image.id) for image in some[2:]]
        works += [partial(add, store, gig_id, first_is_primary=first) for first in (True, False)]
        random.shuffle(works)

        outcome = at_once(works, gig_database)

        # Choosing an image that was deleted before is NOT_FOUND.
        assert set(outcome) <= {"won", "NOT_FOUND"}
        assert outcome.count("NOT_FOUND") <= 2
        assert len(images(store, gig_id)) == 4
        (primary,) = [image for image in images(store, gig_id) if image.is_primary]
        newest = store.search.page(Filters(), "", Sort.NEWEST, after=None, limit=1).hits[0]
        assert newest.result.thumbnail_key == primary.thumbnail_key


def test_an_image_deleted_twice_at_once_goes_once(store: Store, gig_id: UUID, gig_database: Database) -> None:
    first, _ = add(store, gig_id, 2)

    outcome = at_once([partial(delete, store, gig_id, first.id)] * 4, gig_database)

    assert sorted(outcome) == ["NOT_FOUND"] * 3 + ["won"]
    assert len(discarded(gig_database)) == 1


def executed(database: Database) -> dict[str, int]:
    """Return the statements prepared on this connection, and the server's count of their executions."""
    with database.peewee.connection().cursor() as cursor:
        cursor.execute("SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements")
        return dict(cursor.fetchall())


def test_a_page_costs_the_same_one_prepared_statement_whatever_number_of_images_it_has(
    store: Store, gig_id: UUID, gig_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = a_stored_gig(store)
    add(store, full, 20)
    gig_database.close()
    unprepared: list[str] = []
    monkeypatch.setattr(gig_database.peewee, "execute_sql", lambda sql, *_: unprepared.append(sql))

    assert len(store.gigs.page(gig_id).images) == 0
    without_images = executed(gig_database)
    assert len(store.gigs.page(full).images) == 20
    with_images = executed(gig_database)

    assert list(without_images.values()) == [1]
    assert list(with_images.values()) == [2]
    assert unprepared == []


def test_a_search_shows_thumbnails_in_the_same_one_statement(store: Store, gig_database: Database) -> None:
    for number in range(6):
        gig_id = a_stored_gig(store)
        if number % 2:
            add(store, gig_id, 20)
    gig_database.close()

    hits = store.search.page(Filters(), "", Sort.NEWEST, after=None, limit=20).hits

    assert [bool(hit.result.thumbnail_key) for hit in hits] == [True, False] * 3
    assert list(executed(gig_database).values()) == [1]
