"""Files that people send each other."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from servicekit.errors import Conflict

# The bytes of unsent files that a user can have.
MAX_UNSENT_BYTES = 500 * 1024 * 1024


class FileStatus(StrEnum):
    """Whether a file can be sent and fetched. CHECKING: the scanner has not looked yet; REFUSED: it found harm."""

    READY = "READY"
    CHECKING = "CHECKING"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class FileLabel:
    """What a message or a delivery shows of a file. `size` is in bytes, `type` the declared media type."""

    id: UUID
    name: str
    size: int
    type: str
    status: FileStatus = FileStatus.READY


@dataclass(frozen=True, slots=True)
class File:
    """A stored file. `key` is its name in the storage; `sent_at` is None until it was sent for the first time."""

    label: FileLabel
    owner_id: UUID
    key: str
    created_at: datetime
    sent_at: datetime | None = None


def check_room(unsent_bytes: int, adding: int) -> None:
    """Raise Conflict (LIMIT_REACHED) when a user's unsent files would have too many bytes with so many more."""
    if unsent_bytes + adding > MAX_UNSENT_BYTES:
        raise Conflict("At most 500 MiB of files that were not sent", code="LIMIT_REACHED")
