"""What stands in the way of a start is said before it, with the cure."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.layout import Layout
from deploy.local.lock import PreflightError, exclusive
from deploy.local.preflight import checks
from deploy.local.settings import StackSettings
from tests.support.certificates import certificate_files


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its processes other users")
def test_a_jwks_that_the_processes_cannot_read_is_named_with_the_remedy(layout: Layout, tmp_path: Path) -> None:
    tmp_path.parent.chmod(0o700)
    jwks = tmp_path / "jwks.json"
    jwks.write_text("{}")
    settings = StackSettings(user_jwks=str(jwks), user_jwt_issuer="issuer", user_jwt_audience="audience")

    with pytest.raises(PreflightError, match=f"{jwks} cannot be read by the users of the processes. Copy it to"):
        look("users", settings, layout)

    in_the_data_folder = layout.data_dir / "keys" / "own.jwks.json"
    in_the_data_folder.write_text("{}")
    assert "services under uids" in look(
        "users", settings.model_copy(update={"user_jwks": str(in_the_data_folder)}), layout
    )


def test_a_certificate_that_cannot_be_used_is_named_before_anything_starts(layout: Layout, tmp_path: Path) -> None:
    certificate, private_key, _ = certificate_files(tmp_path)
    settings = StackSettings(tls_certificate=certificate, tls_private_key=private_key)

    assert str(certificate) in look("TLS", settings, layout)
    private_key.unlink()
    with pytest.raises(PreflightError, match=f"TLS_PRIVATE_KEY: {private_key} cannot be read"):
        look("TLS", settings, layout)


def test_the_users_of_the_processes_are_shown(layout: Layout) -> None:
    shown = look("users", StackSettings(), layout)

    assert shown.startswith("services under uids 65530" if os.geteuid() == 0 else "all processes run under uid")


@pytest.mark.skipif(os.geteuid() != 0, reason="without root all processes have one user")
def test_the_folders_let_the_processes_pass_whatever_the_umask_is(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / "strict")
    before = os.umask(0o077)
    try:
        layout.create()
        look("users", StackSettings(), layout)
    finally:
        os.umask(before)

    modes = {folder.name: folder.stat().st_mode & 0o777 for folder in (layout.data_dir, layout.run, layout.media)}
    assert modes == {"strict": 0o711, "run": 0o711, "media": 0o755}
    assert (layout.data_dir / "keys" / "user.jwks.json").stat().st_mode & 0o777 == 0o644
