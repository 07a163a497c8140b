"""Copies of files that only root may read, for processes that read them as another user.

A service's libraries read certificates, S3's credentials and PostgreSQL's passwords from files that variables name, or
that lie below HOME. Such a file is often root's alone.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from deploy.local.layout import Layout
from deploy.local.privileges import Identity, can

# Variables that name a file, and the file below HOME that is read without the variable.
_FILES: Mapping[str, str | None] = {
    "SSL_CERT_FILE": None,
    "REQUESTS_CA_BUNDLE": None,
    "CURL_CA_BUNDLE": None,
    "AWS_CA_BUNDLE": None,
    "AWS_CONFIG_FILE": ".aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials",
    "PGPASSFILE": ".pgpass",
    "PGSERVICEFILE": ".pg_service.conf",
    "PGSSLROOTCERT": ".postgresql/root.crt",
    "PGSSLCERT": ".postgresql/postgresql.crt",
    "PGSSLKEY": ".postgresql/postgresql.key",
}


def lend(layout: Layout, name: str, environment: Mapping[str, str], libraries: tuple[str, ...]) -> dict[str, str]:
    """Return the environment of a process of root's, with copies in place of files that its user cannot read.

    `libraries` has a prefix for each library that looks below HOME, such as `AWS_`. A copy is as old as the start of
    the stack, and only the process can read it. Raises OSError.
    """
    identity = Identity.parse(environment["RUN_AS"])
    changed = dict(environment)
    for variable, default in _FILES.items():
        source = _source(environment, variable, default if variable.startswith(libraries) else None)
        if source is None or not source.is_file() or can(identity, partial(os.access, source, os.R_OK)):
            continue
        # The folders stay root's: a process cannot put anything in the way of the next start.
        folder = layout.lent_files / name
        for each in (layout.lent_files, folder):
            each.mkdir(exist_ok=True)
            each.chmod(0o711)
        copy = folder / variable
        layout.write_private(copy, source.read_text())
        os.chown(copy, identity.uid, identity.gid)
        changed[variable] = str(copy.relative_to(layout.data_dir))
    return changed


def _source(environment: Mapping[str, str], variable: str, default: str | None) -> Path | None:
    if named := environment.get(variable):
        return Path(named)
    return Path(environment.get("HOME", "/")) / default if default else None
