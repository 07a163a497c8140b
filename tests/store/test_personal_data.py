"""What the services know of users: an erasure forgets no column, and can be stopped anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from gig_service.store import personal_data as gig_data
from order_service.store import personal_data as order_data
from review_service.store import personal_data as review_data
from servicekit import personal_data
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from servicekit.personal_data import ERASED, PersonalData, Records
from servicekit.progress import Progress
from tests.support.identity import user_id
from tests.support.postgres import PostgresServer

# Columns that can hold a text, of every table.
COLUMNS = Statement("""
    SELECT table_name || '.' || column_name AS name
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
    AND udt_name IN ('text', '_text', 'varchar', 'jsonb', 'bytea', 'tsvector')
""")
RECORDS: Mapping[str, Sequence[Records]] = {
    "gig": gig_data.RECORDS,
    "order": order_data.RECORDS,
    "review": review_data.RECORDS,
}
OUTBOX = "names a delivery: ids, versions, stars, keys of files; errors without the values that they quote"
STATE = "a state or a kind, from a list of ours"
PROVIDER = "the provider's id of a payment, a payout or a report: the books need it"
# The columns that an erasure leaves as they are, and why they have no text of a user.
KEPT: Mapping[str, Mapping[str, str]] = {
    "gig": {
        "categories.name categories.slug": "the marketplace's own",
        "gigs.status search_rows.status": STATE,
        "images.key images.thumbnail_key": "random; the rows go with the gig",
        "words.word": "UserGigs.forget_words",
        "outbox.topic outbox.key outbox.payload outbox.error": OUTBOX,
        "schema_migration.name": "ours",
    },
    "order": {
        "orders.status orders.payment_status orders.chargeback_state": STATE,
        "offers.status": STATE,
        "orders.currency orders.payment_method payouts.currency": STATE,
        "orders.payment_reference payouts.reference refunds.provider_id": PROVIDER,
        "chargebacks.id provider_events.id provider_fees.id": PROVIDER,
        "order_events.by order_events.action order_events.came_from order_events.went_to order_events.paid_by": STATE,
        "events.type chargebacks.state refunds.state payouts.status": STATE,
        "attempts.kind attempts.data attempts.state attempts.reference": "an open attempt is an obstacle",
        "payout_holds.reason": "a hold is an obstacle",
        "ledger_accounts.name ledger_entries.kind ledger_transactions.reference": "the books: names and ids",
        "reconciliation_work.kind": STATE,
        "webhook_endpoints.types webhook_endpoints.secret_key": "types of events; the digest of our own key",
        "outbox.topic outbox.key outbox.payload outbox.error": OUTBOX,
        "schema_migration.name": "ours",
    },
    "review": {
        "outbox.topic outbox.key outbox.payload outbox.error": OUTBOX,
        "schema_migration.name": "ours",
    },
}


@pytest.mark.parametrize("service", RECORDS)
def test_every_column_with_texts_is_erased_or_has_a_reason_to_stay(postgres: PostgresServer, service: str) -> None:
    database = Database(postgres.fresh(service))
    columns = {row["name"] for row in database.fetch_all(COLUMNS)}
    database.close()
    erased = {f"{records.table}.{column}" for records in RECORDS[service] for column in records.erased}
    deleted = {records.table for records in RECORDS[service] if records.is_deleted}
    kept = {name for names in KEPT[service] for name in names.split()}

    unknown = {name for name in columns - erased - kept if name.partition(".")[0] not in deleted}

    assert not unknown, "new columns: erase them in store/personal_data.py, or say here why they stay"
    assert kept <= columns
    assert not kept & erased


ANN, BOB = user_id("ann"), user_id("bob")
ADD = Statement("""
    INSERT INTO reviews (id, order_id, gig_id, buyer_id, buyer_name, stars, comment, created_at, reply, replied_at)
    VALUES ($1, $2, $3, $4, $5, 4, 'Good work', app_now(), 'Thank you', app_now())
""")
TEXTS = Statement("SELECT buyer_name, comment, reply, stars FROM reviews WHERE buyer_id = $1")


class Stopping(Progress):
    """Progress that ends the work after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self._left = batches

    def advance(self, number: int) -> None:
        """Count a batch."""
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt


def test_an_erasure_that_is_stopped_anywhere_goes_on_and_touches_nobody_else(
    review_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal_data, "BATCH", 2)
    for buyer, name in ((ANN, "Ann"), (BOB, "Bob")):
        for _ in range(5):
            review_database.fetch_all(ADD, new_id(), new_id(), new_id(), buyer, name)
    data = PersonalData(review_database, review_data.RECORDS)
    before = review_database.fetch_all(TEXTS, BOB)

    with pytest.raises(KeyboardInterrupt):
        list(data.erase(ANN, [], progress=Stopping(2)))
    halfway = [row["comment"] for row in review_database.fetch_all(TEXTS, ANN)]
    done = {name: rows for name, rows in data.erase(ANN, [], progress=Progress()) if rows}

    assert sorted(halfway) == ["", "", "", "", "Good work"]
    assert done == {"reviews_written": 1}
    erased = {"buyer_name": ERASED, "comment": "", "reply": "Thank you", "stars": 4}
    assert review_database.fetch_all(TEXTS, ANN) == [erased] * 5
    assert review_database.fetch_all(TEXTS, BOB) == before
    assert not any(rows for _, rows in data.erase(ANN, [], progress=Progress()))


def test_an_archive_has_what_was_written_and_what_was_received_without_the_names_of_others(
    review_database: Database,
) -> None:
    sold, bought = new_id(), new_id()
    review_database.fetch_all(ADD, new_id(), sold, new_id(), BOB, "Bob")
    review_database.fetch_all(ADD, new_id(), bought, new_id(), ANN, "Ann")
    data = PersonalData(review_database, review_data.RECORDS)

    archive = dict(data.archive(ANN, [sold]))

    assert archive.keys() == {"reviews_written", "reviews_received"}
    assert '"Ann"' in archive["reviews_written"][0]
    assert "Thank you" in archive["reviews_received"][0]
    assert "Bob" not in str(archive)
