"""What searches by words read of the gigs: `gigs.document` and the words, in step with the texts of the gigs.

`gigs.document` is written with the texts. A row that is written without it gets a document of the first version from a
trigger, and is analysed anew in the background: so are the rows from before migration 0008.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from gig_service.domain import analysis
from gig_service.domain.gig import GigDetails
from gig_service.store.vocabulary import Vocabulary
from servicekit.database import Database, Statement
from servicekit.periodic import PeriodicTask

# The gigs that are analysed in one transaction, which locks them.
BATCH = 50
# Between two looks for gigs to analyse.
ANALYSIS_SECONDS = 5.0

TEXTS = Statement("SELECT title, tags, description FROM gigs WHERE id = $1")
# Gigs that somebody changes meanwhile are left for the next run.
TAKE = Statement("""
    WITH taken AS (
        SELECT gig_id FROM gigs_to_analyse ORDER BY gig_id LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    SELECT g.id, g.title, g.tags, g.description FROM taken JOIN gigs AS g ON g.id = taken.gig_id
    FOR NO KEY UPDATE OF g SKIP LOCKED
""")
STORE = Statement("""
    UPDATE gigs SET document = analysed.document::tsvector
    FROM unnest($1::uuid[], $2::text[]) AS analysed (id, document) WHERE gigs.id = analysed.id
""")
DONE = Statement("DELETE FROM gigs_to_analyse WHERE gig_id = ANY ($1::uuid[])")


class Documents:
    """The documents of gigs."""

    def __init__(self, database: Database, vocabulary: Vocabulary) -> None:
        self._database = database
        self._vocabulary = vocabulary

    def columns(self, details: GigDetails) -> dict[str, Any]:
        """Return the columns of `gigs` that go with these details."""
        return {"document": analysis.document(details.title, details.tags, details.description).lexemes}

    def words_of(self, gig_id: UUID) -> frozenset[str]:
        """Return the words of a stored gig, before a change of them."""
        row = self._database.fetch_one(TEXTS, gig_id)
        return frozenset() if row is None else _words(row["title"], row["tags"], row["description"])

    def count_words(self, details: GigDetails | None, before: frozenset[str] = frozenset()) -> None:
        """Count the words of a new or a changed gig; None is a deleted one.

        It must be the last write of a transaction.
        """
        after = frozenset() if details is None else _words(details.title, details.tags, details.description)
        self._vocabulary.count(dict.fromkeys(after - before, 1) | dict.fromkeys(before - after, -1))

    def analyse_outdated(self) -> int:
        """Analyse some gigs anew whose documents are not of this version; return their number."""
        with self._database.transaction():
            rows = self._database.fetch_all(TAKE, BATCH)
            if not rows:
                return 0
            documents = [analysis.document(row["title"], row["tags"], row["description"]) for row in rows]
            ids = [row["id"] for row in rows]
            self._database.fetch_all(STORE, ids, [document.lexemes for document in documents])
            self._database.fetch_all(DONE, ids)
            self._vocabulary.count(Counter(word for document in documents for word in document.words))
        return len(rows)


def _words(title: str, tags: Sequence[str], description: str) -> frozenset[str]:
    return analysis.document(title, tags, description).words


def analysis_task(database: Database) -> PeriodicTask:
    """Return the task that analyses outdated gigs, some in each transaction, until there are none left."""
    documents = Documents(database, Vocabulary(database))

    def analyse_all() -> None:
        while documents.analyse_outdated():
            pass

    return PeriodicTask("analysis of gigs", analyse_all, ANALYSIS_SECONDS, database)
