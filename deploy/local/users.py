"""The users under which the processes run when root starts the stack. They have numbers and need no names.

| process | uid | reads and writes |
|---|---|---|
| gig workers, gig-images | 65530 | `media/`, `uploads/` |
| decoders of gig-images | 65529 | nothing |
| order workers, order-events | 65531 | `files/`, `file-uploads/` |
| review workers | 65532 | nothing |
| receiver of traces | 65528 | nothing |
| Envoy | 65533 | reads `media/`, `keys/*.jwks.json` and `run/edge/` |
| PostgreSQL | 65534 | `postgres/` and the folder of WAL_ARCHIVE |

Services have uids of their own, because a process can read the memory of others with its uid: OrderService's workers
have the keys of the payment provider. One gid lets all of them reach PostgreSQL's socket. The numbers are below 65536,
which containers in a user namespace have. A folder that belongs to an ordinary user already, because that user started
the stack before, keeps its owner, and its process gets that uid.
"""

import os
from pathlib import Path

from deploy.local.layout import SERVICES_GID, Layout
from deploy.local.privileges import CAP_NET_BIND_SERVICE, Identity
from edge import signing_keys

SERVICE_UIDS = {"gig": 65530, "order": 65531, "review": 65532}
_DECODER = Identity(65529, 65529)
_TRACES = Identity(65528, 65528)
_ENVOY_ID = 65533


def service_identity(layout: Layout, service: str) -> Identity | None:
    """Return the identity of a service's processes; `None`: they keep the user who starts the stack."""
    if os.geteuid() != 0:
        return None
    folder = {"gig": layout.media, "order": layout.files}.get(service)
    owner = folder.stat().st_uid if folder is not None and folder.exists() else 0
    return Identity(owner or SERVICE_UIDS[service], SERVICES_GID)


def give_folders(layout: Layout) -> None:
    """Make the keys and, under root, give each process the folders that it uses. Raises OSError and ValueError."""
    signing_keys.user_key(layout.data_dir)
    signing_keys.service_key(layout.data_dir)
    signing_keys.webhook_keys(layout.data_dir)
    gig, order = service_identity(layout, "gig"), service_identity(layout, "order")
    if gig and order:
        layout.give_to_services(gig.uid, order.uid)


def decoder_identity() -> Identity | None:
    """Return the identity of the processes that decode pictures; `None`: they keep the user who starts the stack."""
    return _DECODER if os.geteuid() == 0 else None


def traces_identity() -> Identity | None:
    """Return the identity of the receiver of traces; `None`: it keeps the user who starts the stack."""
    return _TRACES if os.geteuid() == 0 else None


def edge_identity(port: int) -> Identity | None:
    """Return the identity of Envoy, which may need a capability to listen on a port below 1024; `None`: the user's."""
    if os.geteuid() != 0:
        return None
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):
        first = 1024
    return Identity(_ENVOY_ID, _ENVOY_ID, CAP_NET_BIND_SERVICE if port < first else None)
