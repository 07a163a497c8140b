"""Log lines: nothing that a client chooses stands in them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from servicekit import logs
from servicekit.database import Database
from servicekit.logs import describe

SECRET = "tok_of a client's own"


@pytest.fixture
def log() -> Iterator[structlog.stdlib.BoundLogger]:
    before = structlog.get_config()
    logs.configure("INFO", "json")
    yield structlog.get_logger()
    structlog.configure(**before)


def fail_with_secrets() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error


def test_a_traceback_names_the_place_and_the_type_but_no_value(
    log: structlog.stdlib.BoundLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        fail_with_secrets()
    except KeyError as error:
        log.error("unexpected error", exc_info=error)

    written = capsys.readouterr().out
    assert SECRET not in written
    lines = json.loads(written)["exception"].split("\n")
    assert "ValueError: invalid literal for int() with base 10: '…'" in lines
    assert lines[-1] == "KeyError: '…'"
    assert any(line.endswith("in fail_with_secrets") for line in lines)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(f"cannot read {SECRET!r}"), "ValueError: cannot read '…'"),
        (
            ValueError(f'No such token: "{SECRET}"; a similar one exists'),
            "ValueError: No such token: '…'; a similar one exists",
        ),
        (RuntimeError("can't start new thread"), "RuntimeError: can't start new thread"),
        (RuntimeError(f"a fault\nDETAIL:  Failing row contains ({SECRET})."), "RuntimeError: a fault"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_an_error_is_described_without_what_it_quotes(error: BaseException, text: str) -> None:
    assert describe(error) == text


def test_an_error_of_the_database_is_described_without_the_row(review_database: Database) -> None:
    review_database.execute("CREATE TEMP TABLE secrets (id text PRIMARY KEY)")
    review_database.execute("INSERT INTO secrets VALUES (%s)", (SECRET,))

    with pytest.raises(Exception) as raised:  # the driver's own
        review_database.execute("INSERT INTO secrets VALUES (%s)", (SECRET,))

    assert SECRET in str(raised.value)
    assert SECRET not in describe(raised.value)
    assert "duplicate key" in describe(raised.value)
