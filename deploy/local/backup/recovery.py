"""The recovery of a copied PostgreSQL: it replays the log up to a moment, and then begins a new timeline.

It always begins one. Otherwise it would write other contents under the names of log files that an archive has already.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg2

from deploy.local import postgres
from deploy.local.backup.catalog import BackupError
from deploy.local.environment import of_python
from deploy.local.layout import Layout
from deploy.local.output import say

SIGNAL = "recovery.signal"
# To the end of the backup itself, with the log that it has; `false` is a command that finds no file.
TO_THE_BACKUP: Mapping[str, str] = {"recovery_target": "immediate", "restore_command": "false"}
_MESSAGE = re.compile(r"(?:LOG|FATAL):  (.*)")
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


def recover(layout: Layout, cluster: str, settings: Mapping[str, str]) -> Recovered:
    """Recover a copied cluster of DATA_DIR/postgres as PostgreSQL's settings say, and shut it down.

    Raises BackupError with PostgreSQL's reason.
    """
    folder = layout.postgres / cluster
    owner = folder.stat()
    (folder / SIGNAL).touch(mode=0o600)
    os.chown(folder / SIGNAL, owner.st_uid, owner.st_gid)
    # Nobody may connect before the end, so that the server does not need room for the connections of the old one.
    needed = {"hot_standby": "off", "recovery_target_action": "promote"} | dict(settings)
    words = [f"--set={name}={value}" for name, value in needed.items()]
    log = layout.log("restore")
    with log.open("wb") as output:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "deploy.local.postgres",
                f"--data-dir={layout.data_dir}",
                f"--cluster={cluster}",
                *words,
            ],
            env=of_python(os.environ),
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
    fatal = re.findall(r"FATAL:  (.*)", text)
    return str(fatal[-1]) if fatal else text.strip().rpartition("\n")[2]
