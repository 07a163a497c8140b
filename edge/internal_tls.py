"""Envoy's side of TLS with the services: its own certificate, and the identity that each cluster's workers must have.

Envoy reads the files themselves, again when a file is moved into their folder. The two files that are written here only
name them: Envoy reads files again only for a secret that comes by SDS, and SDS by a file has one secret in each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.settings import EdgeSettings
from servicekit.internal_tls import AUTHORITIES, CERTIFICATE, EDGE, PRIVATE_KEY, spiffe_id

# The names of the secrets, and of their files.
_CERTIFICATE, _AUTHORITIES = "internal_certificate", "internal_authorities"
_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105  # a type

# The identities of clusters that are called otherwise.
IDENTITIES: Mapping[str, str] = {"event": "order-events", "file": "order-events", "image": "gig-images"}


@dataclass(frozen=True)
class InternalTls:
    """What the template needs: the names of both secrets, and their files."""

    certificate: str
    certificate_file: str
    authorities: str
    authorities_file: str

    @staticmethod
    def server(cluster: str) -> str:
        """Return the URI that the certificates of a cluster's workers must have."""
        return spiffe_id(IDENTITIES.get(cluster, cluster))


def for_envoy(settings: EdgeSettings, files: Path | None) -> InternalTls | None:
    """Return the values of the template; None with INTERNAL_TLS=off. Raises ValueError without a folder for files."""
    if settings.internal_tls == "off":
        return None
    if files is None:
        raise ValueError("INTERNAL_TLS: Envoy reads files of its own; name a folder for them with --files")
    return InternalTls(_CERTIFICATE, _file(files, _CERTIFICATE), _AUTHORITIES, _file(files, _AUTHORITIES))


def write_secrets(settings: EdgeSettings, files: Path) -> None:
    """Write both files, which contain no secret. Raises OSError."""
    if settings.internal_tls == "off" or settings.internal_tls_folder is None:
        return
    folder = settings.internal_tls_folder / EDGE
    watched = {"path": str(folder)}
    secrets = {
        _CERTIFICATE: {
            "tls_certificate": {
                "certificate_chain": {"filename": str(folder / CERTIFICATE)},
                "private_key": {"filename": str(folder / PRIVATE_KEY)},
                "watched_directory": watched,
            }
        },
        _AUTHORITIES: {
            "validation_context": {
                "trusted_ca": {"filename": str(folder / AUTHORITIES)},
                "watched_directory": watched,
            }
        },
    }
    for name, secret in secrets.items():
        file = Path(_file(files, name))
        file.write_text(json.dumps({"resources": [{"@type": _SECRET, "name": name, **secret}]}))
        file.chmod(0o644)


def _file(files: Path, name: str) -> str:
    return str(files / f"{name}.json")
