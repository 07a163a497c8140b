"""The command line of outboxes: shows them, and sends parked rows again, for one database or a whole stack's."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg2

from servicekit.database import Database
from servicekit.errors import MarketplaceError
from servicekit.outbox.admin import Contents, Item, contents, is_parked, resend

# The most rows that are shown of one outbox; the number of further ones is printed.
SHOWN = 100
COLUMNS = ("id", "topic", "key", "version", "attempts", "age", "state", "error")
RETRY_HELP = "send the parked row with this id again, as if it were new, or all parked rows"


@dataclass(frozen=True, slots=True)
class Retry:
    """The rows to send again: all parked ones (`row_id` is None) or one; of the named outbox, or of any."""

    row_id: int | None
    outbox: str = ""

    @classmethod
    def parse(cls, text: str) -> Retry:
        """Read `all`, `12` or `review:12`. Raises argparse.ArgumentTypeError."""
        if text == "all":
            return cls(None)
        parts = re.fullmatch(r"(?:([a-z]+):)?([0-9]{1,18})", text)
        if parts is None:
            raise argparse.ArgumentTypeError(f"{text!r} is neither a row's id nor 'all'")
        return cls(int(parts[2]), parts[1] or "")


def administer(outboxes: Mapping[str, Database], retry: Retry | None, hint: str) -> int:
    """Send rows again if `retry` says so, then show every outbox, and `hint` when rows are parked.

    Returns the exit status: 1 when there is no such parked row, 2 when a database cannot be read.
    """
    status = 0
    parked = False
    try:
        if retry is not None:
            status = send_again(outboxes, retry)
        for name, database in outboxes.items():
            outbox = contents(database, SHOWN)
            print("\n".join(report(name, outbox)))
            parked = parked or bool(outbox and outbox.parked)
    except MarketplaceError as error:
        return _unreadable(error.__cause__ or error)
    except psycopg2.Error as error:
        return _unreadable(error)
    if parked:
        print(hint)
    return status


def send_again(outboxes: Mapping[str, Database], retry: Retry) -> int:
    """Send rows again and print their ids. Returns 1 when no row, or several, have the id; else 0."""
    chosen = {name: database for name, database in outboxes.items() if retry.outbox in ("", name)}
    if retry.row_id is not None:
        chosen = {name: database for name, database in chosen.items() if is_parked(database, retry.row_id)}
        if not chosen:
            print(f"No parked row has the id {retry.row_id}.", file=sys.stderr)
            return 1
        if len(chosen) > 1:
            names = " or ".join(f"{name}:{retry.row_id}" for name in chosen)
            print(f"There are several parked rows with the id {retry.row_id}: say {names}.", file=sys.stderr)
            return 1
    sent = {name: resend(database, retry.row_id) for name, database in chosen.items()}
    for name, ids in sent.items():
        if ids:
            print(f"{name}: sent again: {', '.join(map(str, ids))}")
    if not any(sent.values()):
        print("Nothing was parked.")
    return 0


def report(name: str, outbox: Contents | None) -> Iterator[str]:
    """Yield the lines about one outbox."""
    if outbox is None:
        yield f"{name}: has no outbox"
        return
    if not outbox.items:
        yield f"{name}: nothing waits, nothing is parked"
        return
    yield f"{name}: {outbox.waiting} waiting, {outbox.parked} parked"
    lines = [COLUMNS, *(cells(item) for item in outbox.items)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    for line in lines:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    more = outbox.waiting + outbox.parked - len(outbox.items)
    if more > 0:
        yield f"  and {more} more"


def cells(item: Item) -> tuple[str, ...]:
    """Return a row of the table, in the order of COLUMNS."""
    numbers = (str(item.version), str(item.attempts))
    texts = (str(item.id), _printable(item.topic), _printable(item.key))
    return (*texts, *numbers, duration(item.age), state(item), _printable(item.error))


def state(item: Item) -> str:
    """Return the state of a row, and the time until its next delivery."""
    if item.parked_at is not None:
        return f"parked since {item.parked_at:%Y-%m-%d %H:%M:%S} UTC"
    if item.behind is not None:
        return f"waits for {item.behind}"
    return "is due" if item.wait_seconds <= 0 else f"next attempt in {duration(item.wait_seconds)}"


def duration(seconds: float) -> str:
    """Return a length of time, roughly: `0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    for unit, length, limit in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def _printable(text: str) -> str:
    """Replace control characters: text of another service must not control the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _unreadable(error: BaseException) -> int:
    reason = (str(error).strip() or repr(error)).splitlines()[0]
    print(f"An outbox cannot be read: {reason}", file=sys.stderr)
    return 2
