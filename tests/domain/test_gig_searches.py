"""The status and the order of a search."""

import pytest

from gig_service.domain.gig import Status
from gig_service.domain.search import Sort, choose_sort, choose_status
from servicekit.call import ANYONE, Caller
from servicekit.errors import Forbidden, InvalidArgument
from tests.support.identity import a_caller, user_id

SELLER = a_caller("webdev_pro", "seller")


@pytest.mark.parametrize("caller", [ANYONE, SELLER])
def test_without_a_status_active_gigs_are_meant(caller: Caller) -> None:
    assert choose_status(None, None, caller) is Status.ACTIVE
    assert choose_status(None, user_id("webdev_pro"), caller) is Status.ACTIVE


@pytest.mark.parametrize("status", Status)
def test_sellers_ask_for_a_status_among_their_own_gigs_alone(status: Status) -> None:
    assert choose_status(status, user_id("webdev_pro"), SELLER) is status
    for caller in (ANYONE, a_caller("someone", "seller"), a_caller("root", "admin")):
        with pytest.raises(Forbidden):
            choose_status(status, user_id("webdev_pro"), caller)


def test_a_status_without_a_seller_is_a_bad_request() -> None:
    with pytest.raises(InvalidArgument) as refused:
        choose_status(Status.PAUSED, None, SELLER)

    assert [violation.field for violation in refused.value.violations] == ["status"]


@pytest.mark.parametrize(
    ("requested", "has_words", "order"),
    [
        ("", True, Sort.RELEVANCE),
        ("", False, Sort.RATING),
        ("relevance", True, Sort.RELEVANCE),
        ("relevance", False, Sort.RATING),
        ("newest", True, Sort.NEWEST),
        ("price", False, Sort.PRICE),
        ("-price", True, Sort.PRICE_DESCENDING),
        ("rating", True, Sort.RATING),
    ],
)
def test_the_default_order_is_relevance_with_words_and_rating_without(
    requested: str, has_words: bool, order: Sort
) -> None:
    assert choose_sort(requested, has_words=has_words) is order
