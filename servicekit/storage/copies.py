"""Copies the files of a storage to a folder, and back; the command line of the services' copies.

A key is never used for another file, so a file that is there already is the same one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from pathlib import Path

from servicekit.errors import Unavailable
from servicekit.progress import Progress, ShownProgress
from servicekit.storage.storage import FileKind, Storage

# A call to S3 takes tens of milliseconds.
COPIES_AT_ONCE = 8
_BATCH = 1000


def copy_to(folder: Path, storage: Storage, known: Path | None = None, progress: Progress | None = None) -> int:
    """Copy the files that a folder lacks into it, and return their number. Raises Unavailable and OSError.

    A file that the folder `known` has is linked from there instead of being read. A file that is deleted meanwhile is
    left out.
    """

    def copy(key: str) -> bool:
        target = folder / key
        if target.exists():
            return False
        target.parent.mkdir(exist_ok=True)
        if known is not None:
            with contextlib.suppress(OSError):
                os.link(known / key, target)
                return True
        return storage.fetch(key, target)

    keys = (key for key in storage.keys(timedelta(0)) if storage.kind.key.fullmatch(key))
    return _copy_all(copy, keys, storage.kind, progress or Progress())


def copy_from(folder: Path, storage: Storage, progress: Progress | None = None) -> int:
    """Store the files of a folder that the storage lacks, and return their number. Raises Unavailable and OSError."""

    def copy(key: str) -> bool:
        if storage.exists(key):
            return False
        storage.put(key, folder / key, storage.kind.media_type(key))
        return True

    paths = (path for path in folder.glob("??/*") if path.is_file() and not path.is_symlink())
    names = (path.relative_to(folder).as_posix() for path in paths)
    return _copy_all(
        copy, (name for name in names if storage.kind.key.fullmatch(name)), storage.kind, progress or Progress()
    )


def _copy_all(copy: Callable[[str], bool], keys: Iterable[str], kind: FileKind, progress: Progress) -> int:
    """Copy the keys, several at once. Return the number of files that were copied."""
    copied = 0
    remaining = iter(keys)
    progress.begin(0, kind.name)
    with ThreadPoolExecutor(COPIES_AT_ONCE) as pool:
        while batch := list(islice(remaining, _BATCH)):
            copied += sum(pool.map(copy, batch))
            progress.advance(len(batch))
    progress.end()
    return copied


def main(program: str, kind: FileKind, make: Callable[[], Storage]) -> int:
    """Copy, and print how many files that were. Return 2 when it cannot be done."""
    parser = argparse.ArgumentParser(prog=program, description=f"copies {kind.name} to a folder, and back.")
    direction = parser.add_mutually_exclusive_group(required=True)
    direction.add_argument("--to", type=Path, metavar="FOLDER", help="copy the files that this folder lacks into it")
    direction.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="store the files of this folder")
    parser.add_argument("--known", type=Path, metavar="FOLDER", help="link files from this folder where it has them")
    options = parser.parse_args()
    try:
        if options.to:
            copied = copy_to(options.to, make(), options.known, ShownProgress())
        else:
            copied = copy_from(options.source, make(), ShownProgress())
    except (Unavailable, OSError) as error:
        print(f"The {kind.name} cannot be copied: {error.__cause__ or error}", file=sys.stderr)
        return 2
    print(f"{copied:,} {kind.name} copied")
    return 0
