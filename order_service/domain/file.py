"""Files that people send each other."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


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
