"""docs/order-lifecycle.md, which is generated from the table of transitions."""

from __future__ import annotations

from pathlib import Path

from order_service.domain.lifecycle import TRANSITIONS, Condition, Effect
from order_service.domain.placing import STARTS, Source
from order_service.domain.reminders import STATUSES, Reminder
from order_service.lifecycle_page import CONDITIONS, EFFECTS, PLACINGS, REMINDERS, page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "order-lifecycle.md"


def test_the_page_is_up_to_date_with_the_table() -> None:
    assert PAGE.read_text() == page(), "docs/order-lifecycle.md is stale: run make generate"


def test_every_transition_is_an_arrow_and_a_row_of_the_page() -> None:
    for row in TRANSITIONS:
        assert f"{row.from_status} --> {row.to_status}: {row.action} ({row.by})" in page()
        assert f"| {row.from_status} | `{row.action}` | {row.by} | {row.to_status} |" in page()


def test_every_way_to_begin_is_an_arrow_and_a_row_of_the_page() -> None:
    assert PLACINGS.keys() == STARTS.keys() == set(Source)
    for source, start in STARTS.items():
        thing, effect = PLACINGS[source]
        assert f"[*] --> {start.status}: place {thing} (buyer)" in page()
        assert f"| | `place` | buyer | {start.status} | of {thing} | {effect} |" in page()


def test_every_condition_and_effect_has_a_text() -> None:
    assert CONDITIONS.keys() == set(Condition)
    assert EFFECTS.keys() == set(Effect)


def test_every_reminder_is_a_row_of_the_page() -> None:
    assert REMINDERS.keys() == set(Reminder)
    for reminder, status in STATUSES.items():
        assert f"| {status} | `order.{reminder}` | {REMINDERS[reminder]} |" in page()
