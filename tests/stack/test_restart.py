"""A restart of the edge whose new Envoy or whose kept files fail, with stand-ins for supervisord and Envoy."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from deploy.local import edge_config, envoy_admin, restart
from deploy.local.layout import Layout
from deploy.local.settings import StackSettings

EPOCH = 1


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackSettings:
    """Return the settings of a stack whose supervisord answers and knows no process."""
    monkeypatch.setattr(restart, "process_states", lambda _: [])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return StackSettings(data_dir=tmp_path)


@pytest.fixture
def _rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the new configuration be a good one."""
    monkeypatch.setattr(edge_config, "kept_environment", lambda _: {"ENVOY_ADMIN_PORT": "1"})
    for step in ("start_rendering", "finish_rendering", "validate", "use_rendered"):
        monkeypatch.setattr(edge_config, step, lambda *_: None)
    monkeypatch.setattr(envoy_admin, "epoch", lambda _: EPOCH)


@pytest.mark.usefixtures("_rendered")
def test_a_new_envoy_that_ends_after_its_first_answer_has_taken_nothing_over(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    monkeypatch.setattr(restart, "begin_takeover", lambda _: (ended.pid, EPOCH))
    monkeypatch.setattr(restart, "complete_takeover", lambda _: False)

    assert restart.restart(settings, "edge") == 1

    assert capsys.readouterr().out.startswith("FAILED: the new Envoy has ended; its log is ")


@pytest.mark.usefixtures("_rendered")
def test_a_takeover_that_supervisord_has_completed_itself_succeeds(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(restart, "begin_takeover", lambda _: (os.getpid(), EPOCH))
    monkeypatch.setattr(restart, "complete_takeover", lambda _: False)

    assert restart.restart(settings, "edge") == 0

    assert f"has been taken over by process {os.getpid()}" in capsys.readouterr().out


def test_a_damaged_environment_of_the_renderer_leaves_the_edge_as_it_is(
    settings: StackSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout.of(settings.data_dir)
    layout.create()
    layout.environments.mkdir()
    (layout.environments / "edge.json").write_text('{"PORT": "80')

    assert restart.restart(settings, "edge") == 1

    assert "the edge stays as it is: " in capsys.readouterr().out
