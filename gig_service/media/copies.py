"""`python -m gig_service.media.copies`: copies the files of images from their storage to a folder, and back.

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

from gig_service.media.storage import KEY, Storage
from gig_service.media.storage_factory import storage_from
from gig_service.settings import MediaSettings
from servicekit.errors import Unavailable
from servicekit.progress import Progress, ShownProgress
from servicekit.settings import load

# A call to S3 takes tens of milliseconds.
COPIES_AT_ONCE = 8
_BATCH = 1000
_MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


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

    keys = (key for key in storage.keys(timedelta(0)) if KEY.fullmatch(key))
    return _count(copy, keys, progress or Progress())


def copy_from(folder: Path, storage: Storage, progress: Progress | None = None) -> int:
    """Store the files of a folder that the storage lacks, and return their number. Raises Unavailable and OSError."""

    def copy(key: str) -> bool:
        if storage.exists(key):
            return False
        storage.put(key, folder / key, _MEDIA_TYPES[key.rpartition(".")[2]])
        return True

    paths = (path for path in folder.glob("??/*") if path.is_file() and not path.is_symlink())
    names = (path.relative_to(folder).as_posix() for path in paths)
    return _count(copy, (name for name in names if KEY.fullmatch(name)), progress or Progress())


def _count(copy: Callable[[str], bool], keys: Iterable[str], progress: Progress) -> int:
    """Copy each key, several at once, and return for how many that was needed."""
    copied = 0
    remaining = iter(keys)
    progress.begin(0, "files of images")
    with ThreadPoolExecutor(COPIES_AT_ONCE) as pool:
        while batch := list(islice(remaining, _BATCH)):
            copied += sum(pool.map(copy, batch))
            progress.advance(len(batch))
    progress.end()
    return copied


def main() -> int:
    """Copy, and print how many files that were. Return 2 when it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m gig_service.media.copies", description=__doc__.split(": ", 1)[1])
    direction = parser.add_mutually_exclusive_group(required=True)
    direction.add_argument("--to", type=Path, metavar="FOLDER", help="copy the files that this folder lacks into it")
    direction.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="store the files of this folder")
    parser.add_argument("--known", type=Path, metavar="FOLDER", help="link files from this folder where it has them")
    options = parser.parse_args()
    settings = load(MediaSettings)
    try:
        storage = storage_from(settings)
        if options.to:
            copied = copy_to(options.to, storage, options.known, ShownProgress())
        else:
            copied = copy_from(options.source, storage, ShownProgress())
    except (Unavailable, OSError) as error:
        print(f"The files of images cannot be copied: {error.__cause__ or error}", file=sys.stderr)
        return 2
    print(f"{copied:,} files of images copied")
    return 0


if __name__ == "__main__":
    sys.exit(main())
