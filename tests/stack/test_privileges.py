"""A process that gives up root can still do its work, and cannot get root back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.layout import Layout
from deploy.local.lent_files import lend
from deploy.local.users import SERVICE_UIDS

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")


def run(program: str, *folders: Path) -> str:
    """Run a program that can import from these folders. Return its output."""
    path = os.pathsep.join([*map(str, folders), *os.environ.get("PYTHONPATH", "").split(os.pathsep), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """Return a folder with modules and a file, below one that only root may enter."""
    folder = tmp_path / "closed" / "code"
    (folder / "package").mkdir(parents=True)
    folder.parent.chmod(0o700)
    (folder / "first.py").write_text(f"CERTIFICATES = {str(folder / 'certificates')!r}\n")
    (folder / "later.py").write_text("value = 'later'\n")
    (folder / "package" / "__init__.py").touch()
    (folder / "package" / "module.py").write_text("value = 'in a package'\n")
    (folder / "certificates").write_text("certificates")
    return folder


@AS_ROOT
def test_a_module_below_a_closed_folder_can_be_imported_afterwards(closed: Path) -> None:
    shown = run(
        """
import package
from servicekit.privileges import drop
drop("65531:65530")
import later, package.module, zoneinfo, sqlite3
print(later.value, package.module.value)
""",
        closed,
    )

    assert shown == "later in a package\n"


@AS_ROOT
def test_a_librarys_file_below_a_closed_folder_can_be_read_afterwards(closed: Path) -> None:
    shown = run(
        f"""
import first, pathlib
from servicekit import privileges
privileges.drop("65531:65530")
print(open(first.CERTIFICATES).read(), privileges.reachable(pathlib.Path({str(closed)!r}, "later.py")).read_text())
try:
    open({str(closed / "later.py")!r})
except PermissionError:
    print("closed")
""",
        closed,
    )

    assert shown == "certificates value = 'later'\n\nclosed\n"


@AS_ROOT
def test_root_is_gone_for_good_and_the_parent_death_signal_is_not() -> None:
    shown = run(
        """
import ctypes, os, signal
from servicekit import privileges
privileges.set_parent_death_signal(os.getppid(), signal.SIGTERM)
os.environ["HOME"] = "/root"
privileges.drop("65531:65530")
try:
    os.setuid(0)
except PermissionError:
    print(os.getresuid(), os.getresgid(), os.getgroups())
number = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(number), 0, 0, 0)
print(number.value == signal.SIGTERM, os.access(os.environ["HOME"], os.X_OK) or os.environ["HOME"])
"""
    )

    identity, rest = shown.splitlines()
    assert identity == "(65531, 65531, 65531) (65530, 65530, 65530) []"
    assert rest in ("True True", "True /nonexistent")


def test_no_program_that_is_executed_afterwards_gains_privileges() -> None:
    program = "from servicekit.privileges import drop; drop('65531:65530'); print(open('/proc/self/status').read())"

    assert "NoNewPrivs:\t1" in run(program)


@AS_ROOT
def test_a_process_gets_a_copy_of_roots_own_files_and_no_other_process_reads_it(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / "data")
    layout.create()
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    home.chmod(0o700)
    (home / ".aws" / "credentials").write_text("secret")
    environment = {"HOME": str(home), "RUN_AS": f"{SERVICE_UIDS['gig']}:65530", "SSL_CERT_FILE": __file__}

    lent = lend(layout, "gig-0", environment, ("AWS_",))

    copy = layout.data_dir / lent["AWS_SHARED_CREDENTIALS_FILE"]
    assert copy.read_text() == "secret"
    assert (copy.stat().st_uid, copy.stat().st_mode & 0o777) == (SERVICE_UIDS["gig"], 0o600)
    assert lend(layout, "order-0", environment, ()) == environment
