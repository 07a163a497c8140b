"""The rank of a gig among the results of a search by words, as an expression of its statement."""

from typing import Any

import peewee
from playhouse.postgres_ext import TS_MATCH

from gig_service.domain.words import match_query, ranking
from gig_service.store.models import GigRow

# The relevance is rounded to this many steps; among gigs of one step the better rated comes first.
RANKS = 10_000


def matches(query: str) -> peewee.Expression:
    """Return the condition that a gig matches a query of `gig_service.domain.words`."""
    return _match(match_query(query))


def rank(query: str) -> Any:
    """Return the expression of the rank, an integer.

    Every lexeme stands in a gig once, so `ts_rank` of "any of the lexemes" is the sum of their weights: a repeated word
    gains nothing. For words that are joined by "and" it would compare their places, which the documents do not have.
    """
    how = ranking(query)
    rank = peewee.fn.ts_rank(GigRow.document, _tsquery(how.lexemes)) * RANKS
    steps: Any = rank.cast("integer")
    for own in how.own:
        steps = steps + _match(own).cast("integer") * (10 * RANKS)
    return steps


def _match(tsquery: str) -> peewee.Expression:
    return peewee.Expression(GigRow.document, TS_MATCH, _tsquery(tsquery))


def _tsquery(text: str) -> Any:
    return peewee.Value(text).cast("tsquery")
