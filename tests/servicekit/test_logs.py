"""Log lines: nothing that a client chooses stands in them."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator

import pytest
import structlog

from servicekit import logs
from servicekit.database import Database
from servicekit.logs import describe

SECRET = "tok_of a client's own"


@pytest.fixture
def log() -> Iterator[structlog.stdlib.BoundLogger]:
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # `configure` would close the handlers that it replaces.
    root.handlers = []
    logs.configure("INFO", "json", worker="gig-0")
    yield structlog.get_logger()
    structlog.configure(**before)
    logs._frequent_lines = None
    root.handlers = handlers
    root.setLevel(level)


def fail_with_secrets() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error


def test_a_traceback_names_the_place_and_the_type_but_no_value(
    log: structlog.stdlib.BoundLogger, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        fail_with_secrets()
    except KeyError as error:
        log.error("unexpected error", exc_info=error)

    written = capfd.readouterr().out
    assert SECRET not in written
    lines = json.loads(written)["exception"].split("\n")
    assert "ValueError: invalid literal for int() with base 10: '…'" in lines
    assert lines[-1] == "KeyError: '…'"
    assert any(line.endswith("in fail_with_secrets") for line in lines)


def test_the_line_of_a_call_is_the_one_that_structlog_would_write(
    log: structlog.stdlib.BoundLogger, capfd: pytest.CaptureFixture[str]
) -> None:
    fields = {
        "request_id": "abc-1",
        "method": "GetGig",
        "service": "marketplace.gig.v1.GigService",
        "traceparent": "00",
    }

    logs.log_call(fields, "NOT_FOUND", 1.25, None)
    log.bind(**fields).info("call", code="NOT_FOUND", ms=1.25, user=None)

    ours, theirs = map(json.loads, capfd.readouterr().out.splitlines())
    times = [line.pop("timestamp") for line in (ours, theirs)]
    assert ours == theirs
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", time) for time in times)


def test_a_frequent_line_is_the_one_that_structlog_would_write(
    log: structlog.stdlib.BoundLogger, capfd: pytest.CaptureFixture[str]
) -> None:
    fields = {"operation": "authorize", "about": "order-1", "outcome": "ok", "ms": 3.2}

    logs.log_frequent("payment call", fields)
    log.info("payment call", **fields)

    ours, theirs = map(json.loads, capfd.readouterr().out.splitlines())
    del ours["timestamp"], theirs["timestamp"]
    assert ours == theirs


def test_calls_are_logged_by_the_level_and_the_form_of_the_log(
    log: structlog.stdlib.BoundLogger, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("WARNING", "json")
    logs.log_call({}, "OK", 1.0, None)
    assert not capfd.readouterr().out

    logs.configure("INFO", "console")
    logs.log_call({"method": "GetGig"}, "OK", 1.0, None)
    assert "call" in (line := capfd.readouterr().out)
    assert not line.startswith("{")


def test_a_full_disk_costs_lines_and_no_call(
    log: structlog.stdlib.BoundLogger, capfd: pytest.CaptureFixture[str]
) -> None:
    with capfd.disabled():
        before, full = os.dup(1), os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, 1)
        try:
            logs.log_call({}, "OK", 1.0, None)
            log.warning("lost")
        finally:
            os.dup2(before, 1)
            os.close(full)
            os.close(before)


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
