"""The rank of a gig in the order of relevance."""

# Each gig here has all the words. For words that are joined by "and", ts_rank compares each place of one with each
# place of another, which takes 10 ms for a gig that repeats them; for "or" it reads each place once. The rank has
# 10,000 steps; among gigs of one step the better rated comes first.
RANK = "(ts_rank(g.document, :any_word::tsquery) * 10000)::int"


def rank_values(words: str) -> dict[str, object]:
    """Return the values of the parameters of RANK for a search by this `tsquery`."""
    return {"any_word": words.replace(" & ", " | ")}
