"""Request bodies written to disk: complete, in any pieces, and refused as soon as they exceed a limit."""

from __future__ import annotations

import asyncio
import shutil
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gig_service.images.forms import ReceivedPicture, receive_pictures
from servicekit.errors import Conflict, InvalidArgument, MarketplaceError, Unavailable
from servicekit.uploads.bodies import MAX_PARTS, UploadLimits

MIB = 1024 * 1024
BOUNDARY = "----WebKitFormBoundary7MA4YWxk"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
# The bytes that end a part, and so cannot stand in a file (RFC 2046).
DELIMITER = f"\r\n--{BOUNDARY}".encode()
# The first bytes of each type, and two files.
STARTS = {
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\x0d",
    "image/webp": b"RIFF\x24\0\0\0WEBPVP8 ",
    "image/gif": b"GIF89a\x40\0",
}
JPEG, PNG = b"\xff\xd8\xff picture", STARTS["image/png"] + b"picture"


def at_most(count: int) -> UploadLimits:
    def check(files: int) -> None:
        if files > count:
            raise Conflict("Too many", code="LIMIT_REACHED")

    return UploadLimits(max_bytes=10 * MIB, check_count=check)


class Body:
    """A body in pieces; `read` counts the pieces that were read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.read += 1
            yield piece


def take(
    content_type: str, body: Body | bytes, folder: Path, limits: UploadLimits | None = None
) -> list[tuple[bytes, str]]:
    """Receive a body, and return the contents of the files with their types."""
    pieces = aiter(Body([body]) if isinstance(body, bytes) else body)
    files = asyncio.run(receive_pictures(content_type, pieces, folder, limits or at_most(20)))
    return [(file.path.read_bytes(), file.media_type) for file in files]


def part(data: bytes = JPEG, headers: str = "", name: str = "file", filename: str | None = "cat.jpg") -> bytes:
    """Return one part; a picture by default."""
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    head = f"--{BOUNDARY}\r\n{disposition}\r\n{headers or 'Content-Type: image/jpeg'}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """Return a complete form."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def without_delimiters(data: bytes) -> bytes:
    """Return the data with the last letter of every delimiter replaced, so that it can be a file of a form."""
    return data.replace(DELIMITER, DELIMITER[:-1] + b"!")


@pytest.mark.parametrize("declared", ["image/jpeg", "image/jpg", "IMAGE/PNG; q=1", "", "Application/Octet-Stream"])
@pytest.mark.parametrize("media_type", STARTS)
def test_a_raw_body_is_the_file_and_its_bytes_tell_its_type(declared: str, media_type: str, tmp_path: Path) -> None:
    start = STARTS[media_type]

    assert take(declared, Body([start[:3], b"", start[3:], b"more"]), tmp_path) == [(start + b"more", media_type)]


@pytest.mark.parametrize(
    ("declared", "code"),
    [
        ("image/jpeg", "INVALID_ARGUMENT"),
        ("image/jpg", "INVALID_ARGUMENT"),
        ("", "INVALID_ARGUMENT"),
        ("application/octet-stream", "INVALID_ARGUMENT"),
        ("image/svg+xml", "UNSUPPORTED_MEDIA_TYPE"),
        ("image/tiff", "UNSUPPORTED_MEDIA_TYPE"),
    ],
)
def test_a_raw_body_that_is_no_picture_is_refused_by_the_type_it_has(declared: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(MarketplaceError) as refused:
        take(declared, b"<svg>not one of the four</svg>", tmp_path)

    assert refused.value.code == code


@pytest.mark.parametrize("media_type", ["text/html", "application/json", "video/mp4", "é"])
def test_another_type_is_refused_before_anything_is_read(media_type: str, tmp_path: Path) -> None:
    body = Body([b"picture"])

    with pytest.raises(MarketplaceError) as refused:
        take(media_type, body, tmp_path)

    assert refused.value.code == "UNSUPPORTED_MEDIA_TYPE"
    assert body.read == 0


def test_a_form_gives_its_files_in_order_and_its_other_fields_are_ignored(tmp_path: Path) -> None:
    body = form(
        part(b"seller's words", "Content-Type: text/plain", name="caption", filename=None),
        part(JPEG),
        part(b"ignored", name="avatar"),
        part(PNG, "Content-Type: image/png"),
    )

    assert take(FORM, body, tmp_path) == [(JPEG, "image/jpeg"), (PNG, "image/png")]


# The headers of a part as HTTP libraries write them.
LIBRARIES = {
    "a browser": 'name="file"; filename="a.png"\r\nContent-Type: image/png',
    "curl -F of a .webp": 'name="file"; filename="a.webp"\r\nContent-Type: application/octet-stream',
    "python-requests": 'name="file"; filename="a.jpg"',
    "python-requests, other letters": "name=\"file\"; filename*=utf-8''%D0%B6.jpg",
    "Go CreateFormFile": 'name="file"; filename="a.jpg"\r\nContent-Type: application/octet-stream',
    "PHP CURLFile": 'name="file"; filename="/tmp/phpUx1"\r\nContent-Type: application/octet-stream',
    "Node Blob": 'name="file"; filename="blob"\r\nContent-Type: application/octet-stream',
    "a Windows program": 'name="file"; filename="A.JPG"\r\nContent-Type: image/pjpeg',
    "Java": 'name="file"\r\nContent-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: binary',
    "no quotes": "name=file; filename=a.jpg\r\nContent-Type: image/jpg",
}


@pytest.mark.parametrize("headers", LIBRARIES.values(), ids=LIBRARIES.keys())
@pytest.mark.parametrize("media_type", STARTS)
def test_a_form_of_any_library_is_taken_and_the_bytes_tell_the_type(
    headers: str, media_type: str, tmp_path: Path
) -> None:
    data = STARTS[media_type] + b"picture"
    body = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {headers}\r\n\r\n".encode() + data
    body += f"\r\n--{BOUNDARY}--\r\n".encode()

    assert take(FORM, body, tmp_path) == [(data, media_type)]


@given(content=st.binary(max_size=300), size=st.integers(1, 400))
@example(content=b"k", size=400)
def test_a_form_may_come_in_any_pieces(content: bytes, size: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Both files contain parts of a delimiter, at places where a piece may end.
    first = JPEG + without_delimiters(DELIMITER[:-1] + content + b"\r\n-")
    second = JPEG + without_delimiters(first[::-1])
    body = form(part(first), part(second))
    pieces = [body[start : start + size] for start in range(0, len(body), size)]

    files = take(FORM, Body(pieces), tmp_path_factory.mktemp("form"))

    assert files == [(first, "image/jpeg"), (second, "image/jpeg")]


def test_a_part_needs_no_name_of_a_file(tmp_path: Path) -> None:
    assert take(FORM, form(part(filename=None)), tmp_path) == [(JPEG, "image/jpeg")]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\\b.jpg", "\x00.jpg", "x" * 3000, "ж.jpg"])
def test_names_of_files_are_never_used(name: str, tmp_path: Path) -> None:
    take(FORM, form(part(filename=name)), tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["0"]


@pytest.mark.parametrize(
    "body",
    [
        form(),
        form(part(name="picture")),
        # A browser's empty file field.
        form(part(b"", "Content-Type: application/octet-stream", filename="")),
        form(part(b"words", "Content-Type: text/plain", filename=None)),
        b"",
    ],
)
def test_a_form_without_a_file_is_invalid(body: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument) as refused:
        take(FORM, body, tmp_path)

    assert [violation.field for violation in refused.value.violations] == ["file"]


@pytest.mark.parametrize("content_type", ["image/jpeg", FORM])
def test_an_empty_file_is_invalid(content_type: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="empty"):
        take(content_type, form(part(b"")) if content_type == FORM else b"", tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        b"picture",
        b"\r\n",
        part(),
        form(part())[:-6],
        form(part()).replace(b"\r\n", b"\n"),
        form(part(headers="No colon")),
        form(part(headers="Bad name\x01: x")),
        form(part(headers="X: " + "y" * 5000)),
        form(part(headers="\r\n".join(f"X-{number}: y" for number in range(50)))),
        form(part()).replace(BOUNDARY.encode(), b"another"),
    ],
)
def test_a_broken_form_is_invalid(body: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument) as refused:
        take(FORM, body, tmp_path)

    assert [violation.field for violation in refused.value.violations] == ["file"]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        f"multipart/form-data; boundary={'b' * 300}",
        "multipart/form-data; boundary=ж",
    ],
)
def test_a_form_without_a_proper_boundary_is_invalid(content_type: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        take(content_type, form(part()), tmp_path)


def test_a_boundary_may_stand_in_quotes(tmp_path: Path) -> None:
    assert take(f'multipart/form-data; charset=x; boundary="{BOUNDARY}"', form(part()), tmp_path)


@pytest.mark.parametrize("media_type", ["image/svg+xml", "image/jpeg", "text/plain", "application/octet-stream"])
def test_a_file_that_is_no_picture_is_invalid_whatever_its_part_says(media_type: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="is not a JPEG"):
        take(FORM, form(part(), part(b"words", f"Content-Type: {media_type}")), tmp_path)


def test_that_a_file_is_too_large_is_said_before_that_it_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(MarketplaceError) as refused:
        take(FORM, form(part(b"words"), part(b"x" * (10 * MIB + 1))), tmp_path)

    assert refused.value.code == "PAYLOAD_TOO_LARGE"


def endless(head: bytes = b"") -> Iterator[bytes]:
    """Yield the head, then 60 MB: far more than any limit, yet not for ever when nothing refuses it."""
    yield head
    for _ in range(1_000):
        yield b"x" * 60_000


@pytest.mark.parametrize(("content_type", "head"), [("image/png", b""), (FORM, part()[:-2])])
def test_a_file_that_is_too_large_is_refused_while_it_is_coming(content_type: str, head: bytes, tmp_path: Path) -> None:
    body = Body(endless(head))

    with pytest.raises(MarketplaceError) as refused:
        take(content_type, body, tmp_path)

    assert refused.value.code == "PAYLOAD_TOO_LARGE"
    assert body.read <= 10 * MIB // 60_000 + 3


def test_a_file_may_be_as_large_as_the_limit_and_not_a_byte_larger(tmp_path: Path) -> None:
    (file,) = take("image/png", Body([PNG.ljust(MIB), *[b"x" * MIB] * 9]), tmp_path)
    assert len(file[0]) == 10 * MIB

    (tmp_path / "0").unlink()
    with pytest.raises(MarketplaceError):
        take("image/png", Body([b"x" * MIB] * 10 + [b"x"]), tmp_path)


def test_each_file_of_a_form_may_be_as_large_as_the_limit(tmp_path: Path) -> None:
    files = take(FORM, form(*[part(PNG.ljust(10 * MIB))] * 3), tmp_path)

    assert [len(data) for data, _ in files] == [10 * MIB] * 3


def test_more_files_than_there_is_room_for_are_refused_while_they_are_coming(tmp_path: Path) -> None:
    body = Body(part() for _ in range(1000))

    with pytest.raises(Conflict) as refused:
        take(FORM, body, tmp_path, at_most(3))

    assert refused.value.code == "LIMIT_REACHED"
    assert body.read == 4


@pytest.mark.parametrize(
    "head",
    [
        part(name="caption", filename=None)[:-2],
        form(part()),
        b"\r\n",
    ],
    ids=["another field", "after the end", "before the beginning"],
)
def test_a_form_may_not_be_stuffed_with_what_is_no_file(head: bytes, tmp_path: Path) -> None:
    body = Body(endless(head))

    with pytest.raises(MarketplaceError) as refused:
        take(FORM, body, tmp_path)

    assert refused.value.code in ("PAYLOAD_TOO_LARGE", "INVALID_ARGUMENT")
    assert body.read <= 4


def test_a_form_has_a_hundred_parts_at_most(tmp_path: Path) -> None:
    tiny = [part(b"", name="x", filename=None)] * (MAX_PARTS - 1)

    assert take(FORM, form(*tiny, part()), tmp_path)
    (tmp_path / "0").unlink()
    with pytest.raises(InvalidArgument, match="100 parts"):
        take(FORM, form(*tiny, part(), part()), tmp_path)


def test_memory_stays_small_however_large_a_form_is(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(5):
            yield part()[:-2]
            for _ in range(100):
                yield b"x" * 100_000
            yield b"\r\n"
        yield form()

    tracemalloc.start()
    files = asyncio.run(receive_pictures(FORM, aiter(Body(pieces())), tmp_path, at_most(20)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [file.path.stat().st_size for file in files] == [10_000_000 + len(JPEG)] * 5
    assert peak < MIB


def test_a_full_disk_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        take("image/jpeg", Body([JPEG]), Path("/dev/full"))


def test_a_disk_that_is_nearly_full_is_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=200 * MIB))

    with pytest.raises(Unavailable):
        take("image/jpeg", Body([JPEG]), tmp_path)


def test_what_a_client_that_breaks_off_has_sent_is_its_own_error(tmp_path: Path) -> None:
    async def breaking_off() -> AsyncIterator[bytes]:
        yield part()[:-10]
        raise MarketplaceError("DEADLINE_EXCEEDED")

    async def run() -> list[ReceivedPicture]:
        return await receive_pictures(FORM, breaking_off(), tmp_path, at_most(20))

    with pytest.raises(MarketplaceError) as refused:
        asyncio.run(run())
    assert refused.value.code == "DEADLINE_EXCEEDED"
