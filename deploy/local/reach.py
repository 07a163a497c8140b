"""The check that the processes of root's, with users of their own, reach what they use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pydantic

from deploy.local.inherited import ROOT
from deploy.local.layout import Layout
from deploy.local.privileges import Identity, can
from deploy.local.settings import StackSettings
from deploy.local.supervise import envoy_program
from deploy.local.users import SERVICE_UIDS, edge_identity, give_folders, service_identity


def users(settings: StackSettings, layout: Layout) -> str:
    """Return the users of the processes in words. Raises OSError with a remedy when one does not reach a file."""
    edge = edge_identity(settings.port)
    if edge is None:
        return f"all processes run under uid {os.geteuid()}"
    give_folders(layout)
    services = [identity for name in SERVICE_UIDS if (identity := service_identity(layout, name))]
    for identity in (*services, edge):
        if not can(identity, lambda: True):
            raise PermissionError(f"root may not change to uid {identity.uid} here. Run the stack as an ordinary user")
    for path, remedy in _needed(settings, layout, services, edge):
        raise PermissionError(f"{path} cannot be read by the users of the processes. {remedy}")
    return f"services under uids {', '.join(str(each.uid) for each in services)}, Envoy under {edge.uid}"


def _needed(
    settings: StackSettings, layout: Layout, services: list[Identity], edge: Identity
) -> Iterator[tuple[Path, str]]:
    """Yield each path that a process does not reach, and the remedy."""
    program = f"Allow it: chmod -R o+rX {ROOT} {Path(pydantic.__file__).parents[1]}"
    for path in (Path(__file__), Path(pydantic.__file__), envoy_program()):
        # Folders above are no obstacle: they are opened before the change of user.
        mode = path.stat().st_mode
        if not mode & 0o004 or (mode & 0o100 and not mode & 0o001):
            yield path, program
    jwks = settings.user_jwks
    if jwks and "://" not in jwks:
        path = Path(jwks).absolute()
        if not path.is_relative_to(layout.data_dir) and not all(
            can(each, lambda: os.access(path, os.R_OK)) for each in (*services, edge)
        ):
            yield path, f"Copy it to {layout.data_dir}/keys, or allow it: chmod o+r, and o+x for the folders above"
    sockets = layout.sockets  # depends on the current user
    if not all(can(each, lambda: os.access(sockets, os.X_OK)) for each in services):
        yield sockets, "Choose another folder for temporary files (TMPDIR), or move DATA_DIR"
