"""What a look-alike gets of the other's files: nothing, under the same name."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.look_alikes.pair import Pair
from tests.support.look_alikes.person import Person
from tests.support.story import ok

Case = Callable[[Pair], None]
NAME = "the same.txt"


def _upload(person: Person, content: bytes) -> str:
    """Upload a file, and return its id."""
    headers = {"content-type": "text/plain"}
    answer = person.client.post("/api/files", params={"name": NAME}, content=content, headers=headers)
    return str(ok(answer, 201)["fileId"])


def upload_file(pair: Pair) -> None:
    theirs = _upload(pair.owner, b"the owner's")
    answer = pair.ask("POST", "/api/files", params={"name": NAME}, content=b"the viewer's")
    own = ok(answer, 201)["fileId"]

    assert own != theirs
    assert pair.owner.client.get(f"/api/files/{theirs}").content == b"the owner's"
    assert pair.viewer.client.get(f"/api/files/{own}").content == b"the viewer's"


def get_file(pair: Pair) -> None:
    theirs = _upload(pair.owner, b"the owner's")

    pair.hidden("GET", "/api/files/{}", theirs)
    pair.hidden("HEAD", "/api/files/{}", theirs)
    for part in ("bytes=0-2", "bytes=100-"):
        pair.hidden("GET", "/api/files/{}", theirs, headers={"range": part})


CASES: dict[str, Case] = {"FileService.UploadFile": upload_file, "FileService.GetFile": get_file}
