"""A model in memory of conversations, blocks, files and offers, as the public contract describes them.

People are their names. Times are hours since the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

# An unsent file is removed after a day, at some time.
UNSENT_HOURS = 24
OPEN_OFFERS = 10


@dataclass
class File:
    """A file. It is readable by its owner, by those whom it was sent to, and by admins; a removed one by nobody."""

    id: str
    owner: str
    content: bytes
    uploaded_at: int
    readers: set[str] = field(default_factory=set)
    is_removed: bool = False

    def is_kept(self, now: int) -> bool:
        """Return whether it is there for sure."""
        return not self.is_removed and (bool(self.readers) or now < self.uploaded_at + UNSENT_HOURS)


@dataclass
class Said:
    """A message."""

    id: str
    writer: str
    text: str
    files: list[File] = field(default_factory=list)
    offer: str | None = None
    is_removed: bool = False

    def remove(self) -> None:
        """Remove text and files, as an admin."""
        self.text, self.is_removed = "", True
        for file in self.files:
            file.is_removed = True
        self.files = []


@dataclass
class Talk:
    """A conversation of two people: its messages, and how many of them each has marked as read."""

    id: str
    starter: str
    owner: str
    messages: list[Said] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)
    # Grows with each message of any conversation.
    newest: int = 0

    @property
    def sides(self) -> tuple[str, str]:
        return self.starter, self.owner

    def other(self, side: str) -> str:
        """Return the other side."""
        return self.owner if side == self.starter else self.starter

    def mark(self, side: str, index: int) -> None:
        """Mark a message and all before it as read."""
        self.read[side] = max(self.read.get(side, 0), index + 1)

    def unread(self, side: str) -> int:
        """Return how many messages of the other side come after the mark."""
        return sum(each.writer != side for each in self.messages[self.read.get(side, 0) :])


@dataclass
class Offer:
    """An offer of one side of a conversation to the other."""

    id: str
    talk: Talk
    seller: str
    price: Decimal
    days: int
    revisions: int
    expires_at: int
    status: str = "OPEN"
    order: str | None = None

    @property
    def buyer(self) -> str:
        return self.talk.other(self.seller)

    def pass_time(self, now: int) -> None:
        """Let it expire when its time has passed."""
        if self.status == "OPEN" and now >= self.expires_at:
            self.status = "EXPIRED"


@dataclass
class Blocks:
    """Who blocks whom."""

    pairs: set[tuple[str, str]] = field(default_factory=set)

    def refusals(self, writer: str, other: str) -> set[tuple[int, str]]:
        """Return status and code with which the writer is refused; one of them, when both block each other."""
        found = set()
        if (other, writer) in self.pairs:
            found.add((403, "FORBIDDEN"))
        if (writer, other) in self.pairs:
            found.add((409, "CONFLICT"))
        return found
