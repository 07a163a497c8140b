"""Who may see and change a gig, and how its status changes."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gig_service.domain.etag import etag, matches
from gig_service.domain.gig import (
    MAX_PACKAGES,
    Status,
    check_editable,
    check_not_last_package,
    check_package_room,
    check_visible,
    next_status,
)
from servicekit.call import ANYONE, Caller
from servicekit.errors import Conflict, Forbidden, MarketplaceError, NotFound, PreconditionFailed
from tests.support.gigs import a_domain_gig
from tests.support.identity import a_caller

OWNER = a_caller("webdev_pro", "seller")
STRANGER = a_caller("someone", "seller")
ADMIN = a_caller("root", "admin")
HIDDEN = (Status.PAUSED, Status.SUSPENDED)


@pytest.mark.parametrize("caller", [OWNER, STRANGER, ADMIN, ANYONE])
def test_everyone_sees_an_active_gig(caller: Caller) -> None:
    gig = a_domain_gig()

    check_visible(gig, caller)


@pytest.mark.parametrize("status", HIDDEN)
def test_a_gig_that_is_not_active_is_there_for_its_owner_and_admins_alone(status: Status) -> None:
    gig = a_domain_gig(status=status)

    check_visible(gig, OWNER)
    check_visible(gig, ADMIN)
    for caller in (STRANGER, ANYONE):
        with pytest.raises(NotFound, match="Gig not found"):
            check_visible(gig, caller)


def test_what_is_not_there_is_refused_before_whose_it_is_and_that_before_its_version() -> None:
    gig = a_domain_gig(version=7)
    stale, package_id = '"6-0-1"', gig.package_ids[0]

    with pytest.raises(NotFound, match="Gig not found"):
        check_editable(a_domain_gig(status=Status.PAUSED), STRANGER, stale, uuid4())
    with pytest.raises(NotFound, match="Package not found"):
        check_editable(gig, STRANGER, stale, uuid4())
    with pytest.raises(Forbidden, match="You don't have permission to modify this gig"):
        check_editable(gig, STRANGER, stale, package_id)
    with pytest.raises(PreconditionFailed):
        check_editable(gig, OWNER, stale, package_id)
    check_editable(gig, OWNER, '"7-0-1"', package_id)


def test_an_admin_edits_no_gig_of_others() -> None:
    with pytest.raises(Forbidden):
        check_editable(a_domain_gig(), a_caller("root", "admin", "seller"), None)


@pytest.mark.parametrize(
    ("caller", "current", "requested", "result"),
    [
        (OWNER, "ACTIVE", None, "PAUSED"),
        (OWNER, "PAUSED", None, "ACTIVE"),
        (OWNER, "SUSPENDED", None, Forbidden),
        (OWNER, "ACTIVE", "ACTIVE", "ACTIVE"),
        (OWNER, "ACTIVE", "PAUSED", "PAUSED"),
        (OWNER, "PAUSED", "ACTIVE", "ACTIVE"),
        (OWNER, "ACTIVE", "SUSPENDED", Forbidden),
        (OWNER, "SUSPENDED", "ACTIVE", Forbidden),
        (OWNER, "SUSPENDED", "PAUSED", Forbidden),
        (OWNER, "SUSPENDED", "SUSPENDED", Forbidden),
        (ADMIN, "ACTIVE", None, "PAUSED"),
        (ADMIN, "SUSPENDED", None, "ACTIVE"),
        (ADMIN, "ACTIVE", "SUSPENDED", "SUSPENDED"),
        (ADMIN, "PAUSED", "SUSPENDED", "SUSPENDED"),
        (ADMIN, "SUSPENDED", "PAUSED", "PAUSED"),
        (ADMIN, "PAUSED", "ACTIVE", "ACTIVE"),
        (STRANGER, "ACTIVE", None, Forbidden),
        (STRANGER, "ACTIVE", "PAUSED", Forbidden),
        (STRANGER, "PAUSED", "ACTIVE", NotFound),
        (STRANGER, "SUSPENDED", None, NotFound),
    ],
)
def test_who_may_make_which_status_of_which(
    caller: Caller, current: str, requested: str | None, result: str | type[MarketplaceError]
) -> None:
    gig = a_domain_gig(status=Status(current))
    status = None if requested is None else Status(requested)

    if isinstance(result, str):
        assert next_status(gig, caller, None, status) is Status(result)
    else:
        with pytest.raises(result):
            next_status(gig, caller, None, status)


@given(st.sampled_from(Status), st.lists(st.sampled_from([None, *Status]), max_size=6))
def test_only_an_admin_begins_or_ends_a_suspension_whatever_an_owner_tries(
    status: Status, requests: list[Status | None]
) -> None:
    was_suspended = status is Status.SUSPENDED

    for requested in requests:
        try:
            status = next_status(a_domain_gig(status=status), OWNER, None, requested)
        except MarketplaceError:
            continue

    assert (status is Status.SUSPENDED) == was_suspended


@given(st.sampled_from(Status))
def test_an_empty_request_twice_leads_back_unless_it_ends_a_suspension(status: Status) -> None:
    once = next_status(a_domain_gig(status=status), ADMIN, None, None)
    twice = next_status(a_domain_gig(status=once), ADMIN, None, None)

    assert twice is (Status.PAUSED if status is Status.SUSPENDED else status)


def test_a_change_of_status_honours_the_version_after_the_right_to_it() -> None:
    gig = a_domain_gig(version=7)

    with pytest.raises(PreconditionFailed):
        next_status(gig, OWNER, '"6-0-0"', None)
    with pytest.raises(Forbidden):
        next_status(gig, STRANGER, '"6-0-0"', None)


def test_an_eleventh_package_reaches_the_limit() -> None:
    check_package_room(a_domain_gig(package_ids=tuple(uuid4() for _ in range(MAX_PACKAGES - 1))))

    with pytest.raises(Conflict) as refused:
        check_package_room(a_domain_gig(package_ids=tuple(uuid4() for _ in range(MAX_PACKAGES))))
    assert refused.value.code == "LIMIT_REACHED"


def test_the_last_package_cannot_go() -> None:
    check_not_last_package(a_domain_gig())

    with pytest.raises(Conflict) as refused:
        check_not_last_package(a_domain_gig(package_ids=(uuid4(),)))
    assert refused.value.code == "CONFLICT"


@pytest.mark.parametrize(
    "header",
    [None, "*", " * ", '"7-0-1"', '"7-4-9"', 'W/"7-0-1"', '"6-0-1", "7-0-1"', 'W/"6-0-1" , W/"7-2-2"', '"x,y","7-0-1"'],
)
def test_if_match_asks_for_what_the_owner_edits_alone_weak_or_strong_or_in_a_list(header: str | None) -> None:
    assert matches(header, 7)


@pytest.mark.parametrize(
    "header", ["", '"6-7-7"', '"77-0-1"', "7-0-1", '"7"', '"07-0-1"', '"*"', '"' + "9" * 5000 + '-0-1"']
)
def test_if_match_with_another_version_or_no_tag_of_ours_matches_nothing(header: str | None) -> None:
    assert not matches(header, 7)


@given(st.integers(1, 10**9), st.integers(0, 10**12), st.integers(1, 10**9))
def test_a_tag_just_made_matches_its_own_version_only(gig: int, rating: int, seller: int) -> None:
    tag = etag(gig, rating, seller)

    assert matches(tag, gig)
    assert not matches(tag, gig + 1)
