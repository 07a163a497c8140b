"""Requests to Stripe that end within the deadline of the call under way."""

from __future__ import annotations

from typing import Any

import stripe

from servicekit.call import remaining_seconds

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0


class DeadlineHttpClient(stripe.RequestsClient):
    """The library's own HTTP client, whose requests end within the deadline of the call under way."""

    # Any: the library has a number here, or a pair of them for `requests`: to connect, and to wait for a response.
    @property
    def _timeout(self) -> Any:
        return remaining_seconds(CONNECT_SECONDS), remaining_seconds(READ_SECONDS)

    @_timeout.setter
    def _timeout(self, _: Any) -> None:
        """Ignore the library's own time-out, which is the same for all requests."""
