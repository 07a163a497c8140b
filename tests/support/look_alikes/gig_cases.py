"""What a look-alike gets to see and to do of the other's gigs: the public fields of an ACTIVE one, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.look_alikes.pair import Pair, fields
from tests.support.look_alikes.person import KEY
from tests.support.story import SEED_PACKAGE, a_gig, ok
from tests.support.uploads import JPEG, a_jpeg

Case = Callable[[Pair], None]

SELLER = {"seller.id", "seller.username"}
PACKAGE = {
    "id", "title", "description", "price", "deliveryDays", "features[]", "revisions",
    *(f"extras[].{name}" for name in ("id", "title", "price", "extraDays", "extraRevisions")),
}  # fmt: skip
PAGE = {
    *("id", "title", "description", "categoryId", "tags[]", "status", "rating", "reviewCount"),
    *("createdAt", "updatedAt"),
    *SELLER,
    *(f"packages[].{name}" for name in PACKAGE),
    *(f"images[].{name}" for name in ("id", "url", "thumbnailUrl", "isPrimary")),
}
SUMMARY = {"id", "title", "startingPrice", "rating", "reviewCount", "thumbnail", *SELLER}
UPDATE = {name: value for name, value in a_gig(title="Not my gig").items() if name != "packages"}


def create_gig(pair: Pair) -> None:
    made, others = (person.keyed["CreateGig"].answer for person in (pair.viewer, pair.owner))
    again = pair.ask("POST", "/api/gigs", json=pair.viewer.keyed["CreateGig"].body, headers=KEY)

    assert pair.viewer.keyed["CreateGig"].body == pair.owner.keyed["CreateGig"].body
    assert ok(made, 201)["id"] != ok(others, 201)["id"]
    assert (ok(again, 201), again.headers["location"]) == (made.json(), made.headers["location"])
    assert made.json()["sellerId"] == pair.viewer.id


def get_gig(pair: Pair) -> None:
    for gig in pair.owner.paused:
        ok(pair.owner.client.get(f"/api/gigs/{gig['id']}"))
        pair.hidden("GET", "/api/gigs/{}", gig["id"])
    path = f"/api/gigs/{pair.owner.gig['id']}"
    page = ok(pair.ask("GET", path, shows=[pair.owner.id]))

    assert fields(page) == PAGE
    assert page["seller"]["id"] == pair.owner.id
    assert page == ok(pair.owner.client.get(path))
    assert page == ok(pair.market.anyone.get(path))


def update_gig(pair: Pair) -> None:
    _refuses_to_change(pair, "PUT", "", json=UPDATE)
    own = f"/api/gigs/{pair.viewer.paused[0]['id']}"
    ok(pair.ask("PUT", own, json=UPDATE, headers={"if-match": _tag(pair, own)}))
    ok(pair.ask("PUT", own, json={**UPDATE, "title": pair.viewer.paused[0]["title"]}))


def delete_gig(pair: Pair) -> None:
    _refuses_to_change(pair, "DELETE", "")


def set_gig_status(pair: Pair) -> None:
    for body in ({}, {"status": "ACTIVE"}, {"status": "PAUSED"}):
        _refuses_to_change(pair, "PATCH", "/status", json=body)


def search_gigs(pair: Pair) -> None:
    owner, viewer = pair.owner.id, pair.viewer.id
    listed = ok(pair.ask("GET", "/api/gigs", params={"sellerId": owner}, shows=[owner]))
    own = ok(pair.ask("GET", "/api/gigs", params={"sellerId": viewer, "status": "PAUSED"}))["results"]
    by_words = ok(pair.ask("GET", "/api/gigs", params={"q": pair.owner.gig["title"]}, shows=[owner]))["results"]
    token = pair.owners_page_token("/api/gigs", sellerId=owner, status="PAUSED")

    assert pair.owner.gig["id"] in {row["id"] for row in listed["results"]}
    assert fields(listed["results"]) == {f"[].{name}" for name in SUMMARY}
    assert {row["seller"]["id"] for row in own} == {viewer}
    assert {row["id"] for row in own} >= {gig["id"] for gig in pair.viewer.paused}
    assert {row["seller"]["id"] for row in by_words} >= {owner, viewer}
    for status in ("ACTIVE", "PAUSED", "SUSPENDED"):
        pair.same_as_unknown(403, "GET", f"/api/gigs?status={status}&sellerId={{}}", owner)
        params = {"sellerId": owner, "status": status, "pageToken": token, "pageSize": 1}
        assert pair.ask("GET", "/api/gigs", params=params).status_code == 403
    params = {"sellerId": viewer, "status": "PAUSED", "pageToken": token, "pageSize": 1}
    assert pair.ask("GET", "/api/gigs", params=params).status_code == 400


def list_packages(pair: Pair) -> None:
    path = f"/api/gigs/{pair.owner.gig['id']}/packages"
    listed = ok(pair.ask("GET", path))

    assert fields(listed) == {f"packages[].{name}" for name in PACKAGE}
    assert listed == ok(pair.market.anyone.get(path))
    for gig in pair.owner.paused:
        pair.hidden("GET", "/api/gigs/{}/packages", gig["id"])


def add_package(pair: Pair) -> None:
    _refuses_to_change(pair, "POST", "/packages", json=SEED_PACKAGE)
    # The owner has used the key on this path already, with this body.
    done = pair.owner.keyed["AddPackage"]
    pair.forbidden("POST", done.path, json=done.body, headers=KEY)
    assert ok(pair.owner.repeat("AddPackage"), 201) == ok(done.answer, 201)


def update_package(pair: Pair) -> None:
    _refuses_to_change(pair, "PUT", "/packages/{package}", json=SEED_PACKAGE)
    # The owner's extra in an own package.
    gig, extra = pair.viewer.gig, pair.owner.gig["packages"][1]["extras"][0]
    path = f"/api/gigs/{gig['id']}/packages/{gig['packages'][1]['id']}"
    answer = pair.ask("PUT", path, json={**SEED_PACKAGE, "extras": [extra]})
    assert [each["field"] for each in ok(answer, 400)["details"]] == ["extras[0].id"]


def delete_package(pair: Pair) -> None:
    _refuses_to_change(pair, "DELETE", "/packages/{package}")


def update_image(pair: Pair) -> None:
    _refuses_to_change(pair, "PATCH", "/images/{image}", json={"isPrimary": True})


def delete_image(pair: Pair) -> None:
    _refuses_to_change(pair, "DELETE", "/images/{image}")


def upload_images(pair: Pair) -> None:
    _refuses_to_change(pair, "POST", "/images", content=a_jpeg(), headers={"content-type": JPEG})


def list_categories(pair: Pair) -> None:
    answer = pair.ask("GET", "/api/categories")

    assert fields(ok(answer)) == {f"categories[].{name}" for name in ("id", "slug", "name", "parentId")}
    assert ok(answer) == ok(pair.owner.client.get("/api/categories")) == ok(pair.market.anyone.get("/api/categories"))


def _tag(pair: Pair, path: str) -> str:
    return str(pair.viewer.client.get(path).headers["etag"])


def _refuses_to_change(pair: Pair, method: str, rest: str, **options: Any) -> None:
    """Try to change the owner's gigs, also with the right `If-Match`, and the owner's parts through an own gig."""
    headers = options.pop("headers", {})
    gig, own = pair.owner.gig, pair.viewer.gig["id"]
    parts = {"package": gig["packages"][0]["id"], "image": gig["images"][0]["id"]}
    tag = pair.owner.client.get(f"/api/gigs/{gig['id']}").headers["etag"]
    for extra in ({}, {"if-match": tag}, {"if-match": "*"}):
        pair.forbidden(method, f"/api/gigs/{gig['id']}{rest.format(**parts)}", headers=headers | extra, **options)
    if "{" in rest:
        # Through a gig that is the viewer's own.
        answer = pair.ask(method, f"/api/gigs/{own}{rest.format(**parts)}", headers=headers, **options)
        assert answer.status_code == 404, answer.text
    for paused in pair.owner.paused:
        parts = {"package": paused["packages"][0]["id"], "image": paused["images"][0]["id"]}
        tag = pair.owner.client.get(f"/api/gigs/{paused['id']}").headers["etag"]
        path = f"/api/gigs/{{}}{rest.format(**parts)}"
        for extra in ({}, {"if-match": tag}):
            pair.hidden(method, path, paused["id"], headers=headers | extra, **options)
        if "{" in rest:
            answer = pair.ask(method, f"/api/gigs/{own}{rest.format(**parts)}", headers=headers, **options)
            assert answer.status_code == 404, answer.text


CASES: dict[str, Case] = {
    "GigService.CreateGig": create_gig,
    "GigService.GetGig": get_gig,
    "GigService.UpdateGig": update_gig,
    "GigService.DeleteGig": delete_gig,
    "GigService.SearchGigs": search_gigs,
    "GigService.SetGigStatus": set_gig_status,
    "GigService.ListPackages": list_packages,
    "GigService.AddPackage": add_package,
    "GigService.UpdatePackage": update_package,
    "GigService.DeletePackage": delete_package,
    "GigService.UpdateImage": update_image,
    "GigService.DeleteImage": delete_image,
    "GigService.ListCategories": list_categories,
    "ImageService.UploadImages": upload_images,
}
