"""The archive of the log keeps each file as it is, once, and tells what it cannot do."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import boto3
import psycopg2
import psycopg2.extensions
import pytest
from moto.server import ThreadedMotoServer

from deploy.local import archiving, wal_archive
from deploy.local.backup.recovery import Target, recover
from deploy.local.layout import Layout
from deploy.local.postgres import SUPERUSER, create_databases, database_url, identity_for, programs
from deploy.local.wal_archive import archive_at, system_of
from tests.support.eventually import eventually
from tests.support.folders import temporary_folder

pytestmark = pytest.mark.timeout(300)
PROGRAM = Path(wal_archive.__file__)
SYSTEM = 7713587603997865650
NAME = "000000010000000000000003"
BUCKET = "logs"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Serve an S3 with a bucket, and return its URL."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("S3_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("S3_REGION", "us-east-1")
        boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the place of an empty archive of either kind."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return f"s3://{BUCKET}/{tmp_path.name}"
    (tmp_path / "archive").mkdir()
    return str(tmp_path / "archive")


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """Return a data folder with the one file of it that the program reads."""
    folder = tmp_path / "cluster"
    (folder / "global").mkdir(parents=True)
    (folder / "global" / "pg_control").write_bytes(struct.pack("=Q", SYSTEM) + bytes(100))
    return folder


def run(cluster: Path, *words: str, largest: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program as PostgreSQL does."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (largest, largest)) if largest else None
    isolated = ["-I"] if words[1].startswith("s3://") else ["-I", "-S"]
    return subprocess.run(
        [sys.executable, *isolated, str(PROGRAM), *words],
        cwd=cluster,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )


def a_file(cluster: Path, content: bytes) -> str:
    """Write a file of the log, and return its path in the data folder."""
    (cluster / NAME).write_bytes(content)
    return NAME


def test_a_stored_file_comes_back_as_it_was(where: str, cluster: Path) -> None:
    content = os.urandom(100_000) + bytes(1_000_000)
    stored = run(cluster, "store", where, NAME, a_file(cluster, content))

    fetched = run(cluster, "fetch", where, NAME, "copy")

    assert (stored.returncode, stored.stderr) == (0, "")
    assert (fetched.returncode, fetched.stderr) == (0, "")
    assert (cluster / "copy").read_bytes() == content
    assert list(archive_at(where, system_of(cluster)).names()) == [NAME]


def test_the_same_file_is_stored_again_and_another_one_of_its_name_is_refused(where: str, cluster: Path) -> None:
    run(cluster, "store", where, NAME, a_file(cluster, b"first"))

    again = run(cluster, "store", where, NAME, a_file(cluster, b"first"))
    other = run(cluster, "store", where, NAME, a_file(cluster, b"second"))

    assert again.returncode == 0
    assert other.returncode == 1
    assert f"has another {NAME}" in other.stderr
    run(cluster, "fetch", where, NAME, "copy")
    assert (cluster / "copy").read_bytes() == b"first"


def test_clusters_share_no_file(where: str, cluster: Path) -> None:
    run(cluster, "store", where, NAME, a_file(cluster, b"ours"))
    (cluster / "global" / "pg_control").write_bytes(struct.pack("=Q", SYSTEM + 1))

    assert run(cluster, "fetch", where, NAME, "copy").returncode == 1
    assert run(cluster, "store", where, NAME, a_file(cluster, b"theirs")).returncode == 0


def test_a_file_that_is_not_there_is_told_from_an_archive_that_is_not_there(where: str, cluster: Path) -> None:
    missing = run(cluster, "fetch", where, NAME, "copy")
    away = run(cluster, "fetch", where.replace("archive", "away").replace(BUCKET, "no-bucket"), NAME, "copy")

    assert missing.returncode == 1
    # PostgreSQL ends a recovery by a status above 125.
    assert away.returncode == 200
    assert "wal_archive: fetch" in away.stderr


def test_a_full_disk_leaves_nothing_and_fails(tmp_path: Path, cluster: Path) -> None:
    (tmp_path / "archive").mkdir()
    name = a_file(cluster, os.urandom(200_000))

    full = run(cluster, "store", str(tmp_path / "archive"), NAME, name, largest=50_000)

    assert full.returncode == 1
    assert "File too large" in full.stderr
    assert list((tmp_path / "archive" / str(SYSTEM)).iterdir()) == []


def test_a_disk_that_is_not_mounted_gets_no_file(tmp_path: Path, cluster: Path) -> None:
    away = run(cluster, "store", str(tmp_path / "archive"), NAME, a_file(cluster, b"log"))

    assert away.returncode == 1
    assert not (tmp_path / "archive").exists()


def test_a_damaged_file_ends_a_recovery(tmp_path: Path, cluster: Path) -> None:
    (tmp_path / "archive").mkdir()
    run(cluster, "store", str(tmp_path / "archive"), NAME, a_file(cluster, os.urandom(10_000)))
    stored = tmp_path / "archive" / str(SYSTEM) / f"{NAME}.gz"
    stored.write_bytes(stored.read_bytes()[:-100])

    assert run(cluster, "fetch", str(tmp_path / "archive"), NAME, "copy").returncode == 200


def test_what_no_backup_needs_is_removed_on_all_timelines(where: str, cluster: Path) -> None:
    names = {
        "00000001000000000000000A": False,
        "00000001000000000000000B": True,
        "00000002000000000000000A": False,
        "00000002000000000000000C": True,
        "00000001000000000000000A.partial": False,
        "00000001000000000000000A.00000028.backup": False,
        "00000002.history": True,
    }
    archive = archive_at(where, system_of(cluster))
    for name in names:
        archive.store(name, cluster / a_file(cluster, name.encode()))

    removed = archiving.prune(where, system_of(cluster), "00000002000000000000000B")

    assert removed == 4
    assert set(archive.names()) == {name for name, stays in names.items() if stays}


def test_what_an_interrupted_run_has_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    archive = archive_at(str(tmp_path), "1")
    folder = tmp_path / "1"
    folder.mkdir()
    young, old = folder / f".{NAME}.1.unfinished", folder / f".{NAME}.2.unfinished"
    for path in (young, old):
        path.touch()
    os.utime(old, (time.time() - 4000,) * 2)

    assert list(archive.names()) == []

    assert young.exists()
    assert not old.exists()


@contextmanager
def a_server(layout: Layout, *words: str) -> Iterator[psycopg2.extensions.connection]:
    """Start a PostgreSQL, yield a connection of its superuser, and stop it in order."""
    layout.create()
    command = [sys.executable, "-m", "deploy.local.postgres", f"--data-dir={layout.data_dir}", *words]
    with layout.log("postgres").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: _is_up(layout))
        connection = psycopg2.connect(database_url(layout, "postgres", SUPERUSER))
        connection.autocommit = True
        yield connection
        connection.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _is_up(layout: Layout) -> bool:
    try:
        create_databases(layout)
    except psycopg2.OperationalError:
        return False
    return True


def test_a_server_archives_all_of_its_log_as_it_stops_and_each_restore_begins_a_timeline(s3: str) -> None:
    where = f"s3://{BUCKET}/stopped"
    with temporary_folder() as folder:
        first, second, third = (Layout.of(Path(folder) / name) for name in ("first", "second", "third"))
        with a_server(first, f"--archive={where}") as connection, connection.cursor() as cursor:
            url = database_url(first, "postgres", SUPERUSER)
            copy = Path(folder) / "copy"
            subprocess.run([programs() / "pg_basebackup", "-d", url, "-D", copy, "--checkpoint=fast"], check=True)
            cursor.execute("create table t as select 1 as one")
        for layout in (second, third):
            _place(copy, layout)

        to_the_backup = recover(second, "copy", Target(read=where, write=where))
        to_the_end = recover(third, "copy", Target(read=where, is_latest=True, timeline=1))

        system = system_of(copy)
        assert (to_the_backup.timeline, to_the_end.timeline) == (2, 3)
        assert "00000002.history" in archive_at(where, system).names()
        (third.postgres / "copy").rename(third.postgres / "18")
        with a_server(third) as connection, connection.cursor() as cursor:
            cursor.execute("table t")
            assert cursor.fetchall() == [(1,)]


def _place(copy: Path, layout: Layout) -> None:
    """Copy a cluster into a new DATA_DIR, for the user that PostgreSQL runs under."""
    layout.create()
    identity = identity_for(layout)
    target = layout.postgres / "copy"
    shutil.copytree(copy, target)
    target.chmod(0o700)
    if os.geteuid() == 0:
        for path in (target, *target.rglob("*")):
            os.chown(path, identity.uid, identity.gid)
