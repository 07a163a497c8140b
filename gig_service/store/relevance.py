"""The condition and the rank of a search by words, as SQL with named parameters."""

from gig_service.domain.words import match_query, ranking

# Every lexeme stands in a document once, so `ts_rank` of "any of the lexemes" is the sum of their weights: a repeated
# word gains nothing. For words that are joined by "and" it would compare their places, which documents do not have. The
# rank has 10,000 steps; among gigs of one step the better rated comes first. Gigs with a rare word itself come before
# those with a correction of it.
RANK = "(ts_rank(g.document, :any_word::tsquery) * 10000)::int + (g.document @@ :own::tsquery)::int * 100000"
# No document has this lexeme.
_NOTHING = "'=='"


def match_values(query: str) -> dict[str, object]:
    """Return the value of the parameter of the condition, for a query of `gig_service.domain.words`."""
    return {"words": match_query(query)}


def rank_values(query: str) -> dict[str, object]:
    """Return the values of the parameters of RANK, for a query of `gig_service.domain.words`."""
    how = ranking(query)
    return {"any_word": how.lexemes, "own": how.own or _NOTHING}
