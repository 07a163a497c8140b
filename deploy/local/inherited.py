"""The variables that the processes of the stack get from the environment of `make run`."""

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# All of them are patterns.
GENERAL = ("PATH", "HOME", "LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR", "TMPDIR", "MALLOC_*", "GLIBC_TUNABLES", "LD_*")
PYTHON = (*GENERAL, "PYTHON*")
SERVICE = (*PYTHON, "GRPC_*")
# The certificates to check others with: receivers of webhooks are called without a proxy.
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
# A process that asks other systems over HTTP: proxies, and the certificates to check them with.
HTTP = (
    *(f"{scheme}_proxy" for scheme in ("http", "https", "all", "no")),
    *(f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "ALL", "NO")),
    *(*CERTIFICATES, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
S3 = ("AWS_*", "BOTO_CONFIG")
LIBPQ = ("PG*",)

PYTHON_PATHS = {
    "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "generated"))),
    # Keep `python -m` from importing modules of DATA_DIR, the current folder.
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
}


def of_python(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of supervisord and of PostgreSQL's launcher, which have no settings in it."""
    return matching(inherited, PYTHON) | PYTHON_PATHS


def matching(variables: Mapping[str, str], patterns: tuple[str, ...]) -> dict[str, str]:
    """Return the variables that match one of the patterns."""
    return {name: value for name, value in variables.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}
