"""Which of a gig's images is primary, and how many images it can have."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gig_service.domain.gig import check_editable
from gig_service.domain.image import Image, after_adding, after_choosing, after_removing, check_image_room
from servicekit.errors import Conflict, Forbidden, NotFound, PreconditionFailed
from tests.support.gigs import a_domain_gig
from tests.support.identity import a_caller

OWNER = a_caller("webdev_pro", "seller")
STRANGER = a_caller("someone", "seller")


def an_image(*, is_primary: bool = False) -> Image:
    return Image(uuid4(), "3f/3f.jpg", "3e/3e.webp", is_primary)


def images(count: int, primary: int = 0) -> list[Image]:
    return [an_image(is_primary=place == primary) for place in range(count)]


def primaries(of: list[Image]) -> list[int]:
    return [place for place, image in enumerate(of) if image.is_primary]


def ids(of: list[Image]) -> list[UUID]:
    return [image.id for image in of]


def test_the_first_image_ever_is_primary_asked_for_or_not() -> None:
    for first_is_primary in (False, True):
        assert primaries(after_adding([], images(3, primary=-1), first_is_primary=first_is_primary)) == [0]


def test_another_image_becomes_primary_only_when_that_is_asked_for() -> None:
    before, added = images(2), images(2, primary=-1)

    assert primaries(after_adding(before, added, first_is_primary=False)) == [0]
    assert primaries(after_adding(before, added, first_is_primary=True)) == [2]


def test_new_images_come_behind_the_others() -> None:
    before, added = images(2), images(2, primary=-1)

    assert ids(after_adding(before, added, first_is_primary=True)) == ids(before) + ids(added)


def test_nothing_added_changes_nothing() -> None:
    before = images(2, primary=1)

    assert after_adding(before, [], first_is_primary=True) == before


def test_an_image_that_is_chosen_is_primary_instead_of_another() -> None:
    before = images(3)

    after = after_choosing(before, before[2].id)

    assert primaries(after) == [2]
    assert ids(after) == ids(before)


def test_the_oldest_other_image_follows_a_primary_one_that_goes() -> None:
    before = images(4, primary=2)

    after = after_removing(before, before[2].id)

    assert ids(after) == [before[0].id, before[1].id, before[3].id]
    assert primaries(after) == [0]


def test_the_primary_image_stays_when_another_goes() -> None:
    before = images(3, primary=2)

    assert primaries(after_removing(before, before[0].id)) == [1]


def test_the_last_image_can_go() -> None:
    (only,) = images(1)

    assert after_removing([only], only.id) == []


def test_what_is_none_of_the_gigs_images_is_not_found() -> None:
    for change in (after_choosing, after_removing):
        with pytest.raises(NotFound, match="Image not found"):
            change(images(2), uuid4())


@given(st.lists(st.tuples(st.sampled_from(["add", "add first", "choose", "remove"]), st.integers(0, 5))))
def test_whatever_happens_exactly_one_image_is_primary_while_there_are_any(steps: list[tuple[str, int]]) -> None:
    now: list[Image] = []

    for step, number in steps:
        if step.startswith("add"):
            now = after_adding(now, images(number, primary=-1), first_is_primary=step == "add first")
        elif now:
            image_id = now[number % len(now)].id
            now = after_choosing(now, image_id) if step == "choose" else after_removing(now, image_id)

        assert len(primaries(now)) == bool(now)


@pytest.mark.parametrize(("count", "adding", "fits"), [(0, 20, True), (19, 1, True), (20, 1, False), (18, 3, False)])
def test_a_gig_has_at_most_so_many_images(count: int, adding: int, fits: bool) -> None:
    if fits:
        check_image_room(count, adding, limit=20)
    else:
        with pytest.raises(Conflict, match="A gig has at most 20 images") as refused:
            check_image_room(count, adding, limit=20)
        assert refused.value.code == "LIMIT_REACHED"


def test_an_image_that_is_not_there_is_refused_before_whose_the_gig_is_and_that_before_its_version() -> None:
    gig = a_domain_gig(version=7, image_ids=(uuid4(),))
    stale, image_id = '"6-0-1"', gig.image_ids[0]

    with pytest.raises(NotFound, match="Image not found"):
        check_editable(gig, STRANGER, stale, image_id=uuid4())
    with pytest.raises(Forbidden):
        check_editable(gig, STRANGER, stale, image_id=image_id)
    with pytest.raises(PreconditionFailed):
        check_editable(gig, OWNER, stale, image_id=image_id)
    check_editable(gig, OWNER, '"7-0-1"', image_id=image_id)
