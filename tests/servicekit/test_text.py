"""The normal form of texts."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit import text

EVERY_CHARACTER = [chr(code) for code in range(sys.maxunicode + 1)]
# Marks of three classes, a vowel sign that becomes two marks, and a mark that becomes two.
MARKS = "\u0301\u0323\u0334\u0f73\u0344"


@given(st.text())
def test_what_is_normal_stays_as_it_is(anything: str) -> None:
    once = text.normalize(anything)

    assert text.normalize(once) == once
    assert once == once.strip()
    assert unicodedata.is_normalized("NFC", once)


@given(st.text(st.sampled_from(f"ae\u0e01\u1100\u1161{MARKS}"), max_size=200))
def test_any_run_of_marks_becomes_the_nfc_of_unicode(anything: str) -> None:
    assert text.normalize(anything) == unicodedata.normalize("NFC", anything)


def test_a_long_run_of_marks_becomes_the_nfc_of_unicode() -> None:
    marks = "e" + MARKS * 200

    assert text.normalize(marks) == unicodedata.normalize("NFC", marks)


def test_marks_reach_nfc_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    class Recorder:
        combining = unicodedata.combining

        @staticmethod
        def normalize(form: str, value: str) -> str:
            given.append(value)
            return unicodedata.normalize(form, value)  # type: ignore[arg-type]

    monkeypatch.setattr(text, "unicodedata", Recorder)
    text.normalize("e" + "\u0301\u0323" * 1000)

    assert given[-1] == "e" + "\u0323" * 1000 + "\u0301" * 1000


def test_the_classes_of_characters_are_complete() -> None:
    invisible = {char for char in EVERY_CHARACTER if text.is_invisible_character(char)}
    marks = {char for char in EVERY_CHARACTER if text.is_mark(char)}

    assert {char for char in EVERY_CHARACTER if text.is_invisible(char)} == invisible
    assert "".join(text._MANY_MARKS.findall("".join(f"{char * 31}\n" for char in EVERY_CHARACTER))) == "".join(
        char * 31 for char in EVERY_CHARACTER if char in marks
    )
    assert {char for char in EVERY_CHARACTER if text.CONTROLS.match(char)} == {
        char for char in EVERY_CHARACTER if unicodedata.category(char) == "Cc" and char not in "\n\t"
    }


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_each_line_end_becomes_a_newline(line_end: str) -> None:
    assert text.normalize(f"{line_end}one{line_end}{line_end}two{line_end}") == "one\n\ntwo"


def test_a_text_that_cannot_fit_stays_too_long_without_nfc() -> None:
    assert text.normalize("e\u0301" * 20, max_length=9) == "e\u0301" * 20
    assert text.normalize("e\u0301" * 18, max_length=9) == "\u00e9" * 18


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
