"""Creation of things once, whatever becomes of the responses."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx

from tests.torture.retries import Counts, RetryingClient

# How often a client that has its response sends the request again, as if it had lost it.
REPEATS = 0.1


class Maker:
    """Creates things as one of some people. Each difference that it sees is added to `differences`."""

    def __init__(
        self, people: Mapping[str, RetryingClient], chance: random.Random, counts: Counts, differences: list[str]
    ) -> None:
        self.people = people
        self.random = chance
        self.counts = counts
        self.differences = differences

    def make(self, who: str, path: str, body: dict[str, Any], *refusals: str) -> Any:
        """Create something once, by an idempotency key. Return None when it is refused with one of these codes."""
        answer = self.ask(who, path, body)
        if answer.is_success:
            return answer.json()
        if answer.json().get("code") not in refusals:
            self.differences.append(f"POST {path}: {answer.status_code} {answer.text}")
        return None

    def ask(self, who: str, path: str, body: dict[str, Any]) -> httpx.Response:
        """Return the definite response to a request with an idempotency key."""
        headers = {"idempotency-key": str(uuid4())}
        person = self.people[who]
        answer = person.until_definite("POST", path, json=body, headers=headers)
        # The sandbox's buyer confirms the payment, or fails to, within some seconds.
        while answer.json().get("code") == "PAYMENT_ACTION_REQUIRED" and answer.json().get("confirmation"):
            self.counts.add("confirmations awaited")
            time.sleep(0.5)
            answer = person.until_definite("POST", path, json=body, headers=headers)
        if answer.is_success and self.random.random() < REPEATS:
            again = person.until_definite("POST", path, json=body, headers=headers)
            if (again.status_code, again.json()) != (answer.status_code, answer.json()):
                self.differences.append(f"POST {path}: first {answer.json()}, with the same key {again.text}")
        return answer

    def set(self, who: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request that changes nothing the second time. Return its JSON; None without any."""
        answer = self.people[who].until_definite(method, path, json=body)
        if not answer.is_success:
            self.differences.append(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.is_success and answer.content else None
