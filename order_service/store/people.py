"""The names of people, in PostgreSQL."""

from __future__ import annotations

from uuid import UUID

from servicekit.database import Database, Statement

# The condition keeps a name that is known already from writing anything, its lock included.
REMEMBER = Statement("""
    INSERT INTO people AS known (id, username)
    SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM people WHERE id = $1 AND username = $2)
    ON CONFLICT (id) DO UPDATE SET username = excluded.username
""")
ADD = Statement("INSERT INTO people (id, username) VALUES ($1, $2) ON CONFLICT DO NOTHING")


class People:
    """The names of users, as their latest access tokens had them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, user_id: UUID, username: str) -> None:
        """Store the name in a user's access token, as a transaction of its own: it waits for no other lock."""
        self._database.fetch_all(REMEMBER, user_id, username)

    def add(self, user_id: UUID, username: str) -> None:
        """Store the name of a user whose access token was never seen."""
        self._database.write(ADD, user_id, username)
