"""Files that people send each other: their names, their types, and how much one user may leave unsent."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote
from uuid import UUID

from servicekit.errors import Conflict

# The unsent files that a user can have, and their bytes.
MAX_UNSENT_FILES = 1000
MAX_UNSENT_BYTES = 500 * 1024 * 1024
MAX_NAME_BYTES = 255
# A longer ending is not kept when the name is cut.
MAX_ENDING_BYTES = 32
MAX_TYPE_BYTES = 255
NAMELESS = "file"
UNKNOWN = "application/octet-stream"

# A media type with its parameters (RFC 9110, section 8.3.1).
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf'{_WORD}/{_WORD}(?:[ \t]*;[ \t]*{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]*"))*')
# Controls, and what shows a text in another order than it has: with it `gpj.exe` could look like `exe.jpg`.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
# The characters of a URL that `filename*` takes as they are (RFC 8187), beside letters, digits and `_.-~`.
_PLAIN = "!#$&+^`|"


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


def check_room(unsent_files: int, unsent_bytes: int, adding: int) -> None:
    """Raise Conflict (LIMIT_REACHED) when a user's unsent files leave no room for one more of `adding` bytes."""
    if unsent_files >= MAX_UNSENT_FILES:
        raise Conflict("At most 1000 files that were not sent", code="LIMIT_REACHED")
    if unsent_bytes + adding > MAX_UNSENT_BYTES:
        raise Conflict("At most 500 MiB of files that were not sent", code="LIMIT_REACHED")


def clean_name(name: str) -> str:
    """Return the name without path parts and control characters, in at most 255 bytes, and with its ending."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(char for char in last if unicodedata.category(char) not in _HIDDEN)
    shown = unicodedata.normalize("NFC", shown).strip()
    return _cut(shown) if shown.strip(".") else NAMELESS


def media_type(declared: str) -> str:
    """Return the declared media type; `application/octet-stream` when it is not well-formed."""
    declared = declared.strip()
    return declared if len(declared) <= MAX_TYPE_BYTES and _TYPE.fullmatch(declared) else UNKNOWN


def content_disposition(name: str) -> str:
    """Return the header that makes a file an attachment of this name (RFC 6266).

    Old clients read `filename`, which is ASCII; the others read `filename*`.
    """
    plain = "".join(char if " " <= char <= "~" and char not in '"\\%' else "_" for char in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_PLAIN)}"


def _cut(name: str) -> str:
    """Return the name in at most 255 bytes; its ending stays."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, ending = name.rpartition(".")
    if not stem or len((dot + ending).encode()) > MAX_ENDING_BYTES:
        stem, dot, ending = name, "", ""
    room = MAX_NAME_BYTES - len((dot + ending).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip() + dot + ending
