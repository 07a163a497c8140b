"""The order of an erasure, and the lists of erased users."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from deploy.local import personal_data
from deploy.local.erased_users import ErasedUsersFile
from deploy.local.personal_data import CommandFailed, erase_users
from deploy.local.settings import StackSettings

USER = uuid4()
OBSTACLE = "  order 1 is PENDING: it has to be COMPLETED or CANCELLED\n"
CLOSED = ["gig close", "review close", "order close"]


class Services:
    """Services that note the commands they get. `obstacles` are what each look for obstacles finds, then none."""

    def __init__(self, *obstacles: str, fails_at: str = "", refuses: str = "", is_closed: bool = False) -> None:
        self.commands: list[str] = []
        self._refuses = refuses
        self._obstacles: Iterator[str] = iter(obstacles)
        self._fails_at = fails_at
        self._is_closed = is_closed

    def read(self, service: str, command: str, user: UUID) -> tuple[int, str]:
        """Note the command, and respond as the service would."""
        self._note(service, command)
        found = next(self._obstacles, "") if command == "obstacles" else ""
        return int(bool(found) or (command == "close" and not self._is_closed)), found

    def run(self, service: str, command: str, user: UUID, *options: str, text: str = "") -> int:
        """Note the command. `refuses` is refused by an obstacle."""
        self._note(service, command)
        return int(f"{service} {command}" == self._refuses)

    def _note(self, service: str, command: str) -> None:
        self.commands.append(f"{service} {command}")
        if self.commands[-1] == self._fails_at:
            raise CommandFailed


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data, "CLOSING_SECONDS", 0)


def erase(monkeypatch: pytest.MonkeyPatch, folder: Path, services: Services) -> int:
    """Erase the user of a stack in this folder. Return the status."""
    monkeypatch.setattr(personal_data, "_Services", lambda settings: services)
    return erase_users(StackSettings(data_dir=folder), USER, compacts=False)


def listed(folder: Path) -> list[UUID]:
    return ErasedUsersFile(folder / "erased-users").ids()


def test_a_user_is_listed_before_anything_is_erased_and_orders_come_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    services = Services(fails_at="gig erase")

    assert erase(monkeypatch, tmp_path, services) == 2

    assert listed(tmp_path) == [USER]
    again = Services(is_closed=True)
    assert erase(monkeypatch, tmp_path, again) == 0
    assert [each for each in again.commands if "erase" in each] == ["gig erase", "review erase", "order erase"]
    assert listed(tmp_path) == [USER]


def test_an_obstacle_at_the_first_look_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    services = Services(OBSTACLE)

    assert erase(monkeypatch, tmp_path, services) == 1

    assert (services.commands, listed(tmp_path)) == (["order obstacles"], [])


def test_an_obstacle_that_comes_while_the_account_is_closed_opens_it_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    services = Services("", OBSTACLE)

    assert erase(monkeypatch, tmp_path, services) == 1

    opened = ["gig open", "review open", "order open"]
    assert services.commands == ["order obstacles", *CLOSED, "order obstacles", *opened]
    assert listed(tmp_path) == []


def test_an_order_that_comes_before_the_gigs_are_gone_stops_the_erasure_before_the_orders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert erase(monkeypatch, tmp_path, Services(refuses="order erase")) == 1

    assert listed(tmp_path) == [USER]


def test_an_account_whose_erasure_has_begun_stays_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ErasedUsersFile(tmp_path / "erased-users").add(USER)
    services = Services("", OBSTACLE)

    assert erase(monkeypatch, tmp_path, services) == 1

    assert not any("open" in each for each in services.commands)


def test_the_list_is_also_beside_the_backups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data-backups").mkdir()

    assert erase(monkeypatch, tmp_path / "data", Services()) == 0

    assert ErasedUsersFile.beside(tmp_path / "data-backups").ids() == [USER]
    assert stat.S_IMODE((tmp_path / "data" / "erased-users").stat().st_mode) == 0o600


def test_lists_are_joined_and_have_each_user_once(tmp_path: Path) -> None:
    one, other = ErasedUsersFile(tmp_path / "one"), ErasedUsersFile(tmp_path / "other")
    first, second, third = uuid4(), uuid4(), uuid4()
    one.add(first, second)
    other.add(second, third)

    one.take_from(other)
    one.take_from(ErasedUsersFile(tmp_path / "none"))

    assert one.ids() == [first, second, third]
    assert len((tmp_path / "one").read_text().splitlines()) == 3


def test_a_damaged_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "erased-users").write_text("all of them\n")

    assert erase_users(StackSettings(data_dir=tmp_path), None, compacts=False) == 2
