"""The recovery of a copied PostgreSQL: it replays the log up to a moment, and then begins a new timeline.

It always begins one. Otherwise it would write other contents under the names of log files that an archive has already.
"""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg2

from deploy.local import postgres
from deploy.local.archiving import variables
from deploy.local.backup.catalog import BackupError
from deploy.local.inherited import of_python
from deploy.local.layout import Layout
from deploy.local.output import say

SIGNAL = "recovery.signal"
_MESSAGE = re.compile(r"LOG:  (.*)")
# What a server that is not ready says to each who asks is no reason.
_FATAL = re.compile(r"FATAL:  (?!the database system is )(.*)")
_PROGRESS_SECONDS = 10.0
_STATE = """
    select not pg_is_in_recovery(), pg_last_xact_replay_timestamp(),
        (select timeline_id from pg_control_checkpoint())
"""


@dataclass(frozen=True)
class Recovered:
    """Where a recovery has ended: the time of the last transaction (None: none was replayed), and the timeline."""

    last_transaction: datetime | None
    timeline: int


@dataclass(frozen=True)
class Target:
    """How far a recovery goes: by default to the end of the backup, and else to a moment or the end of the archive.

    `read` is the archive that it reads, `write` the one that the restored stack will write, `seconds` how often.
    """

    read: str | None = None
    write: str | None = None
    seconds: int = 60
    moment: datetime | None = None
    is_latest: bool = False
    timeline: int | None = None

    def words(self) -> list[str]:
        """Return the options of the program that becomes the server."""
        # Nobody may connect before the end, so that the server needs no room for the connections of the old one.
        settings = {"hot_standby": "off", "recovery_target_action": "promote"}
        if self.moment is not None:
            settings["recovery_target_time"] = self.moment.isoformat()
        elif not self.is_latest:
            settings["recovery_target"] = "immediate"
        if self.timeline is not None:
            settings["recovery_target_timeline"] = str(self.timeline)
        if self.read is None:
            # A command that finds no file; the backup has the log that it needs.
            settings["restore_command"] = "false"
        words = [f"--set={name}={value}" for name, value in settings.items()]
        words += [f"--read-archive={self.read}"] if self.read else []
        # The history of the new timeline belongs in the archive, so that no later restore takes its number.
        return words + ([f"--archive={self.write}", f"--archive-seconds={self.seconds}"] if self.write else [])


def recover(layout: Layout, cluster: str, target: Target) -> Recovered:
    """Recover a copied cluster of DATA_DIR/postgres, and shut it down. Raises BackupError with PostgreSQL's reason."""
    folder = layout.postgres / cluster
    owner = folder.stat()
    (folder / SIGNAL).touch(mode=0o600)
    os.chown(folder / SIGNAL, owner.st_uid, owner.st_gid)
    log = layout.log("restore")
    with log.open("wb") as output:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "deploy.local.postgres",
                f"--data-dir={layout.data_dir}",
                f"--cluster={cluster}",
                *target.words(),
            ],
            env=of_python(os.environ) | variables(target.read, os.environ) | variables(target.write, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # A Ctrl-C reaches this process alone, which then stops the server.
            start_new_session=True,
        )
    try:
        return _wait(layout, server, log)
    finally:
        server.send_signal(signal.SIGINT)
        if server.wait() != 0 and sys.exc_info()[0] is None:
            raise BackupError(f"PostgreSQL did not shut down in order after its recovery; {log} has more")


def _wait(layout: Layout, server: subprocess.Popen[bytes], log: Path) -> Recovered:
    """Wait until the server has recovered. There is no bound: a long log takes its time. Raises BackupError."""
    said = time.monotonic()
    while True:
        time.sleep(0.1)
        if server.poll() is not None:
            raise BackupError(f"PostgreSQL cannot recover: {_reason(log)}. {log} has more")
        try:
            return _state(layout)
        except psycopg2.OperationalError:
            pass
        if time.monotonic() - said > _PROGRESS_SECONDS:
            said = time.monotonic()
            say(f"  {_messages(log)[-1]}")


def _state(layout: Layout) -> Recovered:
    """Return the state of a server that takes connections. Raises psycopg2.OperationalError while it does not."""
    connection = psycopg2.connect(postgres.database_url(layout, "postgres", postgres.SUPERUSER), connect_timeout=5)
    try:
        with connection.cursor() as cursor:
            cursor.execute("checkpoint")
            cursor.execute(_STATE)
            row = cursor.fetchone()
    finally:
        connection.close()
    assert row is not None
    assert row[0], "with hot_standby=off nobody connects during the recovery"
    return Recovered(row[1], row[2])


def _messages(log: Path) -> list[str]:
    return _MESSAGE.findall(log.read_text(errors="replace")) or ["the server starts"]


def _reason(log: Path) -> str:
    """Return the server's last fatal message, or else the end of its log."""
    text = log.read_text(errors="replace")
    fatal = _FATAL.findall(text)
    return str(fatal[-1]) if fatal else text.strip().rpartition("\n")[2]
