"""Requests to Stripe that end in time for whoever waits for them."""

from __future__ import annotations

from typing import Any

import stripe

from servicekit.call import remaining_seconds

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0


class DeadlineHttpClient(stripe.RequestsClient):
    """The library's own HTTP client, whose requests last no longer than the call that they are made for."""

    # Any: the library has a number here, or a pair of them for `requests`: to connect, and to wait for an answer.
    @property
    def _timeout(self) -> Any:
        return remaining_seconds(CONNECT_SECONDS), remaining_seconds(READ_SECONDS)

    @_timeout.setter
    def _timeout(self, _: Any) -> None:
        """The library's own, for all requests alike, has no place here."""
