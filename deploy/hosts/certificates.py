"""The certificates of the parts on every host: `python -m deploy.hosts.certificates`.

`make INVENTORY FOLDER` writes FOLDER/<host>/tls, with a folder for each identity. FOLDER/authority signs them, and its
key stays there. Another run replaces the certificates of which less than half of the lifetime is left.

`install FROM TO` runs on a host. It puts the files of each identity in place at once, so that no process sees a new
certificate beside an old key. Nothing is restarted for it.
"""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from pathlib import Path

from deploy.hosts.inventory import Inventory, load
from deploy.local.internal_tls import IDENTITIES, files_of, is_good, load_authority, new_files, store
from servicekit.internal_tls import Credentials, InternalTlsError, read

LIFETIME = timedelta(days=90)


def make(inventory: Inventory, folder: Path, lifetime: timedelta = LIFETIME) -> list[Path]:
    """Make the certificates that are missing or end soon; return their folders. Raises OSError and InternalTlsError."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, trusted = load_authority(folder / "authority")
    made = []
    for host in inventory.hosts:
        of_host = folder / host.name / "tls"
        of_host.mkdir(mode=0o700, parents=True, exist_ok=True)
        for identity in IDENTITIES:
            target = of_host / identity
            if not is_good(_present(target, identity), authority, trusted, lifetime / 2):
                store(target, new_files(identity, authority, trusted, lifetime))
                made.append(target)
    return made


def install(source: Path, target: Path) -> list[Path]:
    """Put the files of all identities in place, after all were read; return the folders that have changed.

    Raises OSError and InternalTlsError.
    """
    given = {identity: read(source / identity, identity) for identity in IDENTITIES}
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    installed = []
    for identity, credentials in given.items():
        present = _present(target / identity, identity)
        if present is None or files_of(present) != files_of(credentials):
            store(target / identity, files_of(credentials))
            installed.append(target / identity)
    return installed


def _present(folder: Path, identity: str) -> Credentials | None:
    try:
        return read(folder, identity)
    except InternalTlsError:
        return None


def main() -> None:
    """Run a command and name the folders that it has written. Ends with status 2 when a file cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m deploy.hosts.certificates", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="make the certificates of all hosts")
    making.add_argument("inventory", type=Path)
    making.add_argument("folder", type=Path)
    making.add_argument("--days", type=int, default=LIFETIME.days, help=f"their lifetime (default {LIFETIME.days})")
    installing = commands.add_parser("install", help="put the certificates of this host in place")
    installing.add_argument("source", type=Path)
    installing.add_argument("target", type=Path)
    given = parser.parse_args()
    try:
        if given.command == "make":
            written = make(load(given.inventory), given.folder, timedelta(days=given.days))
        else:
            written = install(given.source, given.target)
    except (OSError, ValueError, InternalTlsError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    for folder in written:
        print(folder)


if __name__ == "__main__":
    main()
