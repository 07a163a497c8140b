"""All files of images are copied to a folder and back, and none twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gig_service.media.pictures import PICTURES
from servicekit.errors import Unavailable
from servicekit.storage.copies import copy_from, copy_to
from servicekit.storage.folder import FolderStorage
from servicekit.storage.storage import new_key


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    return folder


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    folder = tmp_path / "backup"
    folder.mkdir()
    return folder


def put(media: Path, content: bytes = b"picture") -> str:
    """Store a file, and return its key."""
    key = new_key("jpg")
    (media / key).parent.mkdir(exist_ok=True)
    (media / key).write_bytes(content)
    return key


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("??/*")}


def test_a_second_copy_adds_what_is_new_and_keeps_what_was_deleted(media: Path, backup: Path) -> None:
    storage = FolderStorage(media, PICTURES)
    deleted, kept = put(media), put(media)
    assert copy_to(backup, storage) == 2
    storage.delete(deleted)
    new = put(media)

    assert copy_to(backup, storage) == 1

    assert files(backup) == {deleted, kept, new}


def test_what_another_backup_has_is_linked(media: Path, backup: Path, tmp_path: Path) -> None:
    storage = FolderStorage(media, PICTURES)
    old = put(media)
    copy_to(backup, storage)
    second = tmp_path / "second"
    second.mkdir()
    new = put(media)

    assert copy_to(second, storage, known=backup) == 2

    assert (second / old).samefile(backup / old)
    assert files(second) == {old, new}


def test_unfinished_files_and_those_of_others_are_no_files_of_images(media: Path, backup: Path) -> None:
    put(media)
    half = put(media)
    (media / half).rename(media / f"{half}.unfinished")
    (media / "README").touch()

    assert copy_to(backup, FolderStorage(media, PICTURES)) == 1


def test_no_link_leads_a_copy_out_of_the_storage(media: Path, backup: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's")
    key = new_key("jpg")
    (media / key).parent.mkdir()
    (media / key).symlink_to(secret)

    with pytest.raises(Unavailable):
        copy_to(backup, FolderStorage(media, PICTURES))
    assert copy_from(media, FolderStorage(backup, PICTURES)) == 0
    assert files(backup) == set()


def test_a_pipe_holds_no_copy_up(media: Path, backup: Path) -> None:
    key = new_key("jpg")
    (media / key).parent.mkdir()
    os.mkfifo(media / key)

    with pytest.raises(Unavailable):
        copy_to(backup, FolderStorage(media, PICTURES))


def test_a_storage_gets_back_what_it_lacks(media: Path, backup: Path) -> None:
    storage = FolderStorage(media, PICTURES)
    there, gone = put(media), put(media, b"another picture")
    copy_to(backup, storage)
    storage.delete(gone)

    assert copy_from(backup, storage) == 1

    assert (media / gone).read_bytes() == b"another picture"
    assert files(media) == {there, gone}
