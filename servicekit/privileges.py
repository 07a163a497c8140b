"""The privileges of a process: a process that root starts gives them up once it has read what only root can read.

Programs and data often lie below a folder that only root may enter, such as `/root`. So paths are opened before the
change of uid, and a process reaches the rest through its descriptors: it may still import a module afterwards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from servicekit import linux

# Folders that the new uid cannot reach, and a path to each that it can.
_moved: dict[str, str] = {}
# The names of variables that are paths, by module, as `note_paths` found them.
_noted: dict[str, tuple[str, ...]] = {}


def drop(run_as: str) -> None:
    """Give up root for good: change to `run_as` (`uid:gid`), with no groups and no capabilities. Raises OSError.

    Without root the uid stays. In both cases no program that the process executes can gain privileges. Modules can
    still be imported, and the parent-death signal stays set.
    """
    if os.geteuid() == 0:
        uid, gid = (int(part) for part in run_as.split(":"))
        parent, number = os.getppid(), linux.parent_death_signal()
        folders = _open_folders(sys.path)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        # The kernel clears all capabilities with this change, and the parent-death signal.
        os.setresuid(uid, uid, uid)
        if number:
            set_parent_death_signal(parent, number)
        _move_modules(folders)
        # Libraries take a home that they may not enter for an error.
        if not os.access(os.environ.get("HOME", "/"), os.X_OK):
            os.environ["HOME"] = "/nonexistent"
    forbid_new()


def forbid_new() -> None:
    """Set `no_new_privs` for this process and its children. Raises OSError."""
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)


def set_parent_death_signal(parent: int, number: int) -> None:
    """Have the kernel send a signal to this process when its parent dies; exit when the parent is dead already.

    The setting survives exec, but not a change of uid. Raises OSError.
    """
    linux.prctl(linux.PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        sys.exit(f"process {parent}, which started this one, has ended")


def reachable(path: Path) -> Path:
    """Return a path to a file of the program that this process can read after `drop`."""
    for folder, moved in _moved.items():
        if path.is_relative_to(folder):
            return Path(moved) / path.relative_to(folder)
    return path


def paths_of_modules() -> dict[str, tuple[str, ...]]:
    """Return the names of the variables that are paths, for each module that is loaded."""
    return {name: _paths_of(module) for name, module in list(sys.modules.items())}


def note_paths(noted: dict[str, tuple[str, ...]]) -> None:
    """Have `drop` trust this result of `paths_of_modules`, from before a fork, for the modules in it.

    Reading a variable writes into its object's count of references, and a page that is written to is no longer shared
    with the parent: to read the variables of all modules cost each process 15 MB.
    """
    _noted.update(noted)


def _paths_of(module: ModuleType) -> tuple[str, ...]:
    found = [name for name, value in list(vars(module).items()) if isinstance(value, str) and value.startswith("/")]
    has_folders = isinstance(getattr(module, "__path__", None), list)
    return (*found, *(["__path__"] if has_folders else []))


def _open_folders(paths: Iterable[str]) -> dict[str, int]:
    """Open the folders among the paths. Programs that the process executes do not inherit them."""
    return {path: os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in paths if path and Path(path).is_dir()}


def _move_modules(folders: dict[str, int]) -> None:
    """Have imports read folders that this process cannot reach through their descriptors; close the others."""
    for folder, descriptor in folders.items():
        if os.access(folder, os.R_OK | os.X_OK):
            os.close(descriptor)
        else:
            _moved[folder] = f"/proc/self/fd/{descriptor}"
    if not _moved:
        return
    sys.path[:] = [_reachable_text(path) for path in sys.path]
    for name, module in list(sys.modules.items()):
        for variable in _noted[name] if name in _noted else _paths_of(module):
            value = getattr(module, variable)
            if variable == "__path__":
                # A namespace package computes its path from that of its parent.
                value[:] = [_reachable_text(path) for path in value]
            else:
                # Paths of files that libraries read later, such as certificates.
                setattr(module, variable, _reachable_text(value))


def _reachable_text(path: str) -> str:
    return str(reachable(Path(path))) if path.startswith(tuple(_moved)) else path
