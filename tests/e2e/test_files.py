"""Files through the real edge: uploads, downloads, their parts, and who gets them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import Market, a_name, ok

MIB = 1024 * 1024


class People:
    """A user with files, one who gets them in a message, a stranger and an admin."""

    def __init__(self, stack: Stack) -> None:
        market = Market.of(stack)
        self._gig = market.gig()["id"]
        self.owner, self.reader = market.buyer, market.seller
        self.stranger = stack.client(a_name("stranger"), "seller")
        self.admin = stack.client(a_name("admin"), "admin")

    def upload(self, data: Any = b"hello", media_type: str = "text/plain", name: str = "a.txt") -> Any:
        """Upload a body, and return what the response says of it."""
        headers = {"content-type": media_type}
        answer = self.owner.post("/api/files", params={"name": name}, content=data, headers=headers, timeout=120)
        return ok(answer, 201)

    def send(self, file_id: str) -> None:
        """Send a file from its owner to the reader."""
        message = {"gigId": self._gig, "text": "Here it is", "fileIds": [file_id]}
        ok(self.owner.post("/api/conversations", json=message), 201)


@pytest.fixture
def people(stack: Stack) -> People:
    return People(stack)


def path_of(file: dict[str, Any]) -> str:
    return f"/api/files/{file['fileId']}"


def stored(stack: Stack) -> set[str]:
    return {path.name for path in stack.layout.files.rglob("*") if path.is_file()}


def test_a_body_is_a_file_of_the_name_in_the_query(people: People) -> None:
    answer = people.owner.post(
        "/api/files",
        params={"name": "../ü+b c.html"},
        content=b"<script>1</script>",
        headers={"content-type": "text/html"},
    )

    file = ok(answer, 201)
    assert file == {
        "fileId": file["fileId"], "name": "ü+b c.html", "size": 18, "type": "text/html", "status": "READY"
    }  # fmt: skip
    assert answer.headers["location"] == path_of(file)
    got = people.owner.get(path_of(file))
    assert (got.status_code, got.content) == (200, b"<script>1</script>")


def test_nothing_in_a_file_runs_and_nobody_keeps_it(people: People) -> None:
    file = people.upload(b"<script>alert(1)</script>" * 100, "text/html", 'sp"äm\r\n.html')

    headers = people.owner.get(path_of(file), headers={"accept-encoding": "gzip, br"}).headers

    assert headers["content-type"] == "text/html"
    assert headers["content-disposition"] == "attachment; filename=\"sp__m.html\"; filename*=UTF-8''sp%22%C3%A4m.html"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert headers["cache-control"] == "private, no-store"
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-length"] == "2500"
    assert "content-encoding" not in headers
    assert not [name for name in headers if name.startswith("x-edge")]


def test_a_form_has_one_file(people: People) -> None:
    parts: list[Any] = [("note", (None, "no file")), ("file", ("bill.pdf", b"%PDF", "application/pdf"))]
    file = ok(people.owner.post("/api/files", files=parts), 201)
    assert (file["name"], file["size"], file["type"]) == ("bill.pdf", 4, "application/pdf")

    for wrong in ([parts[0]], [parts[1]] * 2, [("file", ("a.txt", b"", "text/plain"))]):
        answer = people.owner.post("/api/files", files=wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_ARGUMENT"), answer.text
        assert answer.json()["details"][0]["field"] == "file"


@pytest.mark.parametrize(
    "media_type", ["", "application/json", "application/grpc", "multipart/mixed", "a b", "image/png"]
)
def test_a_body_may_have_any_type(people: People, media_type: str) -> None:
    file = people.upload(b"{", media_type)

    kept = media_type in ("application/json", "multipart/mixed", "image/png")
    assert file["type"] == (media_type if kept else "application/octet-stream")
    answer = people.owner.get(path_of(file))
    assert (answer.content, answer.headers["content-type"]) == (b"{", file["type"])


def test_what_is_no_upload_is_refused(people: People, stack: Stack) -> None:
    def code(**request: Any) -> tuple[int, str]:
        answer = people.owner.post("/api/files", **request)
        return answer.status_code, answer.json()["code"]

    assert code(content=b"") == (400, "INVALID_ARGUMENT")
    assert code(content=b"x", params={"nam": "x"}) == (400, "INVALID_ARGUMENT")
    assert code(content=b"x", headers={"content-encoding": "gzip"}) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert stack.client().post("/api/files", content=b"x").status_code == 401
    assert people.owner.get("/api/files").status_code == 405


def test_strangers_do_not_learn_of_a_file(people: People) -> None:
    file = people.upload()
    path = path_of(file)
    assert [each.get(path).status_code for each in (people.owner, people.admin)] == [200, 200]
    for each in (people.reader, people.stranger):
        assert each.get(path).json() == {"error": "File not found", "code": "NOT_FOUND"}
        assert each.get(path).headers["content-type"] == "application/json"
        assert each.get(path, headers={"range": "bytes=0-"}).status_code == each.head(path).status_code == 404
    people.send(file["fileId"])

    assert people.reader.get(path).content == b"hello"
    assert people.stranger.get(path).status_code == 404
    assert people.owner.get("/api/files/00000000-0000-0000-0000-000000000000").status_code == 404
    assert people.owner.get("/api/files/nonsense").status_code == 404
    with httpx.Client(base_url=people.owner.base_url) as anonymous:
        assert anonymous.get(path).status_code == 401


def test_no_path_of_pictures_reaches_a_file(people: People, stack: Stack) -> None:
    before = stored(stack)
    people.upload()
    [name] = stored(stack) - before

    for path in (f"/media/{name[:2]}/{name}", f"/media/../files/{name[:2]}/{name}", f"/media/{name[:2]}/{name}.jpg"):
        assert people.owner.get(path).status_code == 404


@pytest.mark.parametrize(
    ("header", "data", "content_range"),
    [("bytes=1-3", b"ell", "bytes 1-3/5"), ("bytes=-2", b"lo", "bytes 3-4/5"), ("bytes=2-99", b"llo", "bytes 2-4/5")],
)
def test_a_part_of_a_file_is_206(people: People, header: str, data: bytes, content_range: str) -> None:
    answer = people.owner.get(path_of(people.upload()), headers={"range": header})

    assert (answer.status_code, answer.content) == (206, data)
    assert answer.headers["content-range"] == content_range
    assert answer.headers["content-length"] == str(len(data))


@pytest.mark.parametrize("header", ["bytes=0-0,2-2", "lines=0-1", "bytes=3-1", "nonsense"])
def test_what_is_no_single_range_gets_the_file(people: People, header: str) -> None:
    answer = people.owner.get(path_of(people.upload()), headers={"range": header})

    assert (answer.status_code, answer.content) == (200, b"hello")


def test_a_part_beyond_the_end_is_416_with_the_size(people: People) -> None:
    answer = people.owner.get(path_of(people.upload()), headers={"range": "bytes=5-"})

    assert (answer.status_code, answer.json()["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert answer.headers["content-range"] == "bytes */5"
    assert answer.headers["content-type"] == "application/json"
    assert "content-disposition" not in answer.headers


@pytest.mark.parametrize("http2", [False, True])
def test_head_has_the_headers_of_get_alone(people: People, stack: Stack, http2: bool) -> None:
    path = path_of(people.upload(b"x" * 100_000, "video/mp4"))
    got = people.owner.get(path)

    with stack.client(http2=http2, http1=not http2) as client:
        client.headers["authorization"] = people.owner.headers["authorization"]
        head = client.head(path, headers={"range": "bytes=0-1"})
        after = client.get(path, headers={"range": "bytes=0-1"})

    assert (head.status_code, head.content, after.content) == (200, b"", b"xx")
    own = ("date", "x-request-id", "server")
    assert {k: v for k, v in head.headers.items() if k not in own} == {
        k: v for k, v in got.headers.items() if k not in own
    }


def test_50_mib_go_through_in_little_memory(people: People, stack: Stack) -> None:
    """Uploads of the largest size and slow downloads of it at once: the edge and the service keep pieces alone."""
    piece = os.urandom(MIB)
    processes = [stack.processes()["order-events"], stack.processes()["envoy"]]

    def body() -> Iterator[bytes]:
        yield from [piece] * 50

    def memory() -> list[int]:
        return [process.memory_full_info().pss for process in processes]

    people.upload(piece)
    before = memory()
    peaks = list(before)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            peaks[:] = map(max, peaks, memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        file = people.upload(body(), "video/mp4", "film.mp4")
        received = 0
        # Two who read nothing for a while, beside one who reads all.
        with (
            people.owner.stream("GET", path_of(file)) as first,
            people.owner.stream("GET", path_of(file)) as second,
            people.owner.stream("GET", path_of(file)) as third,
        ):
            assert {each.headers["content-length"] for each in (first, second, third)} == {str(50 * MIB)}
            for data in third.iter_bytes():
                received += len(data)
    finally:
        over.set()
        watcher.join()

    assert (file["size"], received) == (50 * MIB, 50 * MIB)
    tail = people.owner.get(path_of(file), headers={"range": f"bytes=-{MIB + 5}"}).content
    assert tail == piece[-5:] + piece
    assert all(peak - start < 40 * MIB for peak, start in zip(peaks, before, strict=True)), (before, peaks)


def test_a_byte_more_than_50_mib_is_413(people: People, stack: Stack) -> None:
    before = stored(stack)
    length = 50 * MIB + 1

    answer = people.owner.post("/api/files", content=b"x" * length, timeout=120)
    streamed = people.owner.post("/api/files", content=iter([b"x" * MIB] * 50 + [b"x"]), timeout=120)

    for each in (answer, streamed):
        assert (each.status_code, each.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert stored(stack) == before


def test_names_stand_in_no_log(people: People, stack: Stack) -> None:
    name = "Geheimnisvoll.txt"
    file = people.upload(name=name)
    people.owner.post("/api/files", params={"name": name, "x": name}, content=b"x")
    ok(people.owner.post("/api/files", files={"file": (name, b"x")}), 201)
    people.owner.get(path_of(file))

    eventually(lambda: file["fileId"] in "".join(path.read_text() for path in stack.layout.logs.iterdir()))
    for path in stack.layout.logs.iterdir():
        if not path.name.startswith("postgres"):
            assert "Geheimnisvoll" not in path.read_text(errors="replace"), path


def test_the_process_for_files_has_no_open_file_left(people: People, stack: Stack) -> None:
    """Downloads that clients break off leave nothing."""
    path = path_of(people.upload(b"x" * 5 * MIB))
    process: psutil.Process = stack.processes()["order-events"]

    def open_files() -> int:
        return sum("/files/" in each.path for each in process.open_files())

    for _ in range(5):
        with people.owner.stream("GET", path) as answer:
            next(answer.iter_bytes())
    people.owner.close()

    eventually(lambda: open_files() == 0, 60)
