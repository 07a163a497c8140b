"""The normal form of texts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit import text


@given(st.text())
def test_what_is_normal_stays_as_it_is(anything: str) -> None:
    once = text.normalize(anything)

    assert text.normalize(once) == once
    assert once == once.strip()
    assert unicodedata.is_normalized("NFC", once)


@pytest.mark.parametrize("blank", ["", " ", "\u200b", "\u200d\ufeff", "\u2060 \u200b", "\u3164", "\u00ad", "\u2800"])
def test_what_shows_nothing_is_empty(blank: str) -> None:
    assert text.normalize(blank) == ""


@pytest.mark.parametrize("kept", ["a\u200bb", "👩\u200d💻", "\u0939\u0941\u200d", "e\u0301"])
def test_what_shows_something_keeps_its_joiners(kept: str) -> None:
    assert text.normalize(kept) == unicodedata.normalize("NFC", kept)


@pytest.mark.parametrize("control", ["\x00", "\r", "\x1b", "\x7f", "\x85", "\x0b"])
def test_control_characters_are_found(control: str) -> None:
    assert text.has_controls(f"a{control}b")


def test_newlines_and_tabs_are_allowed() -> None:
    assert not text.has_controls("a\n\tb")
