"""A stack in use is backed up; what was acknowledged before is in the stack that is made of the backup."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.backup import catalog
from deploy.local.backup.backup import back_up
from deploy.local.backup.catalog import Info
from deploy.local.backup.restore import Request, restore
from deploy.local.layout import Layout
from deploy.local.lock import PreflightError
from deploy.local.preflight import checks
from deploy.local.settings import StackSettings
from servicekit.progress import Progress
from tests.support.backup import Acknowledged, Trade, command, differences, succeed
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def damaged(backup: Path, folder: Path) -> Iterator[Path]:
    """Return a copy of the backup that a test may damage."""
    copy = folder / "damaged"
    shutil.copytree(backup, copy)
    yield copy
    shutil.rmtree(copy)


def test_a_restored_stack_has_what_was_acknowledged_before_the_backup(
    acknowledged: Acknowledged, backups: Path, folder: Path
) -> None:
    trade, orders, images = acknowledged
    assert len(trade.orders) > len(orders), "nobody traded meanwhile"

    printed = succeed(command(folder / "restored", backups, "restore"))
    restored = Stack(folder / "restored", workers=1)
    try:
        restored.start()

        assert trade.missing_in(restored, orders, images) == []
        assert differences(restored, backups) == ""
        Trade(restored).once()
    finally:
        restored.stop()
    assert "make check-books" in printed


def test_nobody_notices_a_backup(acknowledged: Acknowledged) -> None:
    assert acknowledged.trade.failed == []


def test_only_its_owner_may_read_a_backup(backup: Path) -> None:
    assert backup.stat().st_mode & 0o077 == 0
    assert {path.name for path in (backup / "keys").iterdir()} >= {"user.pem", "webhooks.keys"}


def test_images_and_the_log_are_kept_once(shop: Stack, backup: Path, archive: Path) -> None:
    # The first file of the log, from before the first backup, is archived already.
    (archived,) = archive.iterdir()
    before = {path.name[:24] for path in archived.iterdir()}
    first = Info.read(backup).first_wal
    assert min(before) < first

    succeed(command(shop.data_dir, backup.parent, "backup", WAL_ARCHIVE=str(archive)))

    assert min(path.name[:24] for path in archived.iterdir()) == first
    second = catalog.backups(backup.parent)[-1]
    assert second != backup
    for image in (backup / "media").glob("??/*"):
        assert (second / image.relative_to(backup)).samefile(image)
    catalog.check_sums(second, Progress())


def test_older_backups_are_removed_and_the_rest_of_interrupted_ones(shop: Stack, folder: Path) -> None:
    backups = folder / "kept"
    for name in ("2001-01-01T00-00-00Z", "2002-01-01T00-00-00Z"):
        (backups / name).mkdir(parents=True)
        (backups / name / catalog.INFO).write_text("{}")
    for name in (".2003-01-01T00-00-00Z.unfinished", "my-notes"):
        (backups / name).mkdir()

    succeed(command(shop.data_dir, backups, "backup", BACKUP_KEEP="2"))

    left = {path.name for path in backups.iterdir()}
    assert "2002-01-01T00-00-00Z" in left
    assert "my-notes" in left
    assert not left & {"2001-01-01T00-00-00Z", ".2003-01-01T00-00-00Z.unfinished"}
    assert len(catalog.backups(backups)) == 2


def test_a_backup_that_fails_leaves_nothing(shop: Stack, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = StackSettings(
        data_dir=shop.data_dir, backup_dir=folder / "none", media_storage="s3", media_url="https://cdn.example.com"
    )

    assert back_up(settings) == 1

    assert "No backup was made" in capsys.readouterr().out
    assert [path.name for path in (folder / "none").iterdir()] == [".lock"]


def test_a_stack_that_does_not_run_cannot_be_backed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert back_up(StackSettings(data_dir=tmp_path / "data")) == 1

    assert "no PostgreSQL is running" in capsys.readouterr().out


def test_databases_of_other_servers_are_left_to_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = StackSettings(data_dir=tmp_path, order_database_url="postgresql://orders@db.example.com/orders")

    assert back_up(settings) == 1
    assert restore(settings, Request()) == 1

    assert capsys.readouterr().out.count("ORDER_DATABASE_URL: that server is not the stack's own") == 2


def test_a_folder_that_is_not_empty_is_left_as_it_is(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    assert restore(StackSettings(data_dir=tmp_path), Request(str(backup))) == 1

    assert f"{tmp_path} is not empty" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def _flip_a_byte(path: Path) -> None:
    with path.open("r+b") as file:
        # The first bytes of a file of the log are its head.
        file.seek(64)
        (byte,) = file.read(1)
        file.seek(64)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize(
    "pattern", ["media/??/*.jpg", "files/??/*", "postgres/base/5/1259", "postgres/pg_wal/0*", "keys/user.pem"]
)
def test_a_damaged_backup_is_refused_and_leaves_no_stack(
    pattern: str, damaged: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _flip_a_byte(next(damaged.glob(pattern)))
    data_dir = folder / "from-damaged"

    settings = StackSettings(data_dir=data_dir)

    assert restore(settings, Request(str(damaged))) == 1

    assert "Not restored" in capsys.readouterr().out
    # PostgreSQL's own manifest is compared when something is there already; no stack starts on that.
    if pattern.startswith("postgres/"):
        assert not (data_dir / "postgres" / "18").exists()
        refusing = next(check for check in checks(settings, Layout.of(data_dir)) if check.name == "restore")
        with pytest.raises(PreflightError, match="was interrupted"):
            refusing.run()
        shutil.rmtree(data_dir)
    else:
        assert not data_dir.exists()


def test_a_backup_of_an_earlier_release_has_no_checksums_of_files_and_is_restored(damaged: Path, folder: Path) -> None:
    sums = (damaged / catalog.SUMS).read_text().splitlines(keepends=True)
    (damaged / catalog.SUMS).write_text("".join(line for line in sums if "  files/" not in line))
    data_dir = folder / "from-earlier"

    assert restore(StackSettings(data_dir=data_dir), Request(str(damaged))) == 0

    sent = [path.relative_to(damaged) for path in damaged.glob("files/??/*")]
    assert sent
    assert all((data_dir / path).is_file() for path in sent)


def test_an_interrupted_restore_is_begun_anew(backup: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data_dir = folder / "interrupted"
    (data_dir / "media").mkdir(parents=True)
    (data_dir / "restore.unfinished").touch()
    data_dir.chmod(0o711)

    assert restore(StackSettings(data_dir=data_dir), Request(str(backup))) == 0

    assert "begun anew" in capsys.readouterr().out
    assert not (data_dir / "restore.unfinished").exists()
    assert (data_dir / "postgres" / "18" / "PG_VERSION").is_file()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 99}, "has format 99"),
        ({"postgres": "19.1"}, "is of PostgreSQL 19.1"),
        ({"migrations": {"order": "9999_from_the_future"}}, "9999_from_the_future"),
    ],
)
def test_a_backup_that_this_release_cannot_read_is_refused(
    change: dict[str, object], reason: str, backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = json.loads((backup / catalog.INFO).read_text()) | change
    (tmp_path / catalog.INFO).write_text(json.dumps(info))

    assert restore(StackSettings(data_dir=tmp_path / "data"), Request(str(tmp_path))) == 1

    assert reason in capsys.readouterr().out
    assert not (tmp_path / "data").exists()


def test_two_backups_are_not_made_at_once(shop: Stack, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backups = folder / "locked"
    backups.mkdir()
    with (backups / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert back_up(StackSettings(data_dir=shop.data_dir, backup_dir=backups)) == 1

    assert "another backup is being made" in capsys.readouterr().out
    assert [path.name for path in backups.iterdir()] == [".lock"]
