"""Texts for gigs, out of real words by their frequency in English."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from random import Random

import wordfreq

from deploy.local.load_data.phrases import QUALITIES, SERVICES, TITLES, VERBS
from gig_service.domain.analysis import Part, part
from gig_service.domain.search import Category

# The most frequent words, such as "the", are left out of titles; sentences have them.
FUNCTION_WORDS = 150
WORDS = 40_000
SENTENCES = 20_000
MAX_TITLE = 120
# The part of the gigs whose title has a typing error.
TYPOS = 0.015


class Words:
    """The words, to be drawn by their frequency."""

    def __init__(self) -> None:
        words = [word for word in wordfreq.top_n_list("en", WORDS) if word.isalpha() and len(word) > 1]
        self._all = words
        self._weights = list(accumulate(wordfreq.word_frequency(word, "en") for word in words))
        self._content = [word for word in words[FUNCTION_WORDS:] if len(word) > 2]
        self._content_weights = list(accumulate(wordfreq.word_frequency(word, "en") for word in self._content))

    def content(self, rng: Random, number: int) -> list[str]:
        """Return words that say something."""
        return rng.choices(self._content, cum_weights=self._content_weights, k=number)

    def sentence(self, rng: Random) -> str:
        """Return a sentence of 6 to 16 words."""
        words = rng.choices(self._all, cum_weights=self._weights, k=rng.randint(6, 16))
        return " ".join(words).capitalize() + "."


@lru_cache
def words() -> Words:
    """Return the words; reading them takes a moment."""
    return Words()


@lru_cache(maxsize=2)
def sentences(seed: int) -> list[tuple[str, Part]]:
    """Return the sentences that the descriptions of a load are made of, analysed once for all gigs."""
    rng = Random(f"sentences of {seed}")  # noqa: S311  # no secrets
    return [(text, part(text)) for text in (words().sentence(rng) for _ in range(SENTENCES))]


class Services:
    """The services to sell, to be drawn by the weights of their categories."""

    def __init__(self, categories: list[Category]) -> None:
        known = [(category.id, *SERVICES[category.slug]) for category in categories if category.slug in SERVICES]
        sections = {category.id: category.parent_id or category.id for category in categories}
        self.category_ids = [str(category_id) for category_id, _, _ in known]
        self.section_ids = [str(sections[category_id]) for category_id, _, _ in known]
        self.names = [names for _, _, names in known]
        self._weights = list(accumulate(weight for _, weight, _ in known))

    def draw(self, rng: Random, number: int) -> list[int]:
        """Return places in `category_ids`, `section_ids` and `names`."""
        return rng.choices(range(len(self.names)), cum_weights=self._weights, k=number)


def title(rng: Random, service: str, word: str, other: str) -> str:
    """Return a title, some of them with a typing error."""
    random = rng.random
    text = TITLES[int(random() ** 1.5 * len(TITLES))].format(
        verb=VERBS[int(random() ** 2 * len(VERBS))],
        quality=QUALITIES[int(random() ** 2 * len(QUALITIES))],
        service=service,
        word=word,
        other=other,
    )
    if random() < TYPOS:
        text = with_typo(rng, text)
    if len(text) > MAX_TITLE:
        # Not within a word: a single letter at the end would be one with the next word.
        text = text[:MAX_TITLE].rpartition(" ")[0]
    return text[:1].upper() + text[1:]


def with_typo(rng: Random, text: str) -> str:
    """Return the text with two neighbours swapped, or a letter missing or doubled, in one of its longer words."""
    parts = text.split(" ")
    places = [place for place, part in enumerate(parts) if len(part) > 4 and part.isalpha()]
    if not places:
        return text
    place = rng.choice(places)
    word, at = parts[place], rng.randrange(1, len(parts[place]) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    parts[place] = rng.choice((swapped, word[:at] + word[at + 1 :], word[: at + 1] + word[at:]))
    return " ".join(parts)
