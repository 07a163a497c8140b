"""Pictures, through the real edge: what comes in, what goes out, what is refused, and what it costs."""

from __future__ import annotations

import io
import os
import socket
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image

from tests.support.eventually import eventually
from tests.support.stack import Stack, stack_command
from tests.support.story import Market, ok
from tests.support.uploads import JPEG, a_jpeg, a_photo, peak_memory_during, strained_uploads, upload, upload_at_once


def form(client: httpx.Client, gig: str, *files: bytes, media_type: str = JPEG, query: str = "") -> httpx.Response:
    """Send files as a browser's form does."""
    parts = [("file", (f"holiday-{number}.jpg", data, media_type)) for number, data in enumerate(files)]
    return client.post(f"/api/gigs/{gig}/images{query}", files=parts, timeout=60)


def page(market: Market, gig: str) -> Any:
    return ok(market.anyone.get(f"/api/gigs/{gig}"))


def fetched(url: str) -> Image.Image:
    """Return the picture at a URL, as a browser gets it."""
    answer = httpx.get(url, timeout=15)
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def media_files(stack: Stack) -> set[Path]:
    return {path for path in (stack.data_dir / "media").rglob("*") if path.is_file()}


def test_a_picture_is_there_for_everyone_with_its_thumbnail(market: Market) -> None:
    gig = market.gig()

    answer = upload(market.seller, gig["id"], a_jpeg(1000, 500))

    (image,) = ok(answer, 201)["images"]
    assert image.keys() == {"id", "url", "thumbnailUrl", "isPrimary"}
    assert image["isPrimary"] is True
    assert answer.headers["etag"]
    assert page(market, gig["id"])["images"] == [image]
    picture, thumbnail = fetched(image["url"]), fetched(image["thumbnailUrl"])
    assert (picture.format, picture.size) == ("JPEG", (1000, 500))
    assert (thumbnail.format, thumbnail.size) == ("WEBP", (480, 240))


def test_files_are_served_for_good_and_as_nothing_else(market: Market) -> None:
    (image,) = ok(upload(market.seller, market.gig()["id"], a_jpeg()), 201)["images"]

    answer = httpx.get(image["url"])

    assert answer.headers["content-type"] == JPEG
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert httpx.head(image["url"]).status_code == 200
    assert httpx.post(image["url"]).status_code == 405
    folder = image["url"].rsplit("/", 1)[0]
    for path in (folder, folder + "/", image["url"] + "/", folder + "/../../../etc/passwd", folder + "/%2e%2e/x.jpg"):
        refused = httpx.get(path)
        assert refused.status_code == 404
        assert refused.json()["code"] == "NOT_FOUND"


def test_a_search_shows_the_primary_images_thumbnail(market: Market) -> None:
    gig = market.gig()
    first, second = ok(form(market.seller, gig["id"], a_jpeg(), a_jpeg()), 201)["images"]

    def shown() -> str:
        page_of_results = ok(market.anyone.get("/api/gigs", params={"sellerId": gig["seller"]["id"]}))
        return str(page_of_results["results"][0]["thumbnail"])

    assert shown() == first["thumbnailUrl"]
    ok(market.seller.patch(f"/api/gigs/{gig['id']}/images/{second['id']}", json={"isPrimary": True}))
    assert shown() == second["thumbnailUrl"]
    for image in (first, second):
        assert market.seller.delete(f"/api/gigs/{gig['id']}/images/{image['id']}").status_code == 204
    assert shown() == ""


def test_exactly_one_image_is_primary_whatever_happens(market: Market) -> None:
    gig = market.gig()["id"]
    images = ok(form(market.seller, gig, a_jpeg(), a_jpeg(), a_jpeg()), 201)["images"]

    def primary() -> list[int]:
        known = [image["id"] for image in images]
        return [known.index(image["id"]) for image in page(market, gig)["images"] if image["isPrimary"]]

    assert primary() == [0]
    moved = ok(market.seller.patch(f"/api/gigs/{gig}/images/{images[2]['id']}", json={"isPrimary": True}))
    assert moved == {**images[2], "isPrimary": True}
    assert primary() == [2]
    market.seller.delete(f"/api/gigs/{gig}/images/{images[2]['id']}")
    assert primary() == [0]
    images += ok(upload(market.seller, gig, a_jpeg(), query="?isPrimary=true"), 201)["images"]
    assert primary() == [3]
    images += ok(form(market.seller, gig, a_jpeg(), a_jpeg(), query="?isPrimary=true"), 201)["images"]
    assert primary() == [4]


@pytest.mark.parametrize("body", [{"isPrimary": False}, {}, {"isPrimary": "yes"}])
def test_a_patch_moves_the_primary_image_and_does_nothing_else(market: Market, body: dict[str, Any]) -> None:
    gig = market.gig()["id"]
    (image,) = ok(upload(market.seller, gig, a_jpeg()), 201)["images"]

    assert market.seller.patch(f"/api/gigs/{gig}/images/{image['id']}", json=body).status_code == 400


def test_only_the_owner_adds_and_removes_images(stack: Stack, market: Market) -> None:
    gig = market.gig()["id"]
    (image,) = ok(upload(market.seller, gig, a_jpeg()), 201)["images"]
    stranger = Market.of(stack).seller

    assert upload(market.anyone, gig, a_jpeg()).status_code == 401
    assert upload(market.buyer, gig, a_jpeg()).status_code == 403
    assert upload(stranger, gig, a_jpeg()).status_code == 403
    assert upload(stranger, str(uuid4()), a_jpeg()).status_code == 404
    assert upload(stranger, "17", a_jpeg()).status_code == 404
    assert stranger.delete(f"/api/gigs/{gig}/images/{image['id']}").status_code == 403
    assert market.seller.delete(f"/api/gigs/{gig}/images/{uuid4()}").status_code == 404
    assert market.anyone.get(f"/api/gigs/{gig}/images").status_code == 405


def test_if_match_is_honoured_by_all_that_changes_images(market: Market) -> None:
    gig = market.gig()["id"]
    stale = market.anyone.get(f"/api/gigs/{gig}").headers["etag"]
    (image,) = ok(upload(market.seller, gig, a_jpeg()), 201)["images"]
    path, old = f"/api/gigs/{gig}/images", {"if-match": stale}

    headers = {**old, "content-type": JPEG}
    assert market.seller.post(path, content=a_jpeg(), headers=headers).status_code == 412
    assert market.seller.patch(f"{path}/{image['id']}", json={"isPrimary": True}, headers=old).status_code == 412
    assert market.seller.delete(f"{path}/{image['id']}", headers=old).status_code == 412
    assert len(page(market, gig)["images"]) == 1


def test_the_twenty_first_image_is_refused_and_a_form_that_does_not_fit_changes_nothing(market: Market) -> None:
    gig = market.gig()["id"]
    small = a_jpeg(8, 8)
    assert len(ok(form(market.seller, gig, *[small] * 19), 201)["images"]) == 19

    assert ok(form(market.seller, gig, small, small), 409)["code"] == "LIMIT_REACHED"
    assert len(page(market, gig)["images"]) == 19
    ok(upload(market.seller, gig, small), 201)
    assert ok(upload(market.seller, gig, small), 409)["code"] == "LIMIT_REACHED"


def test_a_form_of_three_with_the_second_one_broken_changes_nothing(stack: Stack, market: Market) -> None:
    gig = market.gig()["id"]
    before, files = page(market, gig), media_files(stack)

    answer = form(market.seller, gig, a_jpeg(), a_jpeg()[:200], a_jpeg())

    assert ok(answer, 400)["code"] == "INVALID_ARGUMENT"
    assert page(market, gig) == before
    assert media_files(stack) == files


@pytest.mark.parametrize(
    "media_type", ["image/jpg", "image/png", "image/webp; charset=x", "application/octet-stream", "image/svg+xml", None]
)
def test_a_file_is_what_its_bytes_tell(market: Market, media_type: str | None) -> None:
    gig = market.gig()["id"]
    headers = {"content-type": media_type} if media_type else {}

    raw = market.seller.post(f"/api/gigs/{gig}/images", content=a_jpeg(), headers=headers, timeout=60)
    sent = market.seller.post(f"/api/gigs/{gig}/images", files={"file": ("x", a_jpeg(), media_type)}, timeout=60)

    for answer in (raw, sent):
        assert ok(answer, 201)["images"][0]["url"].endswith(".jpg")


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("text/html", 415),
        ("text/plain", 415),
        ("application/json", 415),
        ("image/svg+xml", 415),
        ("image/tiff", 415),
        ("image/png", 400),
        ("image/jpg", 400),
        ("application/octet-stream", 400),
        ("multipart/form-data", 400),
    ],
)
def test_bytes_that_are_no_picture_are_400_and_415_where_the_type_says_so(
    market: Market, media_type: str, status: int
) -> None:
    assert upload(market.seller, market.gig()["id"], b"<svg>words</svg>", media_type).status_code == status


def test_the_forms_of_http_libraries_are_taken(market: Market, tmp_path: Path) -> None:
    gig = market.gig()["id"]
    webp = tmp_path / "picture.webp"
    Image.new("RGB", (64, 48), "red").save(webp, "WEBP")
    heads = [
        'name="file"; filename="a.jpg"',  # python-requests
        'name="file"; filename="a.jpg"\r\nContent-Type: application/octet-stream',  # Go, PHP, Node
        'name="file"; filename="A.JPG"\r\nContent-Type: image/jpg',
        'name="file"\r\nContent-Type: text/plain',
    ]
    for head in heads:
        body = f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + a_jpeg() + b"\r\n--b--\r\n"
        assert upload(market.seller, gig, body, "multipart/form-data; boundary=b").status_code == 201, head
    token = market.seller.headers["authorization"]
    command = ["curl", "-sS", "-w", "%{http_code}", "-H", f"Authorization: {token}", "-F", f"file=@{webp}"]
    url = f"{market.seller.base_url}/api/gigs/{gig}/images"
    done = subprocess.run([*command, url], capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("201"), done.stdout


def test_a_file_of_more_than_ten_mebibytes_is_413_by_its_length(market: Market) -> None:
    gig = market.gig()["id"]
    too_large = b"x" * (10 * (1 << 20) + 1)

    assert ok(upload(market.seller, gig, too_large), 413)["code"] == "PAYLOAD_TOO_LARGE"
    assert form(market.seller, gig, a_jpeg(), too_large).status_code == 413
    assert page(market, gig)["images"] == []


def test_a_file_of_more_than_ten_mebibytes_is_413_before_it_has_ended(stack: Stack, market: Market) -> None:
    gig = market.gig()["id"]
    head = [
        f"POST /api/gigs/{gig}/images HTTP/1.1",
        "Host: edge",
        f"Authorization: {market.seller.headers['authorization']}",
        f"Content-Type: {JPEG}",
        "Transfer-Encoding: chunked",
    ]
    piece = b"10000\r\n" + b"\xff\xd8" + b"x" * ((1 << 16) - 2) + b"\r\n"

    with socket.create_connection(("127.0.0.1", stack.ports.edge), timeout=60) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + piece * 161)
        # Neither the end of the body nor of the request is ever sent.
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413 ")

    assert page(market, gig)["images"] == []


def test_too_many_pixels_are_413(market: Market) -> None:
    out = io.BytesIO()
    Image.new("L", (10_001, 5_000)).save(out, "PNG")

    assert (
        ok(upload(market.seller, market.gig()["id"], out.getvalue(), "image/png"), 413)["code"] == "PAYLOAD_TOO_LARGE"
    )


def test_an_empty_body_and_a_form_without_a_file_are_400(market: Market) -> None:
    gig = market.gig()["id"]

    assert upload(market.seller, gig, b"").status_code == 400
    assert market.seller.post(f"/api/gigs/{gig}/images", files={"note": (None, "hello")}).status_code == 400


def test_over_http_2_a_picture_goes_in_as_well(stack: Stack, market: Market) -> None:
    gig = market.gig()["id"]
    headers = dict(market.seller.headers)
    with httpx.Client(base_url=stack.url, http1=False, http2=True, headers=headers, timeout=30) as client:
        answers = [upload(client, gig, a_photo(4)), form(client, gig, a_jpeg(), a_jpeg())]

    assert [answer.http_version for answer in answers] == ["HTTP/2"] * 2
    assert [len(ok(answer, 201)["images"]) for answer in answers] == [1, 2]


def test_the_files_of_deleted_images_and_gigs_go_in_the_end(stack: Stack, market: Market) -> None:
    before = media_files(stack)
    gig = market.gig()["id"]
    images = ok(form(market.seller, gig, a_jpeg(), a_jpeg()), 201)["images"]
    assert len(media_files(stack) - before) == 4

    market.seller.delete(f"/api/gigs/{gig}/images/{images[0]['id']}")
    eventually(lambda: len(media_files(stack) - before) == 2)
    assert httpx.get(images[0]["url"]).status_code == 404
    market.seller.delete(f"/api/gigs/{gig}")
    eventually(lambda: media_files(stack) == before)


def test_an_image_whose_file_is_gone_is_found(stack: Stack, market: Market) -> None:
    def check() -> subprocess.CompletedProcess[str]:
        return stack_command(stack.data_dir, "check-media")

    gig = market.gig()["id"]
    (image,) = ok(upload(market.seller, gig, a_jpeg()), 201)["images"]
    assert check().returncode == 0
    key = image["url"].split("/media/")[1]
    (stack.data_dir / "media" / key).unlink()

    report = check()

    assert report.returncode == 1
    assert key in report.stdout
    assert gig in report.stdout
    market.seller.delete(f"/api/gigs/{gig}")
    assert check().returncode == 0


@pytest.mark.alone
def test_fifty_uploads_at_once_stay_under_300_mebibytes(stack: Stack) -> None:
    # The benchmark of uploads decodes all fifty.
    photo = a_photo(12)
    assert len(photo) > 3 << 20
    no_pictures = [photo[:3] + os.urandom(len(photo))] * 45
    answers: list[int] = []

    peak = peak_memory_during(stack, lambda: answers.extend(upload_at_once(stack, [photo] * 5 + no_pictures)))

    assert answers == [201] * 5 + [400] * 45
    assert 0 < peak < 300 * 2**20


@pytest.mark.alone
def test_reads_go_on_while_a_bomb_is_decoded_and_fifty_uploads_dribble(
    stack: Stack, market: Market, tmp_path: Path
) -> None:
    gig = market.gig()["id"]

    with strained_uploads(stack, tmp_path) as clients:
        answers = [market.anyone.get(f"/api/gigs/{gig}").status_code for _ in range(200)]

        assert clients.poll() is None
    assert answers == [200] * 200
