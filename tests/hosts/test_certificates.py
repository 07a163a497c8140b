"""The certificates of several hosts: made by one authority, renewed in time, and put in place whole."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.hosts.certificates import install, make
from deploy.hosts.inventory import Inventory, load
from deploy.local.internal_tls import IDENTITIES
from servicekit.internal_tls import AUTHORITIES, CERTIFICATE, PRIVATE_KEY, InternalTlsError, read
from tests.support.authority import serial_in

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "hosts" / "inventory.toml"


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    return load(EXAMPLE)


def serials(folder: Path) -> dict[str, int]:
    return {identity: serial_in(folder / identity) for identity in IDENTITIES}


def test_each_host_has_a_certificate_of_its_own_for_each_identity(inventory: Inventory, tmp_path: Path) -> None:
    made = make(inventory, tmp_path)

    hosts = [tmp_path / host.name / "tls" for host in inventory.hosts]
    assert made == [host / identity for host in hosts for identity in IDENTITIES]
    assert len({serial for host in hosts for serial in serials(host).values()}) == len(made)
    trusted = (tmp_path / "authority" / AUTHORITIES).read_bytes()
    for folder in made:
        assert read(folder, folder.name).authorities == trusted
        assert (folder / PRIVATE_KEY).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "authority").stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.glob("*/tls/**/ca.key"))


def test_another_run_replaces_what_ends_soon_and_nothing_else(inventory: Inventory, tmp_path: Path) -> None:
    make(inventory, tmp_path, timedelta(days=40))
    of_one = tmp_path / "one" / "tls"
    before, authority = serials(of_one), (tmp_path / "authority" / AUTHORITIES).read_bytes()

    assert make(inventory, tmp_path, timedelta(days=70)) == []
    assert serials(of_one) == before

    assert len(make(inventory, tmp_path, timedelta(days=90))) == len(inventory.hosts) * len(IDENTITIES)
    assert not set(serials(of_one).values()) & set(before.values())
    assert read(of_one / "gig", "gig").authorities == authority


def test_a_host_takes_new_files_whole_and_leaves_equal_ones_alone(inventory: Inventory, tmp_path: Path) -> None:
    given, target = tmp_path / "one" / "tls", tmp_path / "etc" / "tls"
    make(inventory, tmp_path)
    assert install(given, target) == [target / identity for identity in IDENTITIES]
    version = (target / "gig" / "..data").resolve()

    assert install(given, target) == []
    assert (target / "gig" / "..data").resolve() == version
    make(inventory, tmp_path, timedelta(days=365))

    assert install(given, target) == [target / identity for identity in IDENTITIES]
    assert serials(target) == serials(given)
    assert (target / "gig" / "..data").resolve() != version


def test_one_file_that_cannot_be_used_leaves_all_as_they_are(inventory: Inventory, tmp_path: Path) -> None:
    given, target = tmp_path / "one" / "tls", tmp_path / "etc" / "tls"
    make(inventory, tmp_path)
    install(given, target)
    before = serials(target)
    make(inventory, tmp_path, timedelta(days=365))
    (given / "review" / CERTIFICATE).write_bytes((given / "order" / CERTIFICATE).read_bytes())

    with pytest.raises(InternalTlsError, match="review"):
        install(given, target)

    assert serials(target) == before


def test_the_commands_name_what_they_have_written_and_the_file_that_is_wrong(tmp_path: Path) -> None:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy.hosts.certificates", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    made = run("make", EXAMPLE, tmp_path, "--days", "30")
    installed = run("install", tmp_path / "two" / "tls", tmp_path / "etc")
    refused = run("install", tmp_path, tmp_path / "etc")

    assert (made.returncode, len(made.stdout.splitlines())) == (0, 3 * len(IDENTITIES))
    assert (installed.returncode, installed.stdout.split()) == (
        0,
        [str(tmp_path / "etc" / each) for each in IDENTITIES],
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{tmp_path}/gig/tls.crt cannot be read" in refused.stderr
