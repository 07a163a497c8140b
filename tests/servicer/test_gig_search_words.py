"""Searches by words: where they are found, in which forms, and typing errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from tests.support.gigs import WEB_DEV, Gigs, prices
from tests.support.postgres import PostgresServer


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


@pytest.fixture(scope="module")
def shop(postgres: PostgresServer) -> Iterator[Gigs]:
    """Return GigService with the catalogue, for tests that only read."""
    database = Database(postgres.fresh("gig"))
    yield Gigs(database)
    database.close()


@pytest.fixture(scope="module")
def catalogue(shop: Gigs) -> dict[str, str]:
    """Create a few gigs with different words, and return their ids by short names."""
    texts = {
        "web": ("Responsive websites in Node.js", "I'll build fast sites for small companies", ["web", "javascript"]),
        "logo": ("Logo design", "A modern logo for your brand, and the source files", ["branding"]),
        "cafe": ("Menus for cafés", "Crème brûlée never looked better", ["print"]),
        "cpp": ("C++ developer", "Performance work; 3D engines", ["c++"]),
        "moscow": ("Перевод на русский", "Быстро и точно", ["translation"]),
    }
    return {
        name: shop.create(title=title, description=description, tags=tags)
        for name, (title, description, tags) in texts.items()
    }


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("website", "web"),
        ("WEBSITES", "web"),
        ("websites responsive", "web"),
        ("company", "web"),
        ("node", "web"),
        ("node.js", "web"),
        ("javascript", "web"),
        ("build site", "web"),
        ("I'll build", "web"),
        ("design logos", "logo"),
        ("logo for the brand", "logo"),
        ("the logo", "logo"),
        ("branding", "logo"),
        ("cafe", "cafe"),
        ("CAFÉS", "cafe"),
        ("creme brulee", "cafe"),
        ("c++", "cpp"),
        ("3d", "cpp"),
        ("русский", "moscow"),
        ("ПЕРЕВОД", "moscow"),
        ("developer!!!", "cpp"),
    ],
)
def test_words_are_found_in_title_tags_and_description_in_any_order_and_form(
    shop: Gigs, catalogue: dict[str, str], q: str, expected: str
) -> None:
    assert shop.found(q=q) == [catalogue[expected]]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("webiste", "web"),
        ("wbesites", "web"),
        ("respnsive website", "web"),
        ("desing logo", "logo"),
        ("lgoo", "logo"),
        ("develper", "cpp"),
        ("javascrpit", "web"),
        ("prerformance", "cpp"),
        ("the brnad", "logo"),
    ],
)
def test_typing_errors_are_forgiven(shop: Gigs, catalogue: dict[str, str], q: str, expected: str) -> None:
    assert shop.found(q=q) == [catalogue[expected]]


@pytest.mark.parametrize("q", ["website logo", "zzzzzzzz", "logo zzzzzzzz", "x" * 500, "2d", "'); drop table gigs; --"])
def test_all_words_must_match(shop: Gigs, catalogue: dict[str, str], q: str) -> None:
    answer = shop.search(q=q)

    assert not answer.error
    assert (list(answer.response.results), answer.response.total) == ([], 0)


def test_very_common_words_count_when_there_are_no_others(shop: Gigs, catalogue: dict[str, str]) -> None:
    assert shop.found(q="and the") == [catalogue["logo"]]
    assert shop.found(q="the website") == [catalogue["web"]]


@pytest.mark.parametrize("q", ["!!!", "...", "— ’", "& | ! ( )", "'"])
def test_nothing_but_punctuation_is_no_q(shop: Gigs, catalogue: dict[str, str], q: str) -> None:
    assert shop.found(q=q) == shop.found()
    assert len(shop.found(q=q)) == len(catalogue)


@settings(max_examples=60, deadline=None)
@given(q=st.text(max_size=60))
def test_any_text_at_all_is_answered(shop: Gigs, catalogue: dict[str, str], q: str) -> None:
    assert shop.search(q=q).error in ("", "INVALID_ARGUMENT")


def test_a_word_that_no_visible_gig_has_any_more_is_taken_for_a_typing_error(gigs: Gigs) -> None:
    odd = gigs.create(title="Desing for you", description="x", tags=[])
    good = gigs.create(title="Design for you", description="x", tags=[])
    assert gigs.found(q="desing") == [odd]

    gigs.set_status(odd, "PAUSED")

    assert gigs.found(q="desing") == [good]


def test_a_gig_is_found_by_its_new_words_and_not_by_its_old_ones(gigs: Gigs) -> None:
    gig_id = gigs.create(title="Logo design", description="x", tags=[])

    gigs.call(gig_pb2.UpdateGigRequest(gig_id=gig_id, title="Voice over", description="y", category_id=WEB_DEV))

    assert gigs.found(q="vioce") == [gig_id]
    assert gigs.found(q="logo") == []


def test_a_title_is_more_relevant_than_a_tag_and_that_more_than_a_description(gigs: Gigs) -> None:
    described = gigs.create(title="Something", description="All about logo work", tags=["x"])
    tagged = gigs.create(title="Something", description="All about it", tags=["logo"])
    titled = gigs.create(title="A logo", description="All about it", tags=["x"])
    gigs.rate(described, *[5] * 20)

    assert gigs.found(q="logo") == [titled, tagged, described]
    assert gigs.found(q="logo", sort="rating")[0] == described


def test_words_and_filters_go_together(gigs: Gigs) -> None:
    gigs.create(title="Logo one", packages=prices(10))
    dear = gigs.create(title="Logo two", packages=prices(100))
    gigs.create(title="Icon", packages=prices(100))

    assert gigs.found(q="logo", min_price=50, category="web-dev", tags=["web"]) == [dear]


@pytest.fixture
def common_design(gigs: Gigs) -> list[str]:
    """Create ten gigs with the word "design", and return their ids, the newest first."""
    return [gigs.create(title=f"Design {number}", description="x", tags=[]) for number in range(10)][::-1]


def test_a_misspelling_that_a_gig_has_finds_that_gig_and_then_the_word(gigs: Gigs, common_design: list[str]) -> None:
    odd = gigs.create(title="Offers", description="Best desing", tags=[])
    gigs.rate(common_design[0], *[5] * 20)

    assert gigs.found(q="desing") == [odd, *common_design]
    assert gigs.every_page(q="desing", page_size=3) == [odd, *common_design]


def test_a_word_is_no_misspelling_of_one_that_hardly_more_gigs_have(gigs: Gigs, common_design: list[str]) -> None:
    odd = {gigs.create(title="Desing", description="x", tags=[]) for _ in range(2)}

    assert set(gigs.found(q="desing")) == odd


def test_pages_go_on_in_the_same_way_when_a_word_is_rare_no_more(gigs: Gigs, common_design: list[str]) -> None:
    odd = gigs.create(title="Desing", description="x", tags=[])
    first = gigs.search(q="desing", page_size=3).response
    for _ in range(11):
        gigs.create(title="Offers", description="y", tags=["desing"])

    second = gigs.search(q="desing", page_size=100, page_token=first.next_page_token).response

    ids = [result.id for page in (first, second) for result in page.results]
    assert [gig_id for gig_id in ids if gig_id in {odd, *common_design}] == [odd, *common_design]


def test_a_title_that_is_the_search_comes_first_and_a_repeated_word_gains_nothing(gigs: Gigs) -> None:
    exact = gigs.create(title="Logo for startups", description="x", tags=[])
    gigs.rate(gigs.create(title="Startup logo with a logo book", description="logo " * 50, tags=[]), *[5] * 20)

    assert gigs.found(q="logo for startups")[0] == exact
