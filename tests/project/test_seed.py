"""`make seed`: a marketplace full of life, whatever happens to the run in between."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from deploy.local.seed import catalogue, pictures
from edge.tokens import user_id
from tests.support.eventually import eventually
from tests.support.stack import ROOT, Stack
from tests.support.story import ok

SECONDS = 120
PLANNED = catalogue.load()
STATUSES = {"PENDING", "IN_PROGRESS", "DELIVERED", "COMPLETED", "CANCELLED", "DISPUTED"}
BADGES = {"devon_codes": "Top Seller", "mara_lindqvist": "Top Seller", "ines_writes": "Rising Talent"}


def start(data_dir: Path, port: int, *words: str, **settings: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
        "PORT": str(port),
        "DATA_DIR": str(data_dir),
    }
    program = [sys.executable, "-m", "deploy.local.seed", *words]
    return subprocess.Popen(
        program, cwd=ROOT, env=environment | settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def seed(data_dir: Path, port: int, *words: str, **settings: str) -> tuple[int, str, str]:
    """Run the seed to its end. Return its status and what it printed."""
    process = start(data_dir, port, *words, **settings)
    printed, errors = process.communicate(timeout=SECONDS)
    return process.returncode, printed, errors


def pages(client: httpx.Client, path: str, **query: Any) -> list[dict[str, Any]]:
    """Return the results of all pages of a list."""
    results: list[dict[str, Any]] = []
    token = ""
    while True:
        page = ok(client.get(path, params={"pageSize": 100, "pageToken": token, **query}))
        results += page["results"]
        token = page.get("nextPageToken", "")
        if not token:
            return results


def everything(stack: Stack) -> dict[str, Any]:
    """Return what the marketplace shows of the seed."""
    with stack.client() as anyone, stack.client("auditor", "admin") as admin:
        gigs = {each["id"]: each for each in pages(anyone, "/api/gigs")}
        orders = {each["orderId"]: each for each in pages(admin, "/api/orders", role="admin")}
        reviews = {gig: ok(anyone.get(f"/api/gigs/{gig}/reviews", params={"pageSize": 100})) for gig in gigs}
        images = {gig: ok(anyone.get(f"/api/gigs/{gig}"))["images"] for gig in gigs}
        offers = pages(admin, "/api/offers", role="admin")
    return {
        "gigs": gigs, "orders": orders, "reviews": reviews, "images": images, "offers": offers,
        "conversations": {each.buyer: conversations(stack, each.buyer) for each in PLANNED.conversations},
    }  # fmt: skip


def conversations(stack: Stack, buyer: str) -> list[list[dict[str, Any]]]:
    """Return the messages of a buyer's conversations, oldest first."""
    with stack.client(buyer, "buyer") as client:
        own = pages(client, "/api/conversations")
        return [pages(client, f"/api/conversations/{each['id']}/messages")[::-1] for each in own]


@pytest.fixture(scope="module")
def seeded() -> Iterator[Stack]:
    """Start a stack, kill a seed in the middle twice, and let a third one come to its end."""
    stack = Stack(workers=1)
    try:
        stack.start()
        with stack.client("auditor", "admin") as admin:
            enough_gigs = lambda: ok(admin.get("/api/gigs"))["total"] >= 10  # noqa: E731
            enough_orders = lambda: len(pages(admin, "/api/orders", role="admin")) >= 10  # noqa: E731
            for is_in_the_middle in (enough_gigs, enough_orders):
                with start(stack.data_dir, stack.ports.edge) as broken_off:
                    eventually(is_in_the_middle, SECONDS, every=0.05)
                    broken_off.send_signal(signal.SIGKILL)
        status, printed, errors = seed(stack.data_dir, stack.ports.edge)
        assert status == 0, printed + errors
        yield stack
    finally:
        stack.stop()


def test_a_run_that_was_broken_off_is_continued_and_a_later_one_changes_nothing(seeded: Stack) -> None:
    before = everything(seeded)

    status, printed, errors = seed(seeded.data_dir, seeded.ports.edge)

    assert (status, errors) == (0, "")
    assert "nothing was changed" in printed
    assert everything(seeded) == before
    assert len(before["gigs"]) == len(PLANNED.gigs) - len(PLANNED.paused)
    assert len(before["orders"]) == len(PLANNED.orders)


def test_the_catalogue_is_worth_looking_at(seeded: Stack) -> None:
    shown = everything(seeded)

    assert {each["status"] for each in shown["orders"].values()} == STATUSES
    payments = {each["payment"]["status"] for each in shown["orders"].values()}
    assert payments == {"AUTHORIZED", "CAPTURED", "VOIDED", "REFUNDED", "PARTIALLY_REFUNDED"}
    badges = {each["seller"]["username"]: each["seller"]["badges"] for each in shown["gigs"].values()}
    assert {name: badges[name] for name in BADGES} == {name: [badge] for name, badge in BADGES.items()}
    assert badges["growth_garage"] == []
    assert all(each["thumbnail"] for each in shown["gigs"].values())
    assert Counter(map(len, shown["images"].values())).keys() == {1, 2}
    reviews = [each for page in shown["reviews"].values() for each in page["results"]]
    assert {each["rating"] for each in reviews} >= {2, 3, 4, 5}
    assert sum("reply" in each for each in reviews) >= 8
    for planned in PLANNED.conversations:
        [messages] = shown["conversations"][planned.buyer]
        assert [each["text"] for each in messages] == ["" if line.price else line.text for line in planned.lines]
    assert [(each["title"], each["status"]) for each in shown["offers"]] == [("Logo, paper bags and door", "OPEN")]


def test_a_revision_stands_in_the_history(seeded: Stack) -> None:
    with seeded.client("jonas_weber", "buyer") as buyer:
        orders = pages(buyer, "/api/orders", role="buyer")
        order = next(each for each in orders if each["package"] == "Site with CMS")
        events = ok(buyer.get(f"/api/orders/{order['orderId']}/events"))["events"]

    assert [each["action"] for each in events] == ["place", "accept", "deliver", "revise", "deliver", "complete"]


def test_what_people_have_changed_since_is_left_alone(seeded: Stack) -> None:
    with seeded.client("petra_ink", "seller") as seller, seeded.client("grace_owusu", "buyer") as buyer:
        order = next(
            each for each in pages(buyer, "/api/orders", role="buyer") if each["package"] == "Poster and flyer"
        )
        ok(seller.post(f"/api/orders/{order['orderId']}/decline"))
        # Declining does not wait for the payment to be voided.
        eventually(lambda: ok(buyer.get(f"/api/orders/{order['orderId']}"))["payment"]["status"] == "VOIDED")
        gig = pages(seller, "/api/gigs", sellerId=str(user_id("petra_ink")), q="packaging")[0]
        assert seller.delete(f"/api/gigs/{gig['id']}").status_code == 204
    before = everything(seeded)

    status, printed, errors = seed(seeded.data_dir, seeded.ports.edge)

    assert (status, errors) == (0, "")
    assert "Changed since" in printed
    assert gig["title"] in printed
    assert everything(seeded) == before


def test_without_a_stack_or_local_keys_it_says_so(tmp_path: Path) -> None:
    issuer = {"USER_JWKS": "https://login.example/jwks", "USER_JWT_ISSUER": "i", "USER_JWT_AUDIENCE": "a"}
    stripe = {"PAYMENTS": "stripe", "STRIPE_API_KEY": "sk", "STRIPE_WEBHOOK_SECRET": "whsec"}

    status, printed, errors = seed(tmp_path, 9)
    assert (status, printed) == (1, "")
    assert f"no stack is running on {tmp_path}. Start one with `make run`" in errors
    assert "USER_JWKS is set" in seed(tmp_path, 9, **issuer)[2]
    assert "PAYMENTS is not `sandbox`" in seed(tmp_path, 9, **stripe)[2]


class _Stranger(BaseHTTPRequestHandler):
    """Another server, which does not take the stack's tokens."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_on_a_wrong_port_it_says_so(seeded: Stack) -> None:
    with HTTPServer(("127.0.0.1", 0), _Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        refused = seed(seeded.data_dir, stranger.server_port)
        stranger.shutdown()
    silent = seed(seeded.data_dir, seeded.ports.edge + 1)

    assert refused[0] == 1
    assert "on another PORT?" in refused[2]
    assert silent[0] == 1
    assert "Give the PORT of the stack" in silent[2]


def test_it_has_a_help() -> None:
    status, printed, _ = seed(Path(), 9, "--help")

    assert status == 0
    assert "broken off is continued" in printed


def test_a_picture_is_the_same_each_time_and_no_two_gigs_share_one() -> None:
    gigs = PLANNED.gigs[:3]

    drawn = [pictures.draw(gig.title, "data-ai", gig.seller) for gig in gigs]

    assert drawn[0] == pictures.draw(gigs[0].title, "data-ai", gigs[0].seller)
    assert len({*drawn, pictures.draw(gigs[0].title, "data-ai", gigs[0].seller, 1)}) == 4
    for each in drawn:
        with Image.open(io.BytesIO(each)) as picture:
            assert picture.size == (pictures.WIDTH, pictures.HEIGHT)
            assert len(picture.getcolors(2**24) or ()) > 1000


def test_every_order_of_the_catalogue_is_known_again() -> None:
    known = [(order.buyer, order.gig.id, order.package) for order in PLANNED.orders]

    assert len(set(known)) == len(known)
    assert len({gig.title for gig in PLANNED.gigs}) == len(PLANNED.gigs)
    talks = [(each.buyer, each.gig.seller) for each in PLANNED.conversations]
    assert len(set(talks)) == len(talks)
    assert not set(PLANNED.sellers) & set(PLANNED.buyers)
