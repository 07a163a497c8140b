"""A user with marks: a text in every field that takes one, and in headers and files; and the search for them."""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg2
from PIL import Image

from deploy.local.postgres import DATABASES, SUPERUSER, database_url
from edge import tokens
from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import WEB_DEV, Market, action_path, ok

TABLES = """
    SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'pg_catalog')
    UNION ALL SELECT 'pg_catalog.pg_stats'
"""


LETTERS = "bcdfghjklmnprtvw"
# What `a_word` returns: one search finds all words, and a data folder has hundreds of megabytes.
WORD = re.compile(rf"zq[{LETTERS}]{{14}}")
WORD_IN_BYTES = re.compile(WORD.pattern.encode())


def a_word() -> str:
    """Return a word that nothing else has. It is a stem, so that searches keep it as it is."""
    return "zq" + "".join(secrets.choice(LETTERS) for _ in range(14))


class MarkedUser:
    """A seller and buyer. `marks` are the words that were stored, by the places where the user has written them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.marks: dict[str, str] = {}
        self.name = self.mark("the name")
        self.client = stack.client(self.name, "seller", "buyer")
        self.id = str(tokens.user_id(self.name))
        self.gig = ""
        self.package: dict[str, Any] = {}
        self.endpoint = ""
        self.reviewed = ""
        self.replied = ""

    def mark(self, place: str) -> str:
        """Return a new word for this place."""
        return self.marks.setdefault(place, a_word())

    def key(self, place: str) -> dict[str, str]:
        """Return the header of an idempotency key."""
        return {"idempotency-key": self.mark(f"the key of {place}")}

    def text(self, place: str) -> str:
        """Return a text for this place."""
        return f"Some words and {self.mark(place)}"

    def offer(self) -> None:
        """Create a gig with every text, change some of them, and give it a picture; delete another gig."""
        self.gig = ok(self.client.post("/api/gigs", json=self._gig_body("gig"), headers=self.key("CreateGig")), 201)[
            "id"
        ]
        package = self._package_body("second package")
        path = f"/api/gigs/{self.gig}/packages"
        added = ok(self.client.post(path, json=package, headers=self.key("AddPackage")), 201)["id"]
        ok(self.client.put(f"{path}/{added}", json=self._package_body("changed package")))
        changed = self._gig_texts("changed gig")
        ok(self.client.put(f"/api/gigs/{self.gig}", json=changed))
        self.package = ok(self.client.get(f"/api/gigs/{self.gig}"))["packages"][0]
        ok(self._send_picture(), 201)
        deleted = ok(self.client.post("/api/gigs", json=self._gig_body("deleted gig")), 201)["id"]
        ok(self.client.delete(f"/api/gigs/{deleted}"), 204)

    def buy(self, market: Market) -> None:
        """Order from the market's seller, with a message of every kind that a buyer can write."""
        gig = market.gig(revisions=1)
        self.reviewed = self._order(gig, "a completed order")
        self._acts(self.reviewed, (market.seller, "accept"))
        self._acts(self.reviewed, (market.seller, "extend"), (self.client, "accept_extension"))
        self._acts(self.reviewed, (market.seller, "deliver"), (self.client, "revise"))
        self._acts(self.reviewed, (market.seller, "deliver"), (self.client, "complete"))
        body = {"rating": 5, "comment": self.text("the review")}
        ok(self.client.post(f"/api/orders/{self.reviewed}/review", json=body, headers=self.key("SubmitReview")), 201)
        disputed = self._order(gig, "a disputed order")
        self._acts(disputed, (market.seller, "accept"), (market.seller, "deliver"), (self.client, "dispute"))
        resolution = {"outcome": "CANCELLED", "message": "The buyer is right"}
        ok(market.admin.post(f"/api/orders/{disputed}/resolve", json=resolution))

    def sell(self, market: Market) -> None:
        """Sell to the market's buyer, with a message of every kind that a seller can write, and be paid out."""
        body = {
            "packageId": self.package["id"],
            "extraIds": [extra["id"] for extra in self.package["extras"]],
            "requirements": "Need dark theme",
            "paymentMethod": "sandbox",
        }
        key = {"idempotency-key": a_word()}
        order = str(ok(market.buyer.post("/api/orders", json=body, headers=key), 201)["orderId"])
        self._acts(order, (self.client, "accept"), (self.client, "extend"), (market.buyer, "decline_extension"))
        self._acts(order, (self.client, "deliver"), (market.buyer, "complete"))
        review = {"rating": 4, "comment": "Good work"}
        self.replied = ok(market.buyer.post(f"/api/orders/{order}/review", json=review), 201)["reviewId"]
        ok(self.client.post(f"/api/reviews/{self.replied}/reply", json={"text": self.text("the reply")}))
        declined = str(ok(market.buyer.post("/api/orders", json=body), 201)["orderId"])
        self._acts(declined, (self.client, "decline"))
        adjusted = {"amount": 5, "message": self.text("an adjustment's message")}
        ok(market.admin.post(f"/api/sellers/{self.id}/adjustments", json=adjusted, headers=key), 201)
        refund = {"amount": 1, "message": "A goodwill", "from": "platform"}
        ok(market.admin.post(f"/api/orders/{order}/refund", json=refund, headers=key))

    def ask_for_payout(self) -> None:
        """Have all that is available paid out, and wait for it."""
        ok(self.client.put("/api/payout-account", json={"destination": f"acct-{self.mark('the payout account')}"}))
        available = ok(self.client.get("/api/balance"))["available"]
        payout = ok(
            self.client.post("/api/payouts", json={"amount": available}, headers=self.key("RequestPayout")), 201
        )
        path = f"/api/payouts/{payout['payoutId']}"
        eventually(lambda: ok(self.client.get(path))["status"] == "PAID")

    def listen(self) -> None:
        """Create a webhook endpoint, which nobody answers."""
        body = {"url": f"http://127.0.0.1:9/{self.mark('the endpoint')}"}
        self.endpoint = ok(self.client.post("/api/webhook-endpoints", json=body), 201)["id"]

    def order_from(self, market: Market) -> str:
        """Place an order that nobody has answered yet. Return its id."""
        return self._order(market.gig(), "an open order")

    def late_gig(self) -> int:
        """Try to create a gig. Return the status."""
        return self.client.post("/api/gigs", json=self._gig_body("late gig")).status_code

    def late_picture(self) -> int:
        """Try to add a picture. Return the status."""
        return self._send_picture().status_code

    def _send_picture(self) -> httpx.Response:
        headers = {"content-type": "image/jpeg"}
        return self.client.post(f"/api/gigs/{self.gig}/images", content=a_signed_picture(), headers=headers)

    def _gig_body(self, what: str) -> dict[str, Any]:
        return {**self._gig_texts(what), "packages": [self._package_body(f"package of a {what}")]}

    def _gig_texts(self, what: str) -> dict[str, Any]:
        return {
            "title": self.text(f"the title of a {what}"),
            "description": self.text(f"the description of a {what}"),
            "categoryId": WEB_DEV,
            "tags": [self.mark(f"a tag of a {what}")],
        }

    def _package_body(self, what: str) -> dict[str, Any]:
        return {
            "title": self.text(f"the title of a {what}"),
            "description": self.text(f"the description of a {what}"),
            "price": 50,
            "deliveryDays": 3,
            "features": [self.text(f"a feature of a {what}")],
            "extras": [{"title": self.text(f"an extra of a {what}"), "price": 5}],
        }

    def _order(self, gig: dict[str, Any], what: str) -> str:
        body = {
            "packageId": gig["packages"][0]["id"],
            "requirements": self.text(f"the requirements of {what}"),
            "paymentMethod": "sandbox",
            "paymentToken": f"card-{self.mark(f'the card of {what}')}",
        }
        return str(ok(self.client.post("/api/orders", json=body, headers=self.key(what)), 201)["orderId"])

    def _acts(self, order: str, *steps: tuple[httpx.Client, str]) -> None:
        for client, action in steps:
            own = client is self.client
            message = self.text(f"the message of {action} of {order}") if own else "Here you are"
            ok(client.post(action_path(order, action), json={"message": message, "days": 5}))


def a_signed_picture() -> bytes:
    """Return a JPEG with a comment, as cameras and programs add one."""
    out = io.BytesIO()
    Image.new("RGB", (320, 200), (20, 90, 140)).save(out, "JPEG", quality=90, comment=b"made by the seller")
    return out.getvalue()


def found_in_tables(stack: Stack, marks: Collection[str]) -> dict[str, set[str]]:
    """Return the marks that stand in any row of any table of any database, by table."""
    found: dict[str, set[str]] = {}
    for database in DATABASES.values():
        with closing(psycopg2.connect(database_url(stack.layout, database, SUPERUSER))) as connection:
            cursor = connection.cursor()
            cursor.execute(TABLES)
            for (table,) in cursor.fetchall():
                text = "\n".join(_rows(cursor, table))
                if there := set(WORD.findall(text)).intersection(marks):
                    found[f"{database}.{table}"] = there
    return found


def _rows(cursor: Any, table: str) -> Iterator[str]:
    cursor.execute(f"SELECT * FROM {table}")  # PostgreSQL's own names
    for row in cursor:
        yield " ".join(bytes(v).decode("latin-1") if isinstance(v, memoryview) else str(v) for v in row)


def found_in_files(folder: Path, marks: Collection[str], *, with_log: bool = False) -> dict[str, set[str]]:
    """Return the marks in any file below a folder, by file; in the write-ahead log, which goes by itself, if asked."""
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*"):
        if ("pg_wal" in path.parts and not with_log) or not path.is_file() or path.is_symlink():
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        if there := {word.decode() for word in WORD_IN_BYTES.findall(content)}.intersection(marks):
            found[str(path.relative_to(folder))] = there
    return found


def pictures(stack: Stack) -> set[str]:
    """Return the files of pictures."""
    return {path.name for path in stack.layout.media.rglob("*") if path.is_file()}


def analyse(stack: Stack) -> None:
    """Have PostgreSQL take samples of all values, as it does by itself now and then."""
    for database in DATABASES.values():
        with closing(psycopg2.connect(database_url(stack.layout, database, SUPERUSER))) as connection:
            connection.autocommit = True
            connection.cursor().execute("ANALYZE; CHECKPOINT")
