"""Backups of a running stack, restores into new folders, and the commands that look for differences."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg2

from deploy.local.postgres import SUPERUSER, database_url
from tests.support.stack import Stack, stack_command
from tests.support.story import Market, ok
from tests.support.uploads import a_jpeg, upload


def command(data_dir: Path, backups: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the local stack, with its folder of backups, and return it with its output."""
    return stack_command(data_dir, *words, BACKUP_DIR=str(backups), **environment)


def succeed(ran: subprocess.CompletedProcess[str]) -> str:
    """Return the output of a command that must have succeeded."""
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def differences(stack: Stack, backups: Path) -> str:
    """Return the output of each command that looks for differences in a running stack and finds one."""
    port = str(stack.ports.edge)
    commands = (["check-media"], ["check-books", "--since=beginning"], ["repair-ratings"])
    ran = [command(stack.data_dir, backups, *words, PORT=port) for words in commands]
    return "".join(each.stdout + each.stderr for each in ran if each.returncode)


def ask(stack: Stack, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
    """Run a statement in a database of a stack, as the superuser, and return its rows."""
    connection = psycopg2.connect(database_url(stack.layout, database, SUPERUSER))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


class Trade:
    """A market in which somebody orders, reviews and uploads without a pause."""

    def __init__(self, stack: Stack) -> None:
        self._market = Market.of(stack)
        self._stopping = threading.Event()
        self.orders: list[str] = []
        self.images: list[str] = []
        self.failed: list[str] = []

    def once(self) -> None:
        """Offer a gig with an image, upload a file, and complete an order. What is acknowledged is kept."""
        gig = self._market.gig()
        answer = upload(self._market.seller, gig["id"], a_jpeg())
        self.images += [image["url"] for image in ok(answer, 201)["images"]]
        ok(self._market.seller.post("/api/files", params={"name": "notes.txt"}, content=b"notes" * 100), 201)
        order = self._market.completed(gig)
        self.orders.append(order)
        self._market.review(order)

    def missing_in(self, restored: Stack, orders: list[str], images: list[str]) -> list[str]:
        """Return which of these orders and images a restored stack does not have."""
        token = self._market.buyer.headers["authorization"]
        with httpx.Client(base_url=restored.url, headers={"authorization": token}, timeout=15) as client:
            gone = [order for order in orders if client.get(f"/api/orders/{order}").status_code != 200]
            paths = (httpx.URL(url).path for url in images)
            return gone + [path for path in paths if client.get(path).status_code != 200]

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Trade in a thread for as long as the block takes."""

        def run() -> None:
            while not self._stopping.is_set():
                try:
                    self.once()
                except (AssertionError, httpx.HTTPError) as error:
                    self.failed.append(repr(error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()
            self._stopping.clear()


class Acknowledged(NamedTuple):
    """What was acknowledged when a backup began, and a market that has traded on while it was made."""

    trade: Trade
    orders: list[str]
    images: list[str]
