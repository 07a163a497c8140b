"""Images of gigs on pages and in searches; choosing the primary image, deleting an image."""

from typing import Any

import pytest

from gig_service.domain.image import Image
from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.gigs import MEDIA_URL, Gigs, an_update


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


def choosing(gig_id: str, image_id: object, *, is_primary: bool = True) -> gig_pb2.UpdateImageRequest:
    return gig_pb2.UpdateImageRequest(gig_id=gig_id, image_id=str(image_id), is_primary=is_primary)


def deleting(gig_id: str, image_id: object) -> gig_pb2.DeleteImageRequest:
    return gig_pb2.DeleteImageRequest(gig_id=gig_id, image_id=str(image_id))


def shown(gigs: Gigs, gig_id: str) -> list[tuple[str, bool]]:
    """Return the images on a gig's page: their ids, and whether they are primary."""
    return [(image.id, image.is_primary) for image in gigs.page(gig_id).images]


def thumbnail(gigs: Gigs, **filters: Any) -> str:
    """Return the thumbnail of the only result."""
    (result,) = gigs.search(**filters).response.results
    return str(result.thumbnail)


def url_of_thumbnail(image: Image) -> str:
    return f"{MEDIA_URL}/{image.thumbnail_key}"


def test_a_page_shows_the_images_oldest_first_with_addresses_that_work(gigs: Gigs) -> None:
    gig_id = gigs.create()
    first, second = gigs.add_images(gig_id, 2)
    (third,) = gigs.add_images(gig_id, first_is_primary=True)

    images = gigs.page(gig_id).images

    assert [image.id for image in images] == [str(first.id), str(second.id), str(third.id)]
    assert [image.is_primary for image in images] == [False, False, True]
    assert images[0].url == f"{MEDIA_URL}/{first.key}"
    assert images[0].thumbnail_url == url_of_thumbnail(first)


def test_a_gig_without_images_shows_none(gigs: Gigs) -> None:
    gig_id = gigs.create()

    assert shown(gigs, gig_id) == []
    assert thumbnail(gigs) == ""


def test_an_update_of_the_texts_answers_the_images_too(gigs: Gigs) -> None:
    gig_id = gigs.create()
    (image,) = gigs.add_images(gig_id)

    answer = gigs.call(an_update(gig_id))

    assert [shown.id for shown in answer.response.gig.images] == [str(image.id)]


def test_a_search_shows_the_thumbnail_of_the_primary_image(gigs: Gigs) -> None:
    gig_id = gigs.create()
    first, second = gigs.add_images(gig_id, 2)

    assert thumbnail(gigs) == url_of_thumbnail(first)
    gigs.call(choosing(gig_id, second.id))
    assert thumbnail(gigs, q="website") == url_of_thumbnail(second)
    gigs.call(deleting(gig_id, second.id))
    assert thumbnail(gigs, sort="newest") == url_of_thumbnail(first)
    gigs.call(deleting(gig_id, first.id))
    assert thumbnail(gigs) == ""


def test_another_image_is_made_primary(gigs: Gigs) -> None:
    gig_id = gigs.create()
    first, second = gigs.add_images(gig_id, 2)

    answer = gigs.call(choosing(gig_id, second.id))

    image = answer.response.image
    assert (image.id, image.is_primary, image.url) == (str(second.id), True, f"{MEDIA_URL}/{second.key}")
    assert shown(gigs, gig_id) == [(str(first.id), False), (str(second.id), True)]
    assert answer.headers["etag"] == gigs.etag(gig_id)


def test_the_primary_image_made_primary_again_changes_nothing(gigs: Gigs) -> None:
    gig_id = gigs.create()
    (image,) = gigs.add_images(gig_id)
    seen = gigs.etag(gig_id)

    answer = gigs.call(choosing(gig_id, image.id))

    assert answer.response.image.is_primary
    assert answer.headers["etag"] == gigs.etag(gig_id) == seen


def test_an_image_stops_being_primary_only_when_another_becomes_it(gigs: Gigs) -> None:
    gig_id = gigs.create()
    (image,) = gigs.add_images(gig_id)

    answer = gigs.call(choosing(gig_id, image.id, is_primary=False))

    assert (answer.error, answer.http_status) == ("INVALID_ARGUMENT", 400)
    assert "isPrimary" in answer.message


def test_an_image_goes_and_the_oldest_other_one_follows_it(gigs: Gigs) -> None:
    gig_id = gigs.create()
    first, second, third = gigs.add_images(gig_id, 3)

    answer = gigs.call(deleting(gig_id, first.id))

    assert not answer.error
    assert shown(gigs, gig_id) == [(str(second.id), True), (str(third.id), False)]
    assert answer.headers["etag"] == gigs.etag(gig_id)


def test_an_image_that_is_gone_is_not_found(gigs: Gigs) -> None:
    gig_id = gigs.create()
    (image,) = gigs.add_images(gig_id)
    gigs.call(deleting(gig_id, image.id))

    for request in (deleting(gig_id, image.id), choosing(gig_id, image.id)):
        answer = gigs.call(request)
        assert (answer.error, answer.http_status, answer.message) == ("NOT_FOUND", 404, "Image not found")


@pytest.mark.parametrize("make", [choosing, deleting])
def test_an_image_of_another_gig_is_not_found(gigs: Gigs, make: Any) -> None:
    gig_id, other = gigs.create(), gigs.create()
    gigs.add_images(gig_id)
    (foreign,) = gigs.add_images(other)

    for image_id in (foreign.id, new_id(), "nonsense"):
        answer = gigs.call(make(gig_id, image_id))
        assert (answer.error, answer.message) == ("NOT_FOUND", "Image not found")
    assert len(shown(gigs, other)) == 1


@pytest.mark.parametrize("make", [choosing, deleting])
def test_only_the_owner_changes_images(gigs: Gigs, make: Any) -> None:
    gig_id = gigs.create()
    first, second = gigs.add_images(gig_id, 2)

    assert gigs.call(make(gig_id, second.id), "someone").error == "FORBIDDEN"
    assert gigs.call(make(gig_id, second.id), "root", "admin", "seller").error == "FORBIDDEN"
    assert gigs.call(make(gig_id, second.id), "buyer", "buyer").error == "FORBIDDEN"
    assert gigs.call(make(gig_id, second.id), None).error == "UNAUTHORIZED"
    assert shown(gigs, gig_id) == [(str(first.id), True), (str(second.id), False)]


@pytest.mark.parametrize("make", [choosing, deleting])
def test_images_of_a_hidden_gig_are_not_there_for_others(gigs: Gigs, make: Any) -> None:
    gig_id = gigs.create()
    (image,) = gigs.add_images(gig_id)
    gigs.set_status(gig_id, "PAUSED")

    answer = gigs.call(make(gig_id, image.id), "someone")

    assert (answer.error, answer.message) == ("NOT_FOUND", "Gig not found")
    assert not gigs.call(make(gig_id, image.id)).error


@pytest.mark.parametrize("make", [choosing, deleting])
def test_image_calls_honour_if_match_and_make_older_tags_fail(gigs: Gigs, make: Any) -> None:
    gig_id = gigs.create()
    before_images = gigs.etag(gig_id)
    _, second = gigs.add_images(gig_id, 2)
    seen = gigs.etag(gig_id)

    stale = gigs.call(make(gig_id, second.id), if_match=before_images)

    assert (stale.error, stale.http_status) == ("PRECONDITION_FAILED", 412)
    assert not gigs.call(make(gig_id, second.id), if_match=seen).error
    assert gigs.call(an_update(gig_id), if_match=seen).error == "PRECONDITION_FAILED"


def test_images_of_a_deleted_gig_are_gone(gigs: Gigs) -> None:
    gig_id = gigs.create()
    (image,) = gigs.add_images(gig_id)
    gigs.call(gig_pb2.DeleteGigRequest(gig_id=gig_id))

    for request in (choosing(gig_id, image.id), deleting(gig_id, image.id)):
        assert gigs.call(request).message == "Gig not found"


def test_a_change_of_the_images_is_a_change_of_the_gig(gigs: Gigs) -> None:
    gig_id = gigs.create()
    tags = [gigs.etag(gig_id)]

    _, second = gigs.add_images(gig_id, 2)
    tags.append(gigs.etag(gig_id))
    gigs.call(choosing(gig_id, second.id))
    tags.append(gigs.etag(gig_id))
    gigs.call(deleting(gig_id, second.id))
    tags.append(gigs.etag(gig_id))

    assert tags == ['"1-0-1"', '"2-0-1"', '"3-0-1"', '"4-0-1"']
