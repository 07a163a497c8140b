"""Names, types and ranges of files."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_service.domain.byte_range import RangeNotSatisfiable, content_range, requested_range
from order_service.domain.file import MAX_UNSENT_BYTES, check_room, clean_name, content_disposition, media_type
from order_service.domain.file_scanner import Clamd, Command, scanner_of
from servicekit.errors import Conflict

SIZE = 1000


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("logo.png", "logo.png"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\Users\\me\\ä.txt", "ä.txt"),
        ("a\x00b\nc\x7f\x85.txt", "abc.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("line\u2028end", "lineend"),
        ("  spaces .txt ", "spaces .txt"),
        (".bashrc", ".bashrc"),
        ('say "hi"; a=b', 'say "hi"; a=b'),
        ("a\u0308", "ä"),
    ],
)
def test_a_name_loses_path_parts_and_control_characters(name: str, clean: str) -> None:
    assert clean_name(name) == clean


@pytest.mark.parametrize("name", ["", " ", ".", "..", "...", "a/", "\\", "\x00", "\u200b", "/\n/"])
def test_what_has_no_name_left_is_called_file(name: str) -> None:
    assert clean_name(name) == "file"


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("a" * 251 + ".txt", "a" * 251 + ".txt"),
        ("a" * 252 + ".txt", "a" * 251 + ".txt"),
        ("ä" * 200 + ".tar.gz", "ä" * 124 + ".gz"),
        ("a" * 300, "a" * 255),
        ("a." + "b" * 300, ("a." + "b" * 300)[:255]),
        ("." + "b" * 300, ("." + "b" * 300)[:255]),
    ],
)
def test_a_long_name_keeps_its_ending(name: str, clean: str) -> None:
    if clean.endswith(".gz"):
        clean = ("ä" * 200 + ".tar")[:126].rstrip() + ".gz"
    assert clean_name(name) == clean


@given(st.text())
def test_every_clean_name_is_short_visible_and_stays_as_it_is(name: str) -> None:
    clean = clean_name(name)

    assert 0 < len(clean.encode()) <= 255
    assert not {"/", "\\"} & set(clean)
    assert all(unicodedata.category(char) not in ("Cc", "Cs") for char in clean)
    assert clean_name(clean) == clean


@given(st.text())
def test_the_header_of_an_attachment_is_ascii_and_cannot_be_left(name: str) -> None:
    header = content_disposition(clean_name(name))

    plain, _, extended = header.partition("; filename*=UTF-8''")
    assert header.isascii()
    assert header.isprintable()
    assert plain.startswith('attachment; filename="')
    assert plain.count('"') == 2
    assert not set(extended) & set(" \"';,/")


def test_both_names_of_an_attachment_stand_in_its_header() -> None:
    assert content_disposition("Über 100%.pdf") == (
        "attachment; filename=\"_ber 100_.pdf\"; filename*=UTF-8''%C3%9Cber%20100%25.pdf"
    )


@pytest.mark.parametrize(
    "declared",
    ["text/html", "image/svg+xml", 'text/plain; charset="utf-8"', "application/vnd.ms-excel; a=b ; c=d", "x/y"],
)
def test_a_well_formed_type_is_kept(declared: str) -> None:
    assert media_type(f" {declared} ") == declared


@pytest.mark.parametrize(
    "declared", ["", "text", "text/", "/html", "text/html\r\nx: y", "text/html;", "a b/c", "text/ä", "a/" + "b" * 300]
)
def test_a_type_that_is_none_becomes_the_unknown_one(declared: str) -> None:
    assert media_type(declared) == "application/octet-stream"


@pytest.mark.parametrize(
    ("header", "first", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=10-19", 10, 10),
        ("bytes=990-2000", 990, 10),
        ("bytes=-1", 999, 1),
        ("bytes=-5000", 0, SIZE),
        ("Bytes= 5-6 ", 5, 2),
        ("bytes=0-99999999999999999999999999", 0, SIZE),
    ],
)
def test_one_range_is_a_part_of_the_file(header: str, first: int, length: int) -> None:
    span = requested_range(header, SIZE)

    assert span == (first, length)
    assert content_range(span, SIZE) == f"bytes {first}-{first + length - 1}/1000"


@pytest.mark.parametrize(
    "header", ["", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "items=0-1", "bytes 0-1", "bytes=a-b", "bytes=٣-"]
)
def test_what_is_no_single_range_is_ignored(header: str) -> None:
    assert requested_range(header, SIZE) is None


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=99999999999999999999-"])
def test_a_range_beyond_the_end_is_refused_with_the_size(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as refusal:
        requested_range(header, SIZE)

    assert refusal.value.headers == {"content-range": "bytes */1000"}


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(1, 1500))
def test_a_range_is_never_outside_of_the_file(first: int, last: int, size: int) -> None:
    try:
        span = requested_range(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert first >= size
        return
    if span is None:
        assert last < first
    else:
        assert span == (first, min(last, size - 1) - first + 1)


def test_exactly_500_mib_may_be_unsent() -> None:
    check_room(1, MAX_UNSENT_BYTES - 10, 10)

    with pytest.raises(Conflict) as refusal:
        check_room(1, MAX_UNSENT_BYTES - 10, 11)
    assert (refusal.value.code, refusal.value.message) == (
        "LIMIT_REACHED", "At most 500 MiB of files that were not sent"
    )  # fmt: skip


def test_exactly_1000_files_may_be_unsent() -> None:
    check_room(999, 999, 1)

    with pytest.raises(Conflict) as refusal:
        check_room(1000, 1000, 1)
    assert (refusal.value.code, refusal.value.message) == ("LIMIT_REACHED", "At most 1000 files that were not sent")


@pytest.mark.parametrize(
    ("text", "scanner"),
    [
        ("", None),
        ("/run/clamav/clamd.ctl", Clamd(path="/run/clamav/clamd.ctl")),
        ("scanner:3310", Clamd(host="scanner", port=3310)),
        ("[::1]:3310", Clamd(host="::1", port=3310)),
        ("command:/usr/bin/scan --quiet 'a b'", Command(("/usr/bin/scan", "--quiet", "a b"))),
    ],
)
def test_a_scanner_is_a_socket_an_address_or_a_command(text: str, scanner: Clamd | Command | None) -> None:
    assert scanner_of(text) == scanner


@pytest.mark.parametrize("text", ["clamd", ":3310", "host:0", "host:70000", "host:x", "command:", "command:'"])
def test_what_names_no_scanner_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        scanner_of(text)
