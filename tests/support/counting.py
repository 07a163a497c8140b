"""A database that counts its reads."""

from __future__ import annotations

from servicekit.database import Database, Row, Statement


class CountingDatabase(Database):
    """A database that remembers each `fetch_all`."""

    fetched: list[Statement]

    @classmethod
    def of(cls, database: Database) -> CountingDatabase:
        """Return the same database, from now on with its reads counted."""
        database.__class__ = cls
        assert isinstance(database, cls)
        database.fetched = []
        return database

    def fetch_all(self, statement: Statement, *params: object) -> list[Row]:
        """See Database."""
        self.fetched.append(statement)
        return super().fetch_all(statement, *params)

    def reads(self, statement: Statement) -> int:
        """Return how often a statement was run."""
        return sum(each is statement for each in self.fetched)
