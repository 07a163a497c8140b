"""The analysis of texts: which writings are one word, and what a gig is found by."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gig_service.domain import analysis
from gig_service.domain.analysis import MAX_WORD_LENGTH, document, document_of_parts, part, stem, tokens
from gig_service.domain.folding import fold

LEXEME = re.compile(r"'([^'\\]+)':1([ABC])")


def words(text: str) -> list[str]:
    return [word for token in tokens(text) for word in token.words]


def lexemes(title: str = "", tags: tuple[str, ...] = (), description: str = "") -> dict[str, str]:
    """Return the weight of each lexeme of a gig."""
    return dict(LEXEME.findall(document(title, tags, description).lexemes))


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("CAFÉ", "cafe"),
        ("Łódź", "lodz"),
        ("İstanbul IŞIK ışık", "istanbul isik isik"),
        ("Straße STRASSE", "strasse strasse"),
        ("λόγος ΛΌΓΟΣ", "λογοσ λογοσ"),
        ("ёлка Елка", "елка елка"),
        ("\u0645\u064f\u062d\u0645\u0651\u062f", "\u0645\u062d\u0645\u062f"),
        ("हिन्दी", "हिन्दी"),
        ("がか", "がか"),
        ("ﾊﾟ", "パ"),
        ("soft\u00adhyphen zero\u200bwidth \ufeffmark", "softhyphen zerowidth mark"),
        ("٣ ३ 3", "3 3 3"),
        ("ﬁne ＡＢＣ", "fine abc"),
        ("it\u2019s x\u2011ray", "it's x-ray"),
        ("50% (of) $5; Brand™", "50   of   5  brand "),
    ],
)
def test_case_accents_marks_and_invisible_characters_make_no_difference(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C#, C++ and F#", ["c#", "c++", "and", "f#"]),
        (".NET core", [".net", "core"]),
        ("use .net.", ["use", ".net"]),
        ("ASP.NET", ["aspnet", "asp", "net", ".net"]),
        ("Node.js", ["nodejs", "node", "js"]),
        ("T-shirt", ["tshirt", "t", "shirt"]),
        ("e-mail-list", ["emaillist", "e", "mail", "list"]),
        ("GPT-4 gpt4", ["gpt4", "gpt", "4", "gpt4", "gpt", "4"]),
        ("the end.Another word", ["the", "end", "another", "word"]),
        ("I'll don't brand's", ["i", "don", "brand"]),
        ("rock'n'roll", ["rocknroll", "rock", "n", "roll"]),
        ("-- a - b ... '' ##", ["a", "b"]),
        ("a#b c+d", ["a", "b", "c", "d"]),
        ("2024 3d", ["2024", "3d", "3", "d"]),
    ],
)
def test_words_with_signs(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    "same",
    [
        ("bus", "buses"), ("lens", "lenses"), ("quiz", "quizzes"), ("knife", "knives"), ("leaf", "leaves"),
        ("analysis", "analyses"), ("woman", "women"), ("child", "children"), ("wolf", "wolves"), ("person", "people"),
        ("logo", "logos"), ("company", "companies"), ("box", "boxes"),
        ("color", "colour", "colours"), ("organize", "organise", "organising"), ("analyze", "analyse"),
        ("center", "centre"), ("jewelry", "jewellery"), ("catalog", "catalogue"), ("gray", "grey"),
        ("csharp", "c#"), ("dotnet", ".net"),
    ],
)  # fmt: skip
def test_forms_of_one_word_have_one_stem(same: tuple[str, ...]) -> None:
    assert len({stem(word) for word in same}) == 1


@pytest.mark.parametrize(
    "different", [("organ", "organization"), ("universe", "university"), ("c", "c#"), ("news", "new")]
)
def test_different_words_have_different_stems(different: tuple[str, str]) -> None:
    assert stem(different[0]) != stem(different[1])


def test_a_lexeme_weighs_what_its_best_place_does_and_repeating_it_changes_nothing() -> None:
    once = lexemes("Logo", ("print",), "logo print paper")

    assert once == {"logo": "A", "=logo": "A", "print": "B", "=print": "B", "paper": "C"}
    assert lexemes("Logo logo logos", ("print", "prints"), "logo print paper paper")["logo"] == "A"
    assert document("Logo logo", (), "paper paper").lexemes.count("paper") == 1


def test_a_title_is_a_lexeme_of_its_own_without_common_words() -> None:
    assert "==logo_startup" in lexemes("Logos for the startup")
    assert not any(lexeme.startswith("==") for lexeme in lexemes("Logo", (), "logo for a startup"))


def test_letters_and_words_and_numbers_after_words_are_joined_where_they_are_often_one_word() -> None:
    assert {"ecommerc", "tshirt"} <= lexemes(description="e commerce and a t shirt").keys()
    assert "gpt4" in lexemes("GPT 4 prompts")
    assert lexemes("A logo").keys() == {"a", "=a", "logo", "=logo"}


def test_words_that_correct_others_have_three_to_forty_letters() -> None:
    assert document("Logo ab", (), "x" * 41 + " abc " + "y" * 40).words == {"logo", "abc", "y" * 40}


@given(st.text(max_size=200), st.lists(st.text(max_size=20), max_size=3), st.text(max_size=400))
def test_every_text_has_a_document_of_plain_lexemes(title: str, tags: list[str], description: str) -> None:
    text = document(title, tags, description).lexemes

    assert " ".join(f"'{lexeme}':1{weight}" for lexeme, weight in LEXEME.findall(text)) == text
    assert not re.search(r"[\s()&|!\\]", "".join(lexeme for lexeme, _ in LEXEME.findall(text)))


@given(st.text(max_size=200))
def test_a_folded_text_stays_as_it_is(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_a_long_word_counts_by_its_beginning() -> None:
    assert words("q" * 5000) == ["q" * MAX_WORD_LENGTH]


def test_what_is_kept_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "_tokens", {})
    monkeypatch.setattr(analysis, "_stems", {})
    monkeypatch.setattr(analysis, "_MAX_KEPT", 10)

    assert len(words(" ".join(f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"))) == 26

    assert (len(analysis._tokens), len(analysis._stems)) == (10, 10)


SENTENCES = st.lists(
    st.lists(st.sampled_from(("logos", "gpt-4", "C++", "t-shirt", "24", "colour", "a fox")), min_size=1)
)


@given(SENTENCES)
def test_sentences_give_a_document_the_same_one_by_one_as_together(some: list[list[str]]) -> None:
    sentences = [f"{' '.join(words)} end." for words in some]

    together = document("A colour logo", ("t-shirt",), " ".join(sentences))
    one_by_one = document_of_parts("A colour logo", ("t-shirt",), map(part, sentences))

    assert set(one_by_one.lexemes.split()) == set(together.lexemes.split())
    assert one_by_one.words == together.words
