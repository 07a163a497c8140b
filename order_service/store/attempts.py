"""Attempts: calls to the payment provider that were begun, and whose outcome is not known yet."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import orjson
from pydantic import TypeAdapter

from order_service.domain.attempt import Attempt, Kind, State
from order_service.domain.conversation import BlocksBetween
from order_service.domain.payment import Authorization
from order_service.domain.placing import Draft
from order_service.store.blocks import BETWEEN
from servicekit.advisory_lock import TRY
from servicekit.database import Database, Row, Statement
from servicekit.errors import Unavailable
from servicekit.idempotency import BIND

COLUMNS = "order_id, kind, data, created_at, tries, state, reference, confirm_before, capture_before"

# Payment recovery leaves a new attempt to its worker for this long. Most are over before, and each look at an attempt
# that is under way costs a thread and a connection.
FIRST_TRY = timedelta(seconds=1)

BEGIN_CAPTURE = Statement("""
    INSERT INTO attempts (order_id, kind, data, created_at, next_try_at)
    VALUES ($1, 'capture', $2::jsonb, $3, $3::timestamptz + $4::interval)
""")


def _begin_authorization(order_id: str, first: int, source: str = "", offer_id: str = "NULL::uuid") -> str:
    """Return the SQL that stores an attempt and takes its lock: its draft, FIRST_TRY and the lock's name follow."""
    return f"""
        INSERT INTO attempts (order_id, kind, data, created_at, next_try_at, offer_id)
        SELECT {order_id}, 'authorize', ${first}::jsonb, now, now + ${first + 1}::interval, {offer_id}
        FROM {source}app_now() AS now
        RETURNING created_at, {TRY.format(f"${first + 2}")}
    """


BEGIN_AUTHORIZATION = Statement(_begin_authorization("$1", first=2))
# Stores nothing when the key is bound already. The parameters of BIND come first, and the fifth is the order's id.
BEGIN_AUTHORIZATION_WITH_KEY = Statement(
    f"WITH bound AS ({BIND.sql}) {_begin_authorization('$5', first=7, source='bound, ')}"
)
BEGIN_AUTHORIZATION_OF_OFFER = Statement(_begin_authorization("$1", first=2, offer_id="$5::uuid"))
# A worker of an older version expects a message.
BEGIN_CAPTURE_OF_OFFER = Statement("""
    UPDATE attempts SET kind = 'capture', state = 'asking', data = data || '{"message": ""}', reference = $2,
        capture_before = $3, tries = 0, next_try_at = app_now() + $4::interval
    WHERE order_id = $1 AND kind = 'authorize' AND state IN ('asking', 'confirming') RETURNING order_id
""")
REFUSE_CAPTURE_OF_OFFER = Statement("""
    UPDATE attempts SET kind = 'authorize', state = 'giving_up', tries = 0, next_try_at = app_now()
    WHERE order_id = $1 AND kind = 'capture' AND offer_id IS NOT NULL RETURNING order_id
""")
# While the provider is asked for an order of an offer, nobody else can order the offer; a card that waits for its
# buyer's confirmation does not reserve it.
IS_RESERVED = Statement("""
    SELECT EXISTS (SELECT FROM attempts WHERE offer_id = $1 AND state = 'asking' AND order_id <> $2) AS is_reserved
""")
MAY_BE_ORDERED = Statement("""
    SELECT EXISTS (SELECT FROM attempts WHERE offer_id = $1 AND state IN ('asking', 'confirming')) AS may_be
""")
CALL_OFF = Statement("""
    UPDATE attempts SET state = 'giving_up', tries = 0, next_try_at = app_now()
    WHERE offer_id = $1 AND kind = 'authorize'
        AND (state IN ('confirming', 'refused') OR state = 'asking' AND NOT is_in_doubt)
""")
# The states and the expression are those of the index `attempts_waiting`.
BEFORE_PLACING = Statement(f"""
    SELECT blocks.*, (
        SELECT count(*) FROM attempts
        WHERE data #>> '{{wish,buyer_id}}' = $1::uuid::text AND state IN ('confirming', 'refused')
    ) AS waiting FROM ({BETWEEN.sql}) AS blocks
""")
GET = Statement(f"SELECT {COLUMNS} FROM attempts WHERE order_id = $1")
DUE = Statement(f"""
    SELECT {COLUMNS} FROM attempts
    WHERE next_try_at <= app_now() ORDER BY next_try_at, order_id LIMIT $1
""")
COUNTS = Statement("SELECT kind, count(*) AS number FROM attempts GROUP BY kind")
LISTED = Statement(f"""
    SELECT {", ".join("a." + name for name in COLUMNS.split(", "))}, o.buyer_id, o.price, o.currency,
        extract(epoch FROM app_now() - a.created_at)::float8 AS age,
        extract(epoch FROM a.next_try_at - app_now())::float8 AS wait, count(*) OVER () AS total
    FROM attempts AS a LEFT JOIN orders AS o ON o.id = a.order_id ORDER BY a.created_at, a.order_id LIMIT $1
""")
RETRY = Statement("""
    UPDATE attempts SET tries = 0, next_try_at = app_now() WHERE $1::uuid IS NULL OR order_id = $1 RETURNING order_id
""")
# An attempt that is given up ends when its payment is voided, and in no other way.
ENDING = "DELETE FROM attempts WHERE order_id = {} AND state <> 'giving_up' AND {} RETURNING order_id"
END = Statement(ENDING.format("$1", "kind = 'capture'"))
# A refusal that comes late must not end the capture that another call has begun since.
END_REFUSED = Statement(ENDING.format("$1", "kind = 'authorize'"))
# The end of a placing; a seller's acceptance of the same order is none.
IS_PLACING = "(kind = 'authorize' OR offer_id IS NOT NULL)"
END_GIVEN_UP = Statement("DELETE FROM attempts WHERE order_id = $1 AND state = 'giving_up' RETURNING order_id")
AWAIT_CONFIRMATION = Statement("""
    UPDATE attempts SET state = 'confirming', reference = $2, confirm_before = $3, tries = 0,
        next_try_at = app_now() + $4::interval
    WHERE order_id = $1 AND kind = 'authorize' AND state = 'asking'
""")
KEEP_REFUSAL = Statement("""
    UPDATE attempts SET state = 'refused', next_try_at = confirm_before WHERE order_id = $1 AND state = 'confirming'
""")
GIVE_UP = Statement("""
    UPDATE attempts SET state = 'giving_up', tries = CASE state WHEN 'giving_up' THEN tries ELSE 0 END,
        next_try_at = CASE state WHEN 'giving_up' THEN next_try_at ELSE app_now() END
    WHERE order_id = $1 AND kind = 'authorize' RETURNING order_id
""")
WAKE = Statement("UPDATE attempts SET next_try_at = app_now() WHERE order_id = $1 AND next_try_at > app_now()")
DOUBT = Statement("""
    UPDATE attempts SET is_in_doubt = true, next_try_at = least(next_try_at, app_now()) WHERE order_id = $1
""")
POSTPONE = Statement("""
    UPDATE attempts SET tries = tries + 1, next_try_at = app_now() + $2::interval WHERE order_id = $1
""")
PUT_OFF = Statement("UPDATE attempts SET next_try_at = app_now() + $2::interval WHERE order_id = $1")

# No order has this id.
NO_ORDER = UUID(int=0)
DRAFT = TypeAdapter(Draft)
DRAFT_NAMES = [field.name for field in fields(Draft)]
# The names of a draft's parts in the database, which a worker of an older version has written.
STORED_NAMES = {"terms": "offer", "request": "wish"}


@dataclass(frozen=True, slots=True)
class ListedAttempt:
    """An attempt as an operator sees it: the buyer, the amount, its age and the time to its next try, in seconds."""

    attempt: Attempt
    buyer_id: UUID
    amount: Decimal
    currency: str
    age: float
    wait: float


class Attempts:
    """The attempts; an order has at most one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_authorization(self, draft: Draft, binding: tuple[object, ...] | None = None) -> Attempt | None:
        """Commit the attempt to authorize a draft's payment, before the call, and take its lock.

        `binding` binds an idempotency key to it. Return None when that is bound already: then nothing is stored. Raises
        OutcomeUnknown when the commit's response is lost.
        """
        params = _draft_params(draft)
        if binding is None:
            row = self._database.commit_one("placing", BEGIN_AUTHORIZATION, draft.order_id, *params)
        else:
            row = self._database.commit_one("placing", BEGIN_AUTHORIZATION_WITH_KEY, *binding, *params)
        return Attempt(draft.order_id, Kind.AUTHORIZE, row["created_at"], tries=0, draft=draft) if row else None

    def begin_authorization_of_offer(self, draft: Draft) -> Attempt:
        """Do as `begin_authorization`, in the caller's transaction, which has locked the offer."""
        row = self._database.fetch_one(
            BEGIN_AUTHORIZATION_OF_OFFER, draft.order_id, *_draft_params(draft), draft.terms.offer_id
        )
        assert row is not None
        return Attempt(draft.order_id, Kind.AUTHORIZE, row["created_at"], tries=0, draft=draft)

    def begin_capture_of_offer(self, attempt: Attempt, authorization: Authorization) -> Attempt | None:
        """Store that the authorized payment of an attempt is going to be captured. It is committed before the call.

        Return None when the attempt is over, is given up, or captures already.
        """
        reference, before = authorization.reference, authorization.capture_before
        if not self._database.fetch_all(BEGIN_CAPTURE_OF_OFFER, attempt.order_id, reference, before, FIRST_TRY):
            return None
        return replace(attempt, kind=Kind.CAPTURE, state=State.ASKING, reference=reference, capture_before=before)

    def refuse_capture_of_offer(self, order_id: UUID) -> bool:
        """Store that there will be no order, since its payment cannot be captured. Return whether that was open."""
        return bool(self._database.fetch_all(REFUSE_CAPTURE_OF_OFFER, order_id))

    def is_offer_reserved(self, offer_id: UUID, order_id: UUID | None = None) -> bool:
        """Return whether the provider is being asked for an order of the offer, other than this order.

        The caller's transaction has locked the offer.
        """
        return bool(self._database.fetch_all(IS_RESERVED, offer_id, order_id or NO_ORDER)[0]["is_reserved"])

    def may_order_offer(self, offer_id: UUID) -> bool:
        """Return whether an attempt may still place an order of the offer.

        The caller's transaction has locked the offer.
        """
        return bool(self._database.fetch_all(MAY_BE_ORDERED, offer_id)[0]["may_be"])

    def call_off(self, offer_id: UUID) -> None:
        """Give up the attempts to order an offer, which the caller's transaction has locked.

        Those stay whose outcome is in doubt, and those that capture.
        """
        self._database.write(CALL_OFF, offer_id)

    def begin_capture(self, order_id: UUID, message: str, now: datetime) -> Attempt:
        """Store the attempt to capture an order's payment. It is committed before the call."""
        data = orjson.dumps({"message": message}).decode()
        self._database.write(BEGIN_CAPTURE, order_id, data, now, FIRST_TRY)
        return Attempt(order_id, Kind.CAPTURE, now, tries=0, message=message)

    def before_placing(self, buyer_id: UUID, seller_id: UUID) -> tuple[BlocksBetween, int]:
        """Return the blocks between both, and the number of the buyer's placings that wait for a confirmation."""
        [row] = self._database.fetch_all(BEFORE_PLACING, buyer_id, seller_id)
        return BlocksBetween(row["is_blocked"], row["is_blocking"]), row["waiting"]

    def get(self, order_id: UUID) -> Attempt | None:
        """Return the order's attempt, if it has one."""
        row = self._database.fetch_one(GET, order_id)
        return _to_attempt(row) if row else None

    def due(self, limit: int) -> list[Attempt]:
        """Return the attempts that payment recovery should try now, the longest overdue first."""
        return [_to_attempt(row) for row in self._database.fetch_all(DUE, limit)]

    def listed(self, limit: int) -> tuple[list[ListedAttempt], int]:
        """Return the oldest attempts, so many at most, and the number of all."""
        rows = self._database.fetch_all(LISTED, limit)
        return [_to_listed(row) for row in rows], rows[0]["total"] if rows else 0

    def retry(self, order_id: UUID | None = None) -> list[UUID]:
        """Let payment recovery try an order's attempt now, or all of them. Return their orders."""
        return [row["order_id"] for row in self._database.fetch_all(RETRY, order_id)]

    def counts(self) -> dict[Kind, int]:
        """Return the number of attempts of each kind."""
        return {Kind(row["kind"]): row["number"] for row in self._database.fetch_all(COUNTS)}

    def await_confirmation(self, order_id: UUID, reference: str, before: datetime, ask_after: timedelta) -> None:
        """Store that the card waits for the buyer's confirmation.

        Nothing changes when that is known, or when the attempt is given up, or captures already.
        """
        self._database.fetch_all(AWAIT_CONFIRMATION, order_id, reference, before, ask_after)

    def keep_refusal(self, order_id: UUID) -> None:
        """Store that the confirmation was refused, for the buyer's next request."""
        self._database.fetch_all(KEEP_REFUSAL, order_id)

    def give_up(self, order_id: UUID) -> bool:
        """Store that there will be no order. Return False when the attempt has ended, or is a capture."""
        return bool(self._database.fetch_all(GIVE_UP, order_id))

    def end(self, order_id: UUID) -> bool:
        """Remove an attempt to capture, in the transaction of its outcome. Return False when it was not there."""
        return bool(self._database.fetch_all(END, order_id))

    def end_refused(self, order_id: UUID) -> bool:
        """Remove an attempt to authorize that was refused. Return False when it was over, or captures, or is given up.

        Its idempotency key is freed in the same transaction.
        """
        return bool(self._database.fetch_all(END_REFUSED, order_id))

    def end_given_up(self, order_id: UUID) -> bool:
        """Remove an attempt that was given up, when nothing is authorized for it. Return whether it was there."""
        return bool(self._database.fetch_all(END_GIVEN_UP, order_id))

    def wake(self, order_id: UUID) -> None:
        """Let payment recovery try the order's attempt now, if it has one."""
        self._database.fetch_all(WAKE, order_id)

    @contextmanager
    def due_when_in_doubt(self, attempt: Attempt) -> Iterator[None]:
        """Let payment recovery go on at once with an attempt that the block leaves in doubt.

        One that it has tried before keeps its back-off.
        """
        try:
            yield
        except Unavailable:
            if attempt.tries == 0:
                self.note_doubt(attempt.order_id)
            raise

    def note_doubt(self, order_id: UUID) -> None:
        """Store that the provider was asked and did not answer in time; payment recovery tries the attempt now."""
        self._database.fetch_all(DOUBT, order_id)

    def postpone(self, order_id: UUID, by: timedelta) -> None:
        """Count a try whose outcome is unknown; the next try is after this time."""
        self._database.fetch_all(POSTPONE, order_id, by)

    def put_off(self, order_id: UUID, by: timedelta) -> None:
        """Let the next try be after this time, and count none."""
        self._database.fetch_all(PUT_OFF, order_id, by)


def _draft_params(draft: Draft) -> tuple[object, ...]:
    parts = {STORED_NAMES.get(name, name): getattr(draft, name) for name in DRAFT_NAMES}
    return orjson.dumps(parts, default=str).decode(), FIRST_TRY, attempt_lock(draft.order_id)


def attempt_lock(order_id: UUID) -> str:
    """Return the name of the advisory lock on an order's attempt."""
    return f"attempt:{order_id}"


def _to_attempt(row: Row) -> Attempt:
    data = row["data"]
    has_draft = STORED_NAMES["terms"] in data
    if has_draft:
        data = {**data, **{name: data[stored] for name, stored in STORED_NAMES.items()}}
    return Attempt(
        order_id=row["order_id"],
        kind=Kind(row["kind"]),
        created_at=row["created_at"],
        tries=row["tries"],
        state=State(row["state"]),
        reference=row["reference"],
        confirm_before=row["confirm_before"],
        draft=DRAFT.validate_python(data) if has_draft else None,
        message=data.get("message", ""),
        capture_before=row["capture_before"],
    )


def _to_listed(row: Row) -> ListedAttempt:
    attempt = _to_attempt(row)
    draft = attempt.draft
    if draft is None:
        return ListedAttempt(attempt, row["buyer_id"], row["price"], row["currency"], row["age"], row["wait"])
    return ListedAttempt(attempt, draft.request.buyer_id, draft.terms.price, draft.currency, row["age"], row["wait"])
