"""The archived log brings a stack back to a moment after its backup; an archive that fails is told of."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import httpx
import psycopg2
import pytest

from deploy.local.backup.catalog import Info
from deploy.local.backup.restore import Request, moment, restore
from deploy.local.postgres import database_url
from deploy.local.settings import StackSettings
from tests.support.backup import Acknowledged, Trade, ask, command, differences, succeed
from tests.support.eventually import eventually
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(300)
SECONDS = 100.0


def archive_the_log(stack: Stack) -> str:
    """End the current file of the log, with something in it, and return its name."""
    ask(stack, "select pg_logical_emit_message(false, 'test', 'something')")
    ((name,),) = ask(stack, "select pg_walfile_name(pg_switch_wal())")
    return str(name)


def wait_until_archived(stack: Stack) -> str:
    """End files of the log until one of them is archived, and return its name.

    After three failures the server waits for a minute, or for the end of a file: an end can come just before that.
    """
    names: list[str] = []

    def is_there() -> bool:
        names.append(archive_the_log(stack))
        return is_archived(stack, names[0])

    eventually(is_there, SECONDS, every=1)
    return names[0]


def is_archived(stack: Stack, name: str) -> bool:
    ((archived,),) = ask(stack, f"select last_archived_wal >= '{name}' from pg_stat_archiver")
    return bool(archived)


def is_told(stack: Stack) -> bool:
    """Whether a metric of a worker says that archiving fails."""
    text = httpx.get(f"http://127.0.0.1:{stack.ports.metrics('gig', 0)}/metrics").text
    return "marketplace_wal_archive_failing 1.0" in text


def test_a_moment_is_utc_unless_it_says_otherwise() -> None:
    texts = ("2026-11-29 12:00:00", "2026-11-29T12:00:00Z", "2026-11-29 13:00:00+01:00")

    assert {moment(text) for text in texts} == {datetime.fromisoformat("2026-11-29T12:00:00+00:00")}
    with pytest.raises(ValueError, match="Invalid isoformat"):
        moment("yesterday")


def test_a_moment_needs_an_archive_and_a_backup_from_before(
    backup: Path, backups: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = StackSettings(data_dir=tmp_path / "data", backup_dir=backups)
    began = Info.read(backup).began

    assert restore(settings, Request(to="latest")) == 1
    assert restore(settings, Request(to=began)) == 1
    assert restore(settings, Request(str(backup), to=began, archive=str(tmp_path))) == 1

    no_archive, no_backup, too_late = capsys.readouterr().out.splitlines()
    assert "needs the archive of the log" in no_archive
    assert "has no backup from before" in no_backup
    assert "which is later; choose an older one" in too_late
    assert not (tmp_path / "data").exists()


def test_an_archive_that_fails_is_told_of_and_loses_nothing(shop: Stack, backup: Path, archive: Path) -> None:
    assert not is_told(shop)
    away = archive.rename(archive.with_name("away"))
    try:
        name = archive_the_log(shop)
        eventually(lambda: is_told(shop), SECONDS, every=0.2)
    finally:
        away.rename(archive)

    logged = [line for line in shop.layout.log("gig-0").read_text().splitlines() if "log is not archived" in line]
    assert name in logged[-1]
    last = wait_until_archived(shop)
    eventually(lambda: not is_told(shop), SECONDS, every=0.2)
    (folder,) = archive.iterdir()
    stored = {path.name.removesuffix(".gz") for path in folder.iterdir()}
    first = Info.read(backup).first_wal
    assert {f"{number:024X}" for number in range(int(first, 16), int(last, 16) + 1)} <= stored


def test_a_table_that_was_destroyed_is_back_as_it_was_a_second_before(
    acknowledged: Acknowledged, shop: Stack, backups: Path, archive: Path, folder: Path
) -> None:
    trade = Trade(shop)
    trade.once()
    ((before,),) = ask(shop, "select clock_timestamp()")
    lost = Trade(shop)
    lost.once()
    ask(shop, "select pg_sleep(1); drop table events, orders cascade", "orders")
    with pytest.raises(psycopg2.errors.UndefinedTable):
        ask(shop, "table orders", "orders")
    wait_until_archived(shop)

    # Not into the same archive: the shop is still there, and writes it.
    words = [f"--to={before.isoformat()}", f"--archive={archive}"]
    words += [f"--{name}={shop.data_dir / name}" for name in ("media", "files")]
    succeed(command(folder / "back", backups, "restore", *words))
    back = Stack(folder / "back", workers=1)
    try:
        back.start()

        assert trade.missing_in(back, trade.orders, trade.images) == []
        assert acknowledged.trade.missing_in(back, acknowledged.trade.orders, acknowledged.trade.images) == []
        assert differences(back, backups) == ""
        # A real provider does not go back in time: it knows a payment that is lost here.
        words = ["check-books", "--since=beginning"]
        provider = database_url(shop.layout, "sandbox")
        books = command(back.data_dir, backups, *words, PORT=str(back.ports.edge), SANDBOX_DATABASE_URL=provider)
        assert books.returncode == 1
        assert lost.orders[0] in books.stdout
        assert trade.orders[0] not in books.stdout
    finally:
        back.stop()
