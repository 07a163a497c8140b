"""Which Envoys supervisord ends, with processes that only wait in the place of Envoys."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from supervisor.xmlrpc import RPCError

from deploy.local import takeover

# As Envoy's command, it has the option of hot restart.
WORDS = ["/bin/sh", "-c", "exec sleep 30", "--parent-shutdown-time-s"]


class Supervisord:
    """What supervisord knows of its processes, and its wait for the end of one."""

    def __init__(self) -> None:
        self.process = SimpleNamespace(
            pid=0, laststart=0.0, killing=False, get_execv_args=lambda: (WORDS[0], WORDS), finish=lambda *_: None
        )
        self.process_groups = {"envoy": SimpleNamespace(processes={"envoy": self.process})}
        self.options = SimpleNamespace(pidhistory={})
        self.started: list[int] = []
        self.start()

    def start(self) -> None:
        """Start an Envoy that is the first of its row."""
        self.process.pid = subprocess.Popen(WORDS).pid
        self.started.append(self.process.pid)
        self.options.pidhistory[self.process.pid] = self.process

    def reap(self, pid: int) -> int:
        """Wait until a process has ended, and tell those who want to know, as supervisord does. Return its status."""
        _, status = os.waitpid(pid, 0)
        self.started.remove(pid)
        self.options.pidhistory[pid].finish(pid, status)
        del self.options.pidhistory[pid]
        return status


@pytest.fixture
def supervisord() -> Iterator[Supervisord]:
    running = Supervisord()
    yield running
    for pid in running.started:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def take_over(supervisord: Supervisord, edge: takeover.Takeover) -> int:
    """Let a new Envoy take over. Return the pid of the old one."""
    old: int = supervisord.process.pid
    pid, _ = edge.begin()
    supervisord.started.append(pid)
    assert edge.complete()
    return old


def kill_and_start(supervisord: Supervisord) -> None:
    os.kill(supervisord.process.pid, signal.SIGKILL)
    supervisord.reap(supervisord.process.pid)
    supervisord.start()


def test_an_old_envoy_is_ended_when_its_time_is_over_and_none_before(
    supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge: Any = takeover.Takeover(supervisord)
    early = take_over(supervisord, edge)
    kill_and_start(supervisord)
    monkeypatch.setattr(takeover, "_LATEST_SECONDS", -1)
    late = take_over(supervisord, edge)

    ended: list[int] = []
    terminate = takeover._terminate

    def note_and_terminate(pid: int) -> None:
        ended.append(pid)
        terminate(pid)

    monkeypatch.setattr(takeover, "_terminate", note_and_terminate)

    edge.end_late_ones()

    assert os.WTERMSIG(supervisord.reap(late)) == signal.SIGTERM
    edge.end_late_ones()
    assert early in supervisord.started
    assert ended == [late]


def test_an_envoy_takes_over_while_the_one_before_ends_its_requests_only_if_another_row_has_begun(
    supervisord: Supervisord,
) -> None:
    edge = takeover.Takeover(supervisord)
    take_over(supervisord, edge)
    with pytest.raises(RPCError):
        edge.begin()

    kill_and_start(supervisord)

    assert take_over(supervisord, edge) == supervisord.started[-2]


def test_supervisord_runs_without_envoy() -> None:
    edge = takeover.Takeover(SimpleNamespace(process_groups={}))
    bases: set[int] = set()

    edge.remember(bases)

    assert not bases
