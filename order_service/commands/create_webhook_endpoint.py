"""Create a webhook endpoint."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from order_service.domain.webhook import Endpoint, check_limit, unique_types, violations_of_types
from order_service.domain.webhook_url import BadUrl
from order_service.store.store import Store
from order_service.webhooks.secrets import SecretBox, new_secret
from order_service.webhooks.sender import Sender
from servicekit.call import Caller, remaining_seconds
from servicekit.database import retry_conflicts
from servicekit.errors import InvalidArgument, Violation
from servicekit.ids import new_id

# Seconds for the look-up of the URL's host, and look-ups of a worker at once. Beyond them a URL is taken without one,
# so that nobody's slow name servers take the threads of others; each call to the URL checks its addresses anyway.
LOOKUP_SECONDS = 2.0
LOOKUPS_AT_ONCE = 2


class NewEndpoint(NamedTuple):
    """An endpoint and its secret, which only its owner gets, and only now."""

    endpoint: Endpoint
    secret: str


class CreateWebhookEndpoint:
    """Create an endpoint for the events of the caller, or for all events when the caller is an admin."""

    def __init__(self, store: Store, sender: Sender, secret_box: SecretBox) -> None:
        self._store = store
        self._sender = sender
        self._secret_box = secret_box
        self._lookups = threading.BoundedSemaphore(LOOKUPS_AT_ONCE)

    def execute(self, url: str, types: Sequence[str], caller: Caller) -> NewEndpoint:
        """Return the endpoint.

        Raises InvalidArgument for a URL that may not be called and for unknown types, and Conflict (LIMIT_REACHED).
        """
        violations = [*self._violations_of_url(url), *violations_of_types(types)]
        if violations:
            raise InvalidArgument(violations)
        secret = new_secret()
        return NewEndpoint(self._add(url, unique_types(types), self._secret_box.encrypt(secret), caller), secret)

    def _violations_of_url(self, url: str) -> list[Violation]:
        may_look_up = self._lookups.acquire(blocking=False)
        try:
            self._sender.check(url, remaining_seconds(LOOKUP_SECONDS) if may_look_up else None)
        except BadUrl as error:
            return [Violation("url", str(error))]
        finally:
            if may_look_up:
                self._lookups.release()
        return []

    @retry_conflicts
    def _add(self, url: str, types: tuple[str, ...], encrypted: str, caller: Caller) -> Endpoint:
        assert caller.id is not None
        with self._store.transaction("webhook endpoint"):
            check_limit(self._store.webhook_endpoints.lock_owner(caller.id))
            return self._store.webhook_endpoints.add(
                new_id(),
                caller.id,
                is_admin=caller.is_admin,
                url=url,
                types=types,
                secret=encrypted,
                secret_key=self._secret_box.key_digest,
            )
