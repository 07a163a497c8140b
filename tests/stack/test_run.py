"""What a start that fails says, with stand-ins for supervisord, the database and Envoy."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest

from deploy.local import edge_config, postgres, run
from deploy.local import stack as stacks
from deploy.local.layout import Layout
from deploy.local.lock import PreflightError
from deploy.local.settings import StackSettings
from tests.support.ports import stack_port
from tests.support.stack import create_cluster, processes_of, stack_command


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a stack whose time to start is over at once, and whose Envoy does not start."""
    monkeypatch.setattr(stacks, "_START_SECONDS", 0.0)
    monkeypatch.setattr(stacks, "process_states", lambda _: [])
    monkeypatch.setattr(postgres, "create_databases", lambda _: None)
    never: Any = SimpleNamespace(wait=lambda seconds: False)
    supervisor: Any = SimpleNamespace(returncode=None)
    layout = Layout.of(tmp_path)
    layout.create()
    stack = stacks.Stack(StackSettings(data_dir=tmp_path), layout, never, supervisor)
    # It would collect the ended children of other tests.
    monkeypatch.setattr(stack, "_reap", lambda: None)
    return stack


def test_a_start_with_a_broken_key_names_the_file_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    # They take all children of this process for the stack's: the database of other tests as well.
    monkeypatch.setattr(stacks.Stack, "_reap", lambda stack: stack._supervisor.poll())
    monkeypatch.setattr(stacks.Stack, "_kill_the_rest", lambda _: None)
    # Under root a check refuses the key before.
    monkeypatch.setattr(stacks, "checks", lambda *_: [])
    key = tmp_path / "keys" / "user.pem"
    key.parent.mkdir()
    key.write_text("broken")

    assert run.run(StackSettings(data_dir=tmp_path)) == 1

    shown = capsys.readouterr().out
    assert f"Failed: {key} is not a private key in PEM; remove it and a new one is made" in shown
    assert "Stopped after" in shown


def test_a_start_that_fails_ends_what_it_has_started(tmp_path: Path) -> None:
    in_the_way = Layout.of(tmp_path).run / "envoy.new.json"
    in_the_way.mkdir(parents=True)

    started = stack_command(tmp_path, module="deploy.local.run", PORT=str(stack_port()))

    assert started.returncode == 1
    assert f"Failed: [Errno 21] Is a directory: '{in_the_way}'" in started.stdout
    assert "Traceback" not in started.stdout + started.stderr
    assert processes_of(tmp_path) == []


def test_a_start_without_a_database_shows_the_log_of_the_database(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(layout: Layout) -> None:
        raise psycopg2.OperationalError

    monkeypatch.setattr(postgres, "create_databases", fail)

    with pytest.raises(stacks.StackError, match=r"waiting for the database. The end of .*/logs/postgres\.log"):
        stack.wait_until_ready()


def test_a_start_whose_configuration_is_still_being_rendered_says_so(stack: Any) -> None:
    stack._renderer = SimpleNamespace(returncode=None)

    with pytest.raises(stacks.StackError, match=r"waiting for Envoy's configuration. The end of .*/logs/envoy\.log"):
        stack.wait_until_ready()


def test_a_start_whose_envoy_does_not_start_says_so(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stack._renderer = SimpleNamespace(returncode=0)
    for step in ("finish_rendering", "use_rendered"):
        monkeypatch.setattr(edge_config, step, lambda *_: None)

    with pytest.raises(stacks.StackError, match=r"waiting for Envoy to start. The end of .*/logs/envoy\.log"):
        stack.wait_until_ready()


def test_the_services_of_a_new_database_are_started_when_it_has_been_created(
    stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = dict.fromkeys(["postgres", "envoy", "gig-0", "gig-spare", "order-events"], 0)
    monkeypatch.setattr(
        stacks, "process_states", lambda _: [SimpleNamespace(name=name, pid=pid) for name, pid in pids.items()]
    )
    monkeypatch.setattr(stacks, "start_process", lambda _, process: pids.update({process.name: 7}))

    assert not stack._start_services()
    assert set(pids.values()) == {0}
    create_cluster(stack._layout)

    assert not stack._start_services(), "they have only been asked to start"
    assert stack._start_services()
    assert [name for name, pid in pids.items() if pid] == ["gig-0", "order-events"]


def test_a_start_whose_supervisord_has_ended_says_so(stack: Any) -> None:
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as ended:
        ended.wait()
        stack._supervisor = ended

        stack._let_supervisord_go_on()

        with pytest.raises(stacks.StackError, match=r"supervisord ended with 0. The end of .*/logs/supervisord\.log"):
            stack.wait_until_ready()


def test_a_start_that_a_check_refuses_leaves_no_supervisord(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PreflightError("no room")

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(stacks, "checks", refuse)

    assert run.run(StackSettings(data_dir=tmp_path)) == 1

    assert "Cannot start: no room" in capsys.readouterr().out
    assert processes_of(tmp_path) == []
