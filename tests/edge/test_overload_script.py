"""When the edge refuses requests early, by a clock that the test sets, and a service of one queue."""

from __future__ import annotations

from collections import deque
from typing import Any

from tests.support.scripts import Scripts

LIMIT = 0.3
SERVICE = b"gig"


class Service:
    """The script, in front of a service that answers so many reads a second, one after the other."""

    def __init__(self, rate: float) -> None:
        self.now = 1_000.0
        self.refused: dict[str, int] = {}
        self.times: list[float] = []
        self._script: Any = Scripts().module("overload")
        self._seconds = 1 / rate
        self._is_free_at = 0.0
        self._under_way: deque[tuple[float, int, float]] = deque()

    def ask(self, address: str = "192.0.2.1") -> bool:
        """Send a read. Return whether it may pass."""
        if not self._script[b"may_pass"](SERVICE, address.encode(), self.now):
            self.refused[address] = self.refused.get(address, 0) + 1
            return False
        self._is_free_at = max(self.now, self._is_free_at) + self._seconds
        self._under_way.append((self._is_free_at, self._script[b"passed"](SERVICE), self.now))
        return True

    def pass_time(self, seconds: float) -> None:
        """Move the clock; answer what the service has answered until then."""
        end = self.now + seconds
        while self._under_way and self._under_way[0][0] <= end:
            self.now, number, began = self._under_way.popleft()
            self._script[b"answered"](SERVICE, number, began, self.now, True, True, LIMIT)
            self.times.append(self.now - began)
        self.now = end

    def give_up(self) -> None:
        """Forget all requests under way, as if their clients had gone."""
        self._under_way.clear()
        self._is_free_at = self.now

    def load(self, rate: float, seconds: float, address: str = "192.0.2.1") -> float:
        """Send reads at a rate. Return how many a second pass."""
        count = int(rate * seconds)
        passed = 0
        for _ in range(count):
            passed += self.ask(address)
            self.pass_time(1 / rate)
        return passed / seconds


def test_a_service_that_keeps_up_is_never_refused() -> None:
    service = Service(rate=1000)

    assert service.load(900, seconds=5) == 900


def test_a_burst_that_is_over_in_time_passes_as_a_whole() -> None:
    service = Service(rate=1000)
    service.load(10, seconds=1)

    assert all(service.ask() for _ in range(250))
    service.pass_time(1)
    assert all(service.ask() for _ in range(250))


def test_at_twice_its_rate_a_service_answers_in_time_as_many_as_it_can() -> None:
    service = Service(rate=1000)

    service.load(2000, seconds=2)
    service.times.clear()
    passed = service.load(2000, seconds=5)

    assert 900 < passed < 1150
    assert max(service.times) < 0.6


def test_the_first_second_of_an_overload_makes_nobody_wait_for_a_second() -> None:
    service = Service(rate=1000)

    service.load(2000, seconds=3)

    assert max(service.times) < 0.9


def test_after_an_overload_everything_passes() -> None:
    service = Service(rate=1000)
    service.load(3000, seconds=3)

    service.load(500, seconds=1)

    assert service.load(900, seconds=5) == 900


def test_a_service_with_nothing_under_way_is_normal_at_once() -> None:
    service = Service(rate=100)
    for _ in range(2):
        for _ in range(200):
            assert service.ask()
        service.pass_time(2.1)

    assert max(service.times) > 1.9


def test_one_service_is_refused_and_another_one_is_not() -> None:
    service = Service(rate=100)
    service.load(1000, seconds=2)
    assert service.refused

    assert service._script[b"may_pass"](b"order", b"192.0.2.1", service.now)


def test_requests_that_their_clients_give_up_make_room_again() -> None:
    service = Service(rate=1000)
    service.load(2000, seconds=2)

    service.give_up()
    service.pass_time(1.5)

    assert service.load(500, seconds=2) == 500


def test_a_few_requests_pass_however_late_the_answers_are() -> None:
    service = Service(rate=2)
    for _ in range(40):
        service.ask()
    service.pass_time(60)

    assert service.ask()


def test_an_address_that_asks_for_little_is_served_while_another_one_floods() -> None:
    service = Service(rate=1000)
    service.load(5000, seconds=2, address="192.0.2.1")
    service.refused.clear()

    asked = 0
    for step in range(10_000):
        service.ask("192.0.2.1")
        if step % 100 == 0:
            asked += 1
            service.ask("192.0.2.2")
        service.pass_time(1 / 5000)

    assert service.refused["192.0.2.1"] > 5_000
    assert service.refused.get("192.0.2.2", 0) <= asked // 20


def test_a_clock_that_is_set_back_ends_the_refusals() -> None:
    service = Service(rate=100)
    service.load(1000, seconds=2)
    service.give_up()

    service.now -= 3600

    assert all(service.ask() for _ in range(50))
