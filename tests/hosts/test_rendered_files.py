"""The files of several hosts, as `deploy.hosts.render` writes them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from deploy.hosts.inventory import Inventory, load
from deploy.hosts.programs import DRAIN_SECONDS, ENVOY_ADMIN_PORT, MODULES, programs
from deploy.hosts.render import render, write
from deploy.local.environment import SERVICE_GRACE_SECONDS, SETTINGS
from edge import drain
from servicekit.server import LATEST_CHECK_SECONDS

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "hosts" / "inventory.toml"


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    return load(EXAMPLE)


def test_patroni_takes_the_file_of_each_host(inventory: Inventory, tmp_path: Path) -> None:
    """Patroni's own check, but for the folders and ports, which are those of another machine."""
    write(inventory, tmp_path)

    for host in inventory.hosts:
        file = tmp_path / host.name / "patroni.yml"
        command = [sys.executable, "-m", "patroni", "--validate-config", "--ignore-listen-port", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        complaints = [line for line in done.stdout.splitlines() if "didn't pass validation" in line]
        assert [line for line in complaints if "data_dir" not in line and "listen" not in line] == [], done.stdout
        assert yaml.safe_load(file.read_text())["name"] == host.name


def test_a_host_that_was_away_hurts_neither_itself_nor_the_others(inventory: Inventory) -> None:
    """What comes of the first is tried by `tests.cluster.torture`."""
    host = inventory.hosts[0]
    patroni = yaml.safe_load(render(inventory, host)["patroni.yml"])
    etcd = next(program for program in programs(inventory, host) if program.name == "etcd")

    assert patroni["postgresql"]["remove_data_directory_on_rewind_failure"] is True
    assert patroni["postgresql"]["parameters"]["shared_buffers"] == inventory.shared_buffers == "2GB"
    assert etcd.environment["ETCD_PRE_VOTE"] == "true"


@pytest.mark.parametrize("name", [*MODULES, "edge"])
def test_each_program_starts_with_the_settings_of_its_file(
    inventory: Inventory, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = inventory.hosts[1]
    program = next(each for each in programs(inventory, host) if each.name == {"edge": "envoy"}.get(name, name))
    # The example's is no real one.
    environment = program.environment | ({"WEBHOOK_KEYS": "A" * 43 + "="} if name == "order" else {})
    for variable in (field.upper() for field in SETTINGS[name].model_fields):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)

    settings = SETTINGS[name]()

    assert str(host.address) in (getattr(settings, "listen", "") + getattr(settings, "edge_host", ""))


def test_a_program_gets_no_other_services_secrets(inventory: Inventory) -> None:
    of = {program.name: program.environment for program in programs(inventory, inventory.hosts[0])}

    assert {name for name, own in of.items() if "STRIPE_API_KEY" in own} == {"order"}
    assert {name for name, own in of.items() if "AWS_SECRET_ACCESS_KEY" in own} == {"gig", "gig-images", "order-events"}
    assert {name for name, own in of.items() if "ORDER_DATABASE_URL" in own} == {"order", "order-events"}


@pytest.mark.parametrize(
    ("media", "url"),
    [
        ({"MEDIA_STORAGE": "s3", "MEDIA_URL": "https://pictures.example"}, "https://pictures.example"),
        ({"MEDIA_STORAGE": "folder", "MEDIA_DIR": "/srv/media"}, "https://market.example/media"),
    ],
)
def test_images_have_urls_of_the_bucket_or_of_the_edge(inventory: Inventory, media: dict[str, str], url: str) -> None:
    used = inventory.model_copy(update={"media": media})
    of = {program.name: program.environment for program in programs(used, used.hosts[0])}

    assert [of[name]["MEDIA_URL"] for name in ("gig", "gig-images")] == [url, url]


def test_images_in_a_bucket_need_their_url(tmp_path: Path) -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if not line.startswith("MEDIA_URL")]
    file = tmp_path / "inventory.toml"
    file.write_text("\n".join(lines))

    with pytest.raises(ValueError, match="MEDIA_STORAGE=s3 needs MEDIA_URL"):
        load(file)


def test_a_database_url_has_all_hosts_and_wants_the_primary(inventory: Inventory) -> None:
    url = inventory.database_url("gig")

    assert "@10.0.0.11:5432,10.0.0.12:5432,10.0.0.13:5432/gigs" in url
    assert url.endswith("?target_session_attrs=read-write")


def test_files_with_passwords_are_not_for_everyone(inventory: Inventory, tmp_path: Path) -> None:
    write(inventory, tmp_path)

    for file in tmp_path.rglob("*.*"):
        if file.is_file() and "change-me" in file.read_text():
            assert file.stat().st_mode & 0o007 == 0, file


def test_every_unit_starts_its_program_again(inventory: Inventory) -> None:
    files = render(inventory, inventory.hosts[0])

    units = {name: text for name, text in files.items() if name.endswith(".service")}
    assert len(units) == len(MODULES) + 3
    for text in units.values():
        assert "Restart=always" in text
        assert "StartLimitIntervalSec=0" in text


def stop_seconds(unit: str) -> int:
    """Return the time after which systemd kills a program of this unit."""
    return int(unit.partition("TimeoutStopSec=")[2].split()[0])


@pytest.mark.parametrize("name", MODULES)
def test_a_worker_finishes_its_calls_before_systemd_kills_it(inventory: Inventory, name: str) -> None:
    files = render(inventory, inventory.hosts[0])

    assert f"SHUTDOWN_GRACE_SECONDS={SERVICE_GRACE_SECONDS}\n" in files[f"{name}.env"]
    assert stop_seconds(files[f"marketplace-{name}.service"]) > LATEST_CHECK_SECONDS + SERVICE_GRACE_SECONDS


def test_the_edge_is_drained_before_it_is_stopped(inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = render(inventory, inventory.hosts[0])["marketplace-envoy.service"]
    begun: list[tuple[int, float]] = []
    monkeypatch.setattr(drain, "drain", lambda *options: begun.append(options))
    command = shlex.split(unit.partition("ExecStop=")[2].splitlines()[0])
    monkeypatch.setattr(sys, "argv", command[2:])

    drain.main()

    assert command[1:3] == ["-m", "edge.drain"]
    assert begun == [(ENVOY_ADMIN_PORT, DRAIN_SECONDS)]
    assert stop_seconds(unit) > DRAIN_SECONDS
    assert " --drain-strategy immediate " in unit


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ('name = "two"', "two hosts have the same name or address"),
        ('database_password = "short"', "database_password"),
    ],
)
def test_a_mistake_in_the_inventory_is_named(tmp_path: Path, wrong: str, message: str) -> None:
    key = wrong.split(" ", 1)[0]
    lines = [wrong if line.startswith(f"{key} =") else line for line in EXAMPLE.read_text().splitlines()]
    file = tmp_path / "inventory.toml"
    file.write_text("\n".join(lines))

    with pytest.raises(ValueError, match=message):
        load(file)
