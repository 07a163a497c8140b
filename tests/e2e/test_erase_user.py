"""`make export-user` and `make erase-user`: all that is known of a user, and nothing of it afterwards."""

from __future__ import annotations

import json
import stat
import subprocess
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.marked_user import MarkedUser, analyse, found_in_files, found_in_tables, pictures
from tests.support.stack import Stack, stack_command
from tests.support.story import Market, ok


def run(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the stack."""
    return stack_command(stack.data_dir, *words, BACKUP_DIR=str(backups_of(stack)), PORT=str(stack.ports.edge))


def backups_of(stack: Stack) -> Path:
    """Return the folder of the stack's backups."""
    return stack.data_dir.with_name("backups")


def what_others_have(market: Market) -> dict[str, Any]:
    """Return what the buyer and the seller who deal with the user can read of their own."""
    paths = {"seller": ("/api/balance", "/api/balance/entries"), "buyer": ("/api/balance",)}
    read = {path: ok(market.seller.get(path)) for path in paths["seller"]}
    orders = (
        ok(market.buyer.get("/api/orders"))["results"] + ok(market.seller.get("/api/orders?role=seller"))["results"]
    )
    kept = ("orderId", "price", "status", "payment", "buyerId", "sellerId", "createdAt", "dueDate")
    return {**read, "orders": [{name: order.get(name) for name in kept} for order in orders]}


# Some forty processes of Python, and a second stack.
@pytest.mark.timeout(600)
def test_an_erased_user_is_nowhere_and_the_books_and_others_are_as_before(stack: Stack, tmp_path: Path) -> None:
    market, user = Market.of(stack), MarkedUser(stack)
    before_pictures = pictures(stack)
    user.offer()
    user.listen()
    user.buy(market)
    user.sell(market)
    own_pictures = pictures(stack) - before_pictures
    open_order = user.order_from(market)

    refused = run(stack, "erase-user", f"--user={user.id}")

    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert f"order {open_order} is PENDING" in refused.stdout
    assert "in available: it has to be paid out" in refused.stdout
    assert ok(user.client.get("/api/orders"))["results"], "a refused erasure closes no account"

    ok(user.client.post(f"/api/orders/{open_order}/cancel", json={"message": user.text("the cancelling")}))
    user.ask_for_payout()
    analyse(stack)
    marks = user.marks.values()
    written = found_in_tables(stack, marks)
    # Texts that were replaced are only in the files of tables.
    unseen = set(marks) - set().union(*written.values(), *found_in_files(stack.data_dir, marks).values())
    assert not unseen, f"not even there before: {[place for place, mark in user.marks.items() if mark in unseen]}"
    assert "gigs.pg_catalog.pg_stats" in written
    others = what_others_have(market)
    rating = ok(market.anyone.get(f"/api/gigs/{market_gig(market, user)}"))["rating"]

    archive = tmp_path / "user.zip"
    exported = run(stack, "export-user", f"--user={user.id}", f"--out={archive}")

    assert exported.returncode == 0, exported.stdout + exported.stderr
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert_complete(archive, user, pictures=len(own_pictures) // 2)

    assert run(stack, "backup").returncode == 0
    [backup] = [path.name for path in backups_of(stack).glob("*Z")]

    erased = run(stack, "erase-user", f"--user={user.id}", "--compact")
    assert erased.returncode == 0, erased.stdout + erased.stderr

    assert run(stack, "backup").returncode == 0
    afterwards = max(backups_of(stack).glob("*Z"))
    places = {mark: place for place, mark in user.marks.items()}
    in_backup = found_in_files(afterwards, marks, with_log=True)
    for found in (found_in_tables(stack, marks), found_in_files(stack.data_dir, marks), in_backup):
        assert not found, {where: [places[mark] for mark in there] for where, there in found.items()}
    assert not own_pictures & pictures(stack)
    assert user.id in (stack.data_dir / "erased-users").read_text()
    assert what_others_have(market) == others
    review = ok(market.anyone.get(f"/api/gigs/{market_gig(market, user)}/reviews"))["results"]
    assert [(each["rating"], each["comment"], each["buyer"]["username"]) for each in review] == [(5, "", "[erased]")]
    assert ok(market.anyone.get(f"/api/gigs/{market_gig(market, user)}"))["rating"] == rating == 5
    assert market.anyone.get(f"/api/gigs/{user.gig}").status_code == 404
    assert run(stack, "check-books", "--since=beginning").returncode == 0
    assert run(stack, "repair-ratings").returncode == 0

    # A token that is still valid brings nothing back.
    assert user.client.get("/api/orders").status_code == 401
    assert user.client.get("/api/watch").status_code == 401
    assert user.late_gig() == user.late_picture() == 401
    assert_erased_again_after_a_restore(stack, backup, user, own_pictures)


def assert_erased_again_after_a_restore(stack: Stack, backup: str, user: MarkedUser, own_pictures: set[str]) -> None:
    """Restore a backup that has the user, and erase the listed users again."""
    restored = Stack(stack.data_dir.with_name("restored"), workers=1)
    try:
        told = run(restored, "restore", f"--backup={backup}")
        assert told.returncode == 0, told.stdout + told.stderr
        assert "make erase-user USER=listed" in told.stdout
        restored.start()
        assert ok(restored.client().get(f"/api/gigs/{user.gig}"))["seller"]["username"] == user.name

        again = run(restored, "erase-user", "--user=listed")

        assert again.returncode == 0, again.stdout + again.stderr
        assert not found_in_tables(restored, user.marks.values())
        assert not own_pictures & pictures(restored)
    finally:
        restored.stop()


def market_gig(market: Market, user: MarkedUser) -> str:
    """Return the gig of the market's seller that the user has reviewed."""
    seen = ok(market.seller.get(f"/api/orders/{user.reviewed}"))
    return str(seen["gigId"])


def assert_complete(archive: Path, user: MarkedUser, pictures: int) -> None:
    """Check that the archive has every text that is still shown to the user, and their pictures."""
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        names = packed.namelist()
        texts = {name: packed.read(name).decode() for name in names if name.endswith((".json", ".txt"))}
        assert sum(name.startswith(f"images/{user.gig}/") for name in names) == pictures > 0
        assert all(packed.read(name)[:2] == b"\xff\xd8" for name in names if name.endswith(".jpg"))
    assert {"gig.json", "order.json", "review.json", "README.txt"} <= texts.keys()
    for name, text in texts.items():
        if name.endswith(".json"):
            json.loads(text)
    everything = "".join(texts.values())
    replaced = ("of a gig", "of a second package", "the key of AddPackage")
    hidden = ("the card of ", "x")
    missing = [
        place
        for place, mark in user.marks.items()
        if mark not in everything and not place.startswith(hidden) and not place.endswith(replaced)
    ]
    assert not missing, missing


def test_an_unknown_user_and_what_is_no_id_are_refused(stack: Stack, tmp_path: Path) -> None:
    unknown = run(stack, "export-user", f"--user={uuid4()}", f"--out={tmp_path / 'user.zip'}")
    wrong = run(stack, "erase-user", "--user=root")

    assert (unknown.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "Nothing is known" in unknown.stdout
    assert wrong.returncode == 2
    assert "not a user's id" in wrong.stderr
