"""What a start that fails says, with stand-ins for supervisord, the database and Envoy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest

from deploy.local import edge_config, postgres, run
from deploy.local.layout import Layout
from deploy.local.settings import StackSettings


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a stack whose time to start is over at once, and whose Envoy does not start."""
    monkeypatch.setattr(run, "_START_SECONDS", 0.0)
    monkeypatch.setattr(run, "process_states", lambda _: [])
    monkeypatch.setattr(postgres, "create_databases", lambda _: None)
    never: Any = SimpleNamespace(wait=lambda seconds: False)
    layout = Layout.of(tmp_path)
    layout.create()
    stack = run.Stack(StackSettings(data_dir=tmp_path), layout, never)
    # It would collect the ended children of other tests.
    monkeypatch.setattr(stack, "_reap", lambda: None)
    return stack


def test_a_start_without_a_database_shows_the_log_of_the_database(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(layout: Layout) -> None:
        raise psycopg2.OperationalError

    monkeypatch.setattr(postgres, "create_databases", fail)

    with pytest.raises(run.StackError, match=r"waiting for the database. The end of .*/logs/postgres\.log"):
        stack.wait_until_ready()


def test_a_start_whose_configuration_is_still_being_rendered_says_so(stack: Any) -> None:
    stack._renderer = SimpleNamespace(returncode=None)

    with pytest.raises(run.StackError, match=r"waiting for Envoy's configuration. The end of .*/logs/envoy\.log"):
        stack.wait_until_ready()


def test_a_start_whose_envoy_does_not_start_says_so(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stack._renderer = SimpleNamespace(returncode=0)
    for step in ("finish_rendering", "use_rendered"):
        monkeypatch.setattr(edge_config, step, lambda *_: None)

    with pytest.raises(run.StackError, match=r"waiting for Envoy to start. The end of .*/logs/envoy\.log"):
        stack.wait_until_ready()
