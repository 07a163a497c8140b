"""Extras of packages: they come with every package, keep their ids, and are no part of a search."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.gigs import Gigs, a_gig, a_package, prices, refused_field

FASTER: dict[str, Any] = {"title": "Two days earlier", "price": 59.99, "extra_days": -2}
LANGUAGE: dict[str, Any] = {"title": "Second language", "price": 180, "extra_days": 4, "extra_revisions": 1}


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


def a_package_with(*extras: dict[str, Any], **changes: Any) -> gig_pb2.PackageInput:
    return a_package(extras=[gig_pb2.ExtraInput(**extra) for extra in extras], **changes)


def packages(gigs: Gigs, gig_id: str) -> list[gig_pb2.Package]:
    """Return the gig's packages, which GetGig and ListPackages show alike."""
    listed = list(gigs.call(gig_pb2.ListPackagesRequest(gig_id=gig_id), None).response.packages)
    assert listed == list(gigs.get(gig_id).response.gig.packages)
    return listed


def replacing(gig_id: str, package_id: str, *extras: dict[str, Any]) -> gig_pb2.UpdatePackageRequest:
    return gig_pb2.UpdatePackageRequest(
        gig_id=gig_id,
        package_id=package_id,
        title="Basic Website",
        price=500,
        delivery_days=14,
        extras=[gig_pb2.ExtraInput(**extra) for extra in extras],
    )


def shown(package: gig_pb2.Package) -> list[tuple[str, float, int, int]]:
    return [(extra.title, extra.price, extra.extra_days, extra.extra_revisions) for extra in package.extras]


def test_a_gig_is_created_with_the_extras_of_its_packages_in_their_order(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package_with(LANGUAGE, FASTER), a_package()])

    first, second = packages(gigs, gig_id)

    assert shown(first) == [("Second language", 180, 4, 1), ("Two days earlier", 59.99, -2, 0)]
    assert len({extra.id for extra in first.extras}) == 2
    assert shown(second) == []


def test_extras_come_with_an_added_package_and_with_the_terms_of_an_order(gigs: Gigs) -> None:
    gig_id = gigs.create()
    added = gigs.call(
        gig_pb2.AddPackageRequest(
            gig_id=gig_id, title="Premium", price=900, delivery_days=9, extras=[gig_pb2.ExtraInput(**FASTER)]
        )
    ).response

    (_, premium) = packages(gigs, gig_id)
    terms = gigs.internal(gig_pb2.GetPackageTermsRequest(package_id=added.id)).response

    assert shown(premium) == [("Two days earlier", 59.99, -2, 0)]
    assert list(terms.extras) == list(premium.extras)


def test_a_known_id_keeps_the_extra_and_whatever_is_left_out_goes(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package_with(FASTER, LANGUAGE)])
    (package,) = packages(gigs, gig_id)
    faster, language = package.extras

    answer = gigs.call(replacing(gig_id, package.id, {**FASTER, "price": 75.5, "id": faster.id}, LANGUAGE))

    (after,) = packages(gigs, gig_id)
    assert after == answer.response.package
    assert shown(after) == [("Two days earlier", 75.5, -2, 0), ("Second language", 180, 4, 1)]
    assert after.extras[0].id == faster.id
    assert after.extras[1].id not in (faster.id, language.id)

    gigs.call(replacing(gig_id, package.id))

    assert shown(packages(gigs, gig_id)[0]) == []


def test_an_extra_that_went_cannot_be_kept_any_more(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package_with(FASTER)])
    (package,) = packages(gigs, gig_id)
    gigs.call(replacing(gig_id, package.id))

    answer = gigs.call(replacing(gig_id, package.id, {**FASTER, "id": package.extras[0].id}))

    assert refused_field(answer) == "extras[0].id"


def test_an_id_that_is_not_an_extra_of_the_package_is_refused_and_changes_nothing(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package_with(FASTER), a_package_with(LANGUAGE)])
    first, second = before = packages(gigs, gig_id)
    own, other = first.extras[0].id, second.extras[0].id

    for wrong in (other, str(new_id())):
        answer = gigs.call(replacing(gig_id, first.id, {**FASTER, "id": own}, {**LANGUAGE, "id": wrong}))
        assert refused_field(answer) == "extras[1].id"
    twice = gigs.call(replacing(gig_id, first.id, {**FASTER, "id": own}, {**LANGUAGE, "id": own.upper()}))
    assert refused_field(twice) == "extras[1].id"

    assert packages(gigs, gig_id) == before


def test_new_packages_have_only_new_extras(gigs: Gigs) -> None:
    known = {**FASTER, "id": str(new_id())}
    gig_id = gigs.create()

    creating = gigs.call(a_gig(packages=[a_package_with(FASTER), a_package_with(LANGUAGE, known)]))
    adding = gigs.call(
        gig_pb2.AddPackageRequest(
            gig_id=gig_id, title="Premium", price=900, delivery_days=9, extras=[gig_pb2.ExtraInput(**known)]
        )
    )

    assert refused_field(creating) == "packages[1].extras[1].id"
    assert refused_field(adding) == "extras[0].id"
    assert gigs.etag(gig_id) == '"1-0-1"'


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": "No"}, "title"),
        ({"title": "x" * 81}, "title"),
        ({"title": "   \u200b "}, "title"),
        ({"price": 0}, "price"),
        ({"price": 1_000_000.01}, "price"),
        ({"price": 9.999}, "price"),
        ({"extra_days": -365}, "extraDays"),
        ({"extra_days": 366}, "extraDays"),
        ({"extra_revisions": -1}, "extraRevisions"),
        ({"extra_revisions": 101}, "extraRevisions"),
        ({"id": "express"}, "id"),
    ],
)
def test_what_is_out_of_bounds_is_named(gigs: Gigs, changes: dict[str, Any], field: str) -> None:
    gig = a_gig(packages=[a_package_with(FASTER, {**LANGUAGE, **changes})])

    assert refused_field(gigs.call(gig)) == f"packages[0].extras[1].{field}"


def test_ten_extras_are_the_most(gigs: Gigs) -> None:
    assert len(packages(gigs, gigs.create(packages=[a_package_with(*[FASTER] * 10)]))[0].extras) == 10
    assert refused_field(gigs.call(a_gig(packages=[a_package_with(*[FASTER] * 11)]))) == "packages[0].extras"


def test_the_bounds_themselves_and_exact_cents_are_kept(gigs: Gigs) -> None:
    bounds = [
        {"title": "Yes", "price": 0.01, "extra_days": -364},
        {"title": "x" * 80, "price": 1_000_000, "extra_days": 365, "extra_revisions": 100},
        {"title": "Zoë's  e\u0301tude \n", "price": 999_999.99},
    ]

    (package,) = packages(gigs, gigs.create(packages=[a_package_with(*bounds)]))

    assert shown(package) == [
        ("Yes", 0.01, -364, 0), ("x" * 80, 1_000_000, 365, 100), ("Zoë's  étude", 999_999.99, 0, 0)
    ]  # fmt: skip


def test_a_change_of_an_extra_is_a_change_of_the_gig(gigs: Gigs) -> None:
    gig_id = gigs.create(packages=[a_package_with(FASTER)])
    (package,) = packages(gigs, gig_id)
    seen = gigs.etag(gig_id)
    request = replacing(gig_id, package.id, {**FASTER, "price": 60, "id": package.extras[0].id})

    changed = gigs.call(request, if_match=seen)

    assert changed.headers["etag"] == gigs.etag(gig_id) != seen
    assert gigs.call(request, if_match=seen).error == "PRECONDITION_FAILED"


def test_searches_ignore_extras(gigs: Gigs) -> None:
    cheap = {**FASTER, "title": "Underwater photography", "price": 1}
    gig_id = gigs.create(packages=[a_package_with(cheap)])
    plain = gigs.create(packages=prices(500))

    assert gigs.found(q="underwater photography") == []
    assert gigs.found(max_price=499) == []
    assert gigs.found(max_delivery_days=13) == []
    results = gigs.search(min_price=500, max_price=500).response.results
    assert {result.id: result.starting_price for result in results} == {gig_id: 500, plain: 500}


def test_an_older_version_keeps_the_extras_that_it_does_not_know(gigs: Gigs, gig_database: Database) -> None:
    gig_id = gigs.create(packages=[a_package_with(FASTER)])
    (package,) = packages(gigs, gig_id)

    gig_database.execute("UPDATE gigs SET version = version + 1")
    gig_database.execute("UPDATE packages SET title = 'Renamed', price = 400")
    gig_database.execute(
        "INSERT INTO packages (id, gig_id, position, title, description, price, delivery_days, features, revisions)"
        " SELECT gen_random_uuid(), gig_id, 9, 'Added', '', 700, 7, '{}', 0 FROM packages"
    )

    assert [shown(each) for each in packages(gigs, gig_id)] == [shown(package), []]
