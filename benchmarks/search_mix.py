"""A realistic mix of searches: which filters, orders and words people use, and how often.

Of a hundred searches 60 browse, 25 have words alone and 15 words with filters. Words are drawn from titles, so that
frequent words are searched for often; some are misspelt. A tenth of the searches are for a page beyond the first.
`python -m benchmarks.search_mix` prints some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import NamedTuple
from urllib.parse import urlencode

Parameters = dict[str, str | float]

MISSPELT = 0.12
BEYOND_FIRST_PAGE = 0.1
# Pages beyond the first: how deep, by how often.
DEPTHS = (2, 2, 2, 3, 3, 4, 5)
PRICES = (10, 20, 30, 50, 75, 100, 150, 250, 500, 1000)
DAYS = (1, 2, 3, 5, 7, 14, 30)


class Search(NamedTuple):
    """One search: the shape's name, the parameters of its URL, and the number of its page, from 1."""

    shape: str
    parameters: Parameters
    page: int = 1

    @property
    def path(self) -> str:
        """The path of its first page."""
        return f"/api/gigs?{urlencode(self.parameters)}" if self.parameters else "/api/gigs"


def searches(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Iterator[Search]:
    """Yield searches without an end. `titles` are a sample of the gigs', `categories` slugs, frequent ones repeated."""
    return _drawn(SHAPES, random, titles, categories)


def of_each_shape(random: Random, titles: Sequence[str], categories: Sequence[str], count: int) -> Iterator[Search]:
    """Yield so many searches of every shape, however rare it is in the mix."""
    for shape in SHAPES:
        yield from islice(_drawn([shape], random, titles, categories), count)


def browsing(random: Random, categories: Sequence[str]) -> Iterator[Search]:
    """Yield searches without words."""
    shapes = [shape for shape in SHAPES if not shape[1].startswith("words")]
    return _drawn(shapes, random, [], categories)


def _drawn(
    shapes: Sequence[_Shape], random: Random, titles: Sequence[str], categories: Sequence[str]
) -> Iterator[Search]:
    weights = [weight for weight, _, _ in shapes]
    while True:
        [(_, name, make)] = random.choices(shapes, weights)
        page = random.choice(DEPTHS) if random.random() < BEYOND_FIRST_PAGE else 1
        yield Search(name, make(random, titles, categories), page)


def misspell(random: Random, word: str) -> str:
    """Return the word with one typing error: a letter left out, doubled, or swapped with its neighbour."""
    if len(word) < 5:
        return word
    place = random.randrange(1, len(word) - 1)
    return random.choice(
        (
            word[:place] + word[place + 1 :],
            word[:place] + word[place] + word[place:],
            word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :],
        )
    )


def _category(random: Random, _titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    return {"category": random.choice(categories)}


def _everything(_random: Random, _titles: Sequence[str], _categories: Sequence[str]) -> Parameters:
    return {}


def _newest(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    return _category(random, titles, categories) | {"sort": "newest"}


def _cheapest(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    return _category(random, titles, categories) | {"sort": "price"}


def _dearest(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    return _category(random, titles, categories) | {"sort": "-price"}


def _price(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    low, high = sorted(random.sample(PRICES, 2))
    return _category(random, titles, categories) | {"minPrice": low, "maxPrice": high}


def _price_cheapest(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    return _category(random, titles, categories) | {"maxPrice": random.choice(PRICES), "sort": "price"}


def _soon(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    return _category(random, titles, categories) | {"maxDeliveryDays": random.choice(DAYS)}


def _well_rated(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    return _category(random, titles, categories) | {"minRating": random.choice((3, 4, 4.5))}


def _words(random: Random, titles: Sequence[str], _categories: Sequence[str]) -> Parameters:
    words = [word for word in random.choice(titles).split() if len(word) > 2] or ["design"]
    chosen = random.sample(words, min(len(words), random.choices((1, 2, 3), (40, 45, 15))[0]))
    if random.random() < MISSPELT:
        chosen[0] = misspell(random, chosen[0])
    return {"q": " ".join(chosen)}


def _words_in_category(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    return _words(random, titles, categories) | _category(random, titles, categories)


def _words_price(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    return _words(random, titles, categories) | {"maxPrice": random.choice(PRICES)}


def _words_soon(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    return _words(random, titles, categories) | {"maxDeliveryDays": random.choice(DAYS)}


def _words_newest(random: Random, titles: Sequence[str], categories: Sequence[str]) -> Parameters:
    return _words(random, titles, categories) | {"sort": "newest"}


_Shape = tuple[int, str, Callable[[Random, Sequence[str], Sequence[str]], Parameters]]
# How many of a hundred searches, the name, and the function that draws one.
SHAPES: tuple[_Shape, ...] = (
    (24, "category", _category),
    (4, "everything", _everything),
    (8, "category, newest", _newest),
    (7, "category, cheapest first", _cheapest),
    (3, "category, dearest first", _dearest),
    (5, "category, price range", _price),
    (3, "category, price, cheapest first", _price_cheapest),
    (3, "category, delivery", _soon),
    (3, "category, rating", _well_rated),
    (25, "words", _words),
    (6, "words, category", _words_in_category),
    (4, "words, price", _words_price),
    (2, "words, delivery", _words_soon),
    (3, "words, newest", _words_newest),
)


def main() -> None:
    """Print some searches."""
    random = Random(1)
    drawn = searches(random, ["Professional website development", "Modern logo design"], ["web-dev", "logo-design"])
    for search in (next(drawn) for _ in range(30)):
        print(f"{search.shape:<32} page {search.page}  {search.path}")


if __name__ == "__main__":
    main()
