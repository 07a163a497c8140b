"""Packages: adding, replacing and deleting them, and their terms for an order."""

from typing import Any

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.gigs import OWNER, Gigs, a_package, an_update

PREMIUM: dict[str, Any] = {
    "title": "Premium Website",
    "description": "10-page site with CMS",
    "price": 1000,
    "delivery_days": 21,
    "features": ["CMS Included", "SEO Setup"],
}


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


def adding(gig_id: str, **changes: Any) -> gig_pb2.AddPackageRequest:
    return gig_pb2.AddPackageRequest(gig_id=gig_id, **{**PREMIUM, **changes})


def replacing(gig_id: str, package_id: str, **changes: Any) -> gig_pb2.UpdatePackageRequest:
    return gig_pb2.UpdatePackageRequest(gig_id=gig_id, package_id=package_id, **{**PREMIUM, **changes})


def deleting(gig_id: str, package_id: str) -> gig_pb2.DeletePackageRequest:
    return gig_pb2.DeletePackageRequest(gig_id=gig_id, package_id=package_id)


def listed(gigs: Gigs, gig_id: str) -> list[gig_pb2.Package]:
    return list(gigs.call(gig_pb2.ListPackagesRequest(gig_id=gig_id), None).response.packages)


def test_a_package_is_added_behind_the_others(gigs: Gigs) -> None:
    gig_id = gigs.create()

    answer = gigs.call(adding(gig_id))

    assert (answer.response.gig_id, answer.response.title) == (gig_id, "Premium Website")
    assert answer.headers["etag"] == gigs.etag(gig_id) == '"2-0-1"'
    basic, premium = listed(gigs, gig_id)
    assert (basic.title, premium.id, premium.price) == ("Basic Website", answer.response.id, 1000)
    assert list(premium.features) == ["CMS Included", "SEO Setup"]


def test_an_eleventh_package_reaches_the_limit(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package()] * 10)

    answer = gigs.call(adding(gig_id))

    assert (answer.error, answer.http_status) == ("LIMIT_REACHED", 409)
    assert len(listed(gigs, gig_id)) == 10


def test_a_package_is_replaced_in_its_place(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package(revisions=2), a_package(title="Second")])
    package_id = listed(gigs, gig_id)[0].id

    answer = gigs.call(replacing(gig_id, package_id, price=750.5))

    package = answer.response.package
    assert (package.id, package.title, package.price, package.revisions) == (package_id, "Premium Website", 750.5, 0)
    assert listed(gigs, gig_id)[0] == package
    assert answer.headers["etag"] == gigs.etag(gig_id)


def test_a_package_goes_but_never_the_last(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package(), a_package(title="Second")])
    first, second = listed(gigs, gig_id)

    answer = gigs.call(deleting(gig_id, first.id))
    assert answer.headers["etag"] == gigs.etag(gig_id)
    last = gigs.call(deleting(gig_id, second.id))

    assert (last.error, last.http_status) == ("CONFLICT", 409)
    assert [package.id for package in listed(gigs, gig_id)] == [second.id]


def test_a_package_added_after_one_went_is_still_the_last_in_order(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package(title=f"Package {number}") for number in range(3)])
    gigs.call(deleting(gig_id, listed(gigs, gig_id)[1].id))

    gigs.call(adding(gig_id))

    assert [package.title for package in listed(gigs, gig_id)] == ["Package 0", "Package 2", "Premium Website"]


@pytest.mark.parametrize("make", [replacing, deleting])
def test_a_package_of_another_gig_is_not_found(gigs: Gigs, make: Any) -> None:
    gig_id, other = gigs.create(), gigs.create()
    foreign = listed(gigs, other)[0].id

    for package_id in (foreign, str(new_id()), "nonsense"):
        answer = gigs.call(make(gig_id, package_id))
        assert (answer.error, answer.message) == ("NOT_FOUND", "Package not found")


def test_only_the_owner_changes_packages(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package(), a_package()])
    package_id = listed(gigs, gig_id)[0].id

    for request in (adding(gig_id), replacing(gig_id, package_id), deleting(gig_id, package_id)):
        assert gigs.call(request, "someone").error == "FORBIDDEN"
    assert gigs.etag(gig_id) == '"1-0-1"'


def test_package_calls_honour_if_match_and_make_older_tags_fail(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package(), a_package()])
    package_id = listed(gigs, gig_id)[0].id

    for request in (adding(gig_id), replacing(gig_id, package_id), deleting(gig_id, package_id)):
        seen = gigs.etag(gig_id)
        assert not gigs.call(request, if_match=seen).error
        assert gigs.call(an_update(gig_id), if_match=seen).error == "PRECONDITION_FAILED"
        assert gigs.call(request, if_match=seen).error in ("PRECONDITION_FAILED", "NOT_FOUND")


def test_the_limit_is_refused_after_the_version(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package()] * 10)

    assert gigs.call(adding(gig_id), if_match='"9-0-1"').error == "PRECONDITION_FAILED"


def test_the_terms_of_a_package_are_all_that_an_order_copies(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package(price=19.99, revisions=2)])
    package = listed(gigs, gig_id)[0]

    terms = gigs.internal(gig_pb2.GetPackageTermsRequest(package_id=package.id)).response

    assert (terms.package_id, terms.package_title) == (package.id, "Basic Website")
    assert (terms.gig_id, terms.gig_title) == (gig_id, "Professional Website Development")
    assert (terms.seller_id, terms.price, terms.delivery_days, terms.revisions) == (str(OWNER), 19.99, 14, 2)


def test_a_deleted_package_has_no_terms(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package(), a_package()])
    first, second = listed(gigs, gig_id)
    gigs.call(deleting(gig_id, first.id))

    for package_id in (first.id, str(new_id())):
        assert gigs.internal(gig_pb2.GetPackageTermsRequest(package_id=package_id)).message == "Package not found"
    gigs.call(gig_pb2.DeleteGigRequest(gig_id=gig_id))
    assert gigs.internal(gig_pb2.GetPackageTermsRequest(package_id=second.id)).message == "Package not found"
