"""Pausing, activating and suspending gigs."""

from typing import Any

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from tests.support.gigs import Gigs, an_update

ADMIN = ("root", "admin")


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


def test_the_owner_pauses_and_brings_back(gigs: Gigs) -> None:
    gig_id = gigs.create()

    paused = gigs.set_status(gig_id, "PAUSED")
    assert (paused.response.id, paused.response.status) == (gig_id, gig_pb2.Gig.PAUSED)
    assert paused.headers["etag"] == gigs.etag(gig_id) == '"2-0-1"'
    assert gigs.set_status(gig_id, "ACTIVE").response.status == gig_pb2.Gig.ACTIVE


def test_an_empty_request_toggles(gigs: Gigs) -> None:
    gig_id = gigs.create()

    assert gigs.set_status(gig_id, None).response.status == gig_pb2.Gig.PAUSED
    assert gigs.set_status(gig_id, None).response.status == gig_pb2.Gig.ACTIVE


def test_the_status_that_it_has_already_changes_nothing(gigs: Gigs) -> None:
    gig_id = gigs.create()

    assert gigs.set_status(gig_id, "ACTIVE").headers["etag"] == '"1-0-1"'


@pytest.mark.parametrize("status", ["PAUSED", "SUSPENDED"])
def test_a_gig_that_is_not_active_its_packages_and_their_terms_are_gone_for_others(gigs: Gigs, status: str) -> None:
    gig_id = gigs.create()
    package_id = gigs.page(gig_id).packages[0].id
    gigs.set_status(gig_id, status, *ADMIN)

    for caller in (None, "someone"):
        assert gigs.get(gig_id, caller).error == "NOT_FOUND"
        assert gigs.call(gig_pb2.ListPackagesRequest(gig_id=gig_id), caller).error == "NOT_FOUND"
    assert gigs.internal(gig_pb2.GetPackageTermsRequest(package_id=package_id)).message == "Package not found"
    for insider in (("webdev_pro", "seller"), ADMIN):
        assert not gigs.get(gig_id, *insider).error
        assert not gigs.call(gig_pb2.ListPackagesRequest(gig_id=gig_id), *insider).error
    assert gigs.found() == []


def test_a_suspension_is_for_admins_to_begin_and_to_end(gigs: Gigs) -> None:
    gig_id = gigs.create()

    assert gigs.set_status(gig_id, "SUSPENDED").error == "FORBIDDEN"
    assert gigs.set_status(gig_id, "SUSPENDED", *ADMIN).response.status == gig_pb2.Gig.SUSPENDED
    for requested in (None, "ACTIVE", "PAUSED"):
        assert gigs.set_status(gig_id, requested).error == "FORBIDDEN"
    assert gigs.set_status(gig_id, None, *ADMIN).response.status == gig_pb2.Gig.ACTIVE


def test_the_owner_may_mend_a_suspended_gig(gigs: Gigs) -> None:
    gig_id = gigs.create()
    gigs.set_status(gig_id, "SUSPENDED", *ADMIN)

    assert gigs.call(an_update(gig_id)).response.gig.status == gig_pb2.Gig.SUSPENDED


def test_an_admin_gives_no_name_to_the_seller(gigs: Gigs) -> None:
    gig_id = gigs.create()

    gigs.set_status(gig_id, "PAUSED", *ADMIN)

    assert gigs.page(gig_id).seller.username == "webdev_pro"


def test_other_sellers_are_refused_and_buyers_may_not_even_ask(gigs: Gigs) -> None:
    gig_id = gigs.create()

    assert gigs.set_status(gig_id, None, "someone").message == "You don't have permission to modify this gig"
    assert gigs.set_status(gig_id, None, "someone", "buyer").error == "FORBIDDEN"
    gigs.set_status(gig_id, "PAUSED")
    assert gigs.set_status(gig_id, None, "someone").error == "NOT_FOUND"


def test_a_change_of_status_honours_if_match_and_makes_older_tags_fail(gigs: Gigs) -> None:
    gig_id = gigs.create()
    seen = gigs.etag(gig_id)

    assert not gigs.set_status(gig_id, None, if_match=seen).error
    assert gigs.set_status(gig_id, None, if_match=seen).error == "PRECONDITION_FAILED"
    assert gigs.call(an_update(gig_id), if_match=seen).error == "PRECONDITION_FAILED"


def test_other_services_learn_who_owns_a_gig_and_who_may_see_it(gigs: Gigs) -> None:
    gig_id = gigs.create()
    gigs.set_status(gig_id, "PAUSED")

    gig = gigs.internal(gig_pb2.DescribeGigRequest(gig_id=gig_id)).response

    assert (gig.gig_id, gig.seller_id, gig.status) == (gig_id, gigs.page(gig_id).seller.id, gig_pb2.Gig.PAUSED)
    gigs.call(gig_pb2.DeleteGigRequest(gig_id=gig_id))
    assert gigs.internal(gig_pb2.DescribeGigRequest(gig_id=gig_id)).message == "Gig not found"


@pytest.mark.parametrize(
    "request_",
    [gig_pb2.DescribeGigRequest(), gig_pb2.GetPackageTermsRequest(), gig_pb2.ApplyRatingRequest()],
    ids=lambda request: type(request).__name__,
)
def test_people_may_not_call_what_is_for_services(gigs: Gigs, request_: Any) -> None:
    assert gigs.call(request_, "root", "admin").error == "FORBIDDEN"
    assert gigs.call(request_, None).error == "UNAUTHORIZED"
