"""`python -m order_service.personal_data`: what OrderService knows of a user, as an archive, and its erasure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from order_service.convert.stored_responses import without_texts
from order_service.files.storage import storage_from
from order_service.payments.sandbox.erasure import SandboxErasure
from order_service.settings import FileStorageSettings, PaymentSettings
from order_service.store.files import FILES
from order_service.store.personal_data import DERIVED, RECORDS, Obstacle, UserOrders
from order_service.store.store import Store
from servicekit import personal_data_console
from servicekit.database import Database
from servicekit.personal_data import Erased, PersonalData
from servicekit.progress import Progress
from servicekit.settings import load
from servicekit.storage.deletion import DELETION_SECONDS, Deletions
from servicekit.storage.storage import Storage

# What an operator reads about an obstacle: `{0}` is its id or name, `{1}` its state.
OBSTACLES = {
    "order": "order {0} is {1}: it has to be COMPLETED or CANCELLED",
    "attempt": "order {0} has an unfinished {1} at the payment provider (make attempts)",
    "refund": "a refund of order {0} is {1}: the buyer has not got it yet",
    "payment": "the {1} of order {0} is not made yet (make outbox)",
    "chargeback": "a chargeback of order {0} is {1}: the bank has not decided",
    "payout": "payout {0} is {1}: the seller has not got it yet",
    "balance": "the seller's balance has {1} in {0}: it has to be paid out or adjusted to 0",
    "hold": "the seller's payouts are held ({1}): an admin has to release the hold",
}


class PersonalDataSettings(PaymentSettings, FileStorageSettings):
    """The settings of OrderService that the commands need."""


class OrderUserData:
    """OrderService's UserData; see servicekit/personal_data_console.py. `sandbox` is None where payments are real."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        sandbox: SandboxErasure | None,
        files_seconds: float = DELETION_SECONDS,
    ) -> None:
        self._store = Store(database)
        self._storage = storage
        self._deletions = Deletions(database, FILES, "users' files", files_seconds)
        self._orders = UserOrders(database)
        self._data = PersonalData(database, RECORDS, DERIVED)
        self._sandbox = sandbox

    def obstacles(self, user_id: UUID) -> list[str]:
        """Return what is under way or owed."""
        return [_text(obstacle) for obstacle in self._orders.obstacles(user_id)]

    def sold(self, user_id: UUID) -> list[UUID]:
        """Return the orders that the user has sold."""
        return self._orders.sold(user_id)

    def archive(self, user_id: UUID, _sold: Sequence[UUID], folder: Path) -> Iterator[tuple[str, list[str]]]:
        """Yield the records. The files go to `files/<id>` in the folder; the records have their names."""
        for file in self._store.files.of_owner(user_id):
            target = folder / "files" / str(file.label.id)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._storage.fetch(file.key, target)
        yield from self._data.archive(user_id)

    def erase(self, user_id: UUID, _sold: Sequence[UUID], progress: Progress) -> Iterator[Erased]:
        """Remove the user's files, erase the records, and the user's texts in what others were told.

        Waits until the files are deleted. Raises MarketplaceError when they are not deleted in time.
        """
        with self._store.transaction("erase files"):
            removed = self._store.files.remove_of_owner(user_id)
        yield Erased("files_removed", removed)
        yield from self._data.erase(user_id, progress=progress)
        yield Erased("responses_to_others", self._erase_responses(user_id))
        if self._sandbox is not None:
            yield Erased("cards_in_the_sandbox", self._sandbox.cards(self._orders.bought(user_id)))
            yield Erased("accounts_in_the_sandbox", self._sandbox.accounts(self._orders.payouts(user_id)))
        yield Erased("files_deleted", self._deletions.wait(progress))

    def forget_samples(self, *, compacts: bool) -> None:
        """Do it; see PersonalData."""
        self._data.forget_samples(compacts=compacts)
        if self._sandbox is not None:
            self._sandbox.forget_samples(compacts=compacts)

    def _erase_responses(self, user_id: UUID) -> int:
        number = 0
        for stored in self._orders.responses_to_others(user_id):
            response = without_texts(stored.scope, stored.answer, is_bought=stored.is_bought)
            if response != stored.answer:
                self._orders.replace_response(stored, response)
                number += 1
        return number


def _text(obstacle: Obstacle) -> str:
    return OBSTACLES[obstacle.kind].format(obstacle.id, obstacle.state)


def main() -> int:
    """Run a command of the command line."""
    settings = load(PersonalDataSettings)
    timeout = personal_data_console.STATEMENT_TIMEOUT_MS
    database = Database(settings.order_database_url, statement_timeout_ms=timeout)
    is_real = settings.stripe_keys is not None
    sandbox = None if is_real else Database(str(settings.sandbox_database_url), statement_timeout_ms=timeout)
    data = OrderUserData(database, storage_from(settings), SandboxErasure(sandbox) if sandbox else None)
    return personal_data_console.main("order", database, data)


if __name__ == "__main__":
    sys.exit(main())
