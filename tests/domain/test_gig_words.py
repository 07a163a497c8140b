"""The words of a search: which count, and how typing errors are corrected."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gig_service.domain.words import (
    Candidate,
    Ranking,
    Word,
    allowed_errors,
    build_query,
    correct_rare,
    distance,
    is_correctable,
    is_near,
    match_query,
    nearest_stems,
    ranking,
    significant_words,
    typed_words,
)

LETTERS = st.text("abcd", max_size=8)


def a_word(text: str, *, gigs: int = 100) -> Word:
    return Word(text, f"'{text}'", f"={text}", gigs)


def candidates(**gigs: int) -> list[Candidate]:
    return [Candidate(text, f"'{text}'", count) for text, count in gigs.items()]


@pytest.mark.parametrize(
    ("left", "right", "errors"),
    [("", "", 0), ("logo", "logo", 0), ("logo", "logos", 1), ("lgoo", "logo", 1), ("website", "webiste", 1),
     ("design", "desing", 1), ("developer", "develper", 1), ("abc", "xyz", 3), ("", "abc", 3)],
)  # fmt: skip
def test_a_distance_counts_typing_errors_and_a_swap_is_one(left: Any, right: Any, errors: int) -> None:
    assert distance(left, right) == errors


@given(LETTERS, LETTERS)
def test_a_distance_is_the_same_both_ways_and_zero_only_for_the_same(left: Any, right: Any) -> None:
    assert distance(left, right) == distance(right, left)
    assert (distance(left, right) == 0) == (left == right)
    assert abs(len(left) - len(right)) <= distance(left, right) <= max(len(left), len(right))


@given(LETTERS, st.sampled_from("abcd"), LETTERS)
def test_any_letter_left_out_is_one_error(before: str, letter: str, after: str) -> None:
    assert distance(before + letter + after, before + after) == 1


@pytest.mark.parametrize(("word", "errors"), [("ab", 0), ("abc", 1), ("abcde", 1), ("abcdef", 2), ("2024", 0)])
def test_longer_words_are_forgiven_more_and_numbers_nothing(word: str, errors: int) -> None:
    assert allowed_errors(word) == errors


@given(LETTERS, LETTERS)
def test_words_are_near_when_their_distance_is_allowed(left: str, right: str) -> None:
    assert is_near(left, right) == (distance(left, right) <= allowed_errors(left))


@pytest.mark.parametrize(
    ("word", "expected"), [("ab", False), ("2024", False), ("abc", True), ("a" * 42, True), ("a" * 43, False)]
)
def test_a_word_without_allowed_errors_or_longer_than_all_candidates_has_no_correction(
    word: str, expected: bool
) -> None:
    assert is_correctable(word) == expected


def test_the_nearest_word_is_meant_and_of_equally_near_ones_each_the_frequent_first() -> None:
    assert nearest_stems("websit", candidates(website=1, websites=9)) == ("'website'",)
    assert nearest_stems("logp", candidates(logs=2, logo=5, long=9)) == ("'logo'", "'logs'")


def test_nothing_is_meant_by_a_word_that_is_near_to_none_that_a_gig_has() -> None:
    assert nearest_stems("zzzzzz", candidates(website=5)) == ()
    assert nearest_stems("websitr", candidates(website=0)) == ()


def test_common_words_count_only_when_there_are_no_others() -> None:
    the, logo = a_word("the"), a_word("logo")

    assert significant_words([the, logo]) == [logo]
    assert significant_words([the]) == [the]
    assert significant_words([]) == []


def test_all_words_must_be_there_and_of_a_corrected_one_any_correction() -> None:
    words = [a_word("logo"), a_word("desing", gigs=0)]

    query = build_query(words, {"desing": ("'design'", "'desire'")})
    assert query == "('logo' | '=logo') & ('design' | 'desire')"
    assert build_query(words, {}) is None
    assert build_query([], {}) == ""


def test_a_correction_stands_even_when_the_word_has_become_known() -> None:
    assert build_query([a_word("desing")], {"desing": ("'design'",)}) == "('design')"


def test_a_rare_word_counts_beside_its_corrections() -> None:
    query = build_query([a_word("desing", gigs=1)], {"desing": ("'desing'", "'design'")})

    assert query == "(('desing' | '=desing') | 'design')"


def test_a_rare_word_is_corrected_by_a_far_more_frequent_one_with_one_error() -> None:
    desing = a_word("desing", gigs=1)

    assert correct_rare(desing, candidates(design=10, desk=500)) == ("'desing'", "'design'")
    assert correct_rare(desing, candidates(design=9)) == ()
    assert correct_rare(a_word("desing", gigs=5), candidates(design=49)) == ()


def test_a_short_word_and_one_of_many_gigs_are_no_typing_errors() -> None:
    assert a_word("desing", gigs=10).may_be_misspelt
    assert not a_word("desing", gigs=11).may_be_misspelt
    assert not a_word("desing", gigs=0).may_be_misspelt
    assert not a_word("bsu", gigs=1).may_be_misspelt


def test_gigs_match_by_stems_and_are_ranked_by_every_lexeme_and_the_whole_title() -> None:
    query = "('logo' | '=logo') & (('dese' | '=desing') | 'design') & ('a' | 'b' & 'c' | '=a')"

    assert match_query(query) == "('logo') & (('dese') | 'design') & ('a' | 'b' & 'c')"
    assert ranking(query) == Ranking(
        "'logo' | '=logo' | 'dese' | '=desing' | 'design' | 'a' | 'b' | 'c' | '=a' | '==logo_desing_a'",
        "'dese' | '=desing'",
    )


@pytest.mark.parametrize(
    ("q", "terms"),
    [
        ("t-shirt", ["'tshirt'"]),
        ("e commerce shop", ["'ecommerc' | 'e' & 'commerc'", "'shop'"]),
        ("full-stack", ["'fullstack' | 'full' & 'stack'"]),
        ("gpt4", ["'gpt4' | 'gpt' & '4'"]),
        ("a logo", ["'a'", "'logo'"]),
        ("asp.net", ["'aspnet' | 'asp' & 'net'"]),
        ("logo LOGO logo!", ["'logo'"]),
        ("C# or .NET", ["'c#'", "'or'", "'.net'"]),
    ],
)
def test_a_word_is_typed_in_one_piece_or_in_several(q: str, terms: list[str]) -> None:
    assert [word.stem for word in typed_words(q)] == terms
