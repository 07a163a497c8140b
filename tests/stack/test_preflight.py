"""What stands in the way of a start is said before it, with the cure."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.layout import Layout
from deploy.local.preflight import PreflightError, checks, exclusive
from deploy.local.settings import StackSettings


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.of(tmp_path / "data")
    layout.create()
    return layout


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def look(name: str, settings: StackSettings, layout: Layout) -> str:
    (check,) = [check for check in checks(settings, layout) if check.name == name]
    return check.run()


def test_a_taken_port_is_named_with_who_has_it_and_another_one(layout: Layout, taken_port: int) -> None:
    with pytest.raises(PreflightError) as caught:
        look("ports", StackSettings(port=taken_port), layout)

    assert f"port {taken_port} (edge) is taken by process {os.getpid()}" in str(caught.value)
    assert "make run PORT=" in str(caught.value)


def test_one_data_folder_holds_one_stack(layout: Layout) -> None:
    another = pytest.raises(PreflightError, match=f"another stack is running on .*process {os.getpid()}")

    with exclusive(layout), another, exclusive(layout):
        pass


def test_a_data_folder_is_free_again_after_its_stack(layout: Layout) -> None:
    with exclusive(layout):
        pass

    with exclusive(layout):
        pass


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(PreflightError, match="file/data cannot be written: Not a directory"):
        look("data folder", StackSettings(), Layout.of(tmp_path / "file" / "data"))


def test_both_programs_run_here(layout: Layout) -> None:
    assert "PostgreSQL) 18" in look("PostgreSQL", StackSettings(), layout)
    assert "1.40" in look("Envoy", StackSettings(), layout)
