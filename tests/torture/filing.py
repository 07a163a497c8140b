"""Files of the load: uploaded, sent in messages and deliveries, and read by those who may."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

from tests.torture.making import Maker
from tests.torture.retries import RetryingClient

LARGEST_BYTES = 60_000


@dataclass
class Uploaded:
    """An acknowledged file, with the role of its owner. Once it is sent, the other side may read it."""

    owner: str
    name: str
    content: bytes
    is_sent: bool = False


class Files:
    """The files of a buyer and a seller, by their ids."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self.uploaded: dict[str, Uploaded] = {}

    def upload(self, who: str, number: int = 1) -> list[str]:
        """Upload so many files. Return their ids."""
        return [self._upload(who) for _ in range(number)]

    def sent(self, ids: Iterable[str]) -> None:
        """Record that these files were sent to the other side."""
        for each in ids:
            self.uploaded[each].is_sent = True
            self._maker.counts.add("files sent")

    def _upload(self, who: str) -> str:
        chance = self._maker.random
        name, content = f"{uuid4().hex}.bin", chance.randbytes(chance.randrange(1, LARGEST_BYTES))
        # Sent again after a lost response it is another file; the first one is never sent.
        answer = self._maker.people[who].until_definite(
            "POST", "/api/files", params={"name": name}, content=content, headers={"content-type": "text/plain"}
        )
        assert answer.status_code == 201, answer.text
        self._maker.counts.add("files uploaded")
        identity = str(answer.json()["fileId"])
        self.uploaded[identity] = Uploaded(who, name, content)
        return identity


def wrong_files(files: Files, people: Mapping[str, RetryingClient], stranger: RetryingClient) -> Iterator[str]:
    """Yield each file that somebody may read and cannot, or cannot have and gets."""
    for identity, file in files.uploaded.items():
        readers = {"admin", file.owner} | ({"buyer", "seller"} if file.is_sent else set())
        for who, person in (*people.items(), ("stranger", stranger)):
            answer = person.until_definite("GET", f"/api/files/{identity}")
            if who not in readers:
                if answer.status_code != 404:
                    yield f"file {identity} of the {file.owner}: {answer.status_code} to the {who}"
            elif answer.status_code != 200 or answer.content != file.content:
                yield f"file {identity} of the {file.owner}: {answer.status_code}, other bytes to the {who}"
            elif file.name not in answer.headers["content-disposition"]:
                yield f"file {identity}: it is named {answer.headers['content-disposition']}, not {file.name}"
