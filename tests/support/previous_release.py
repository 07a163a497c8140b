"""The services of the previous release, beside those of a running stack and on its databases.

Which commit that was, git says: the newest tag `v…` before this commit. A repository without tags has no release yet;
then it is the commit before the migrations that are the newest ones of their services.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.stack import ROOT, Stack

SERVICES = ("gig", "order", "review")
START_SECONDS = 120.0


def _git(*words: str) -> str:
    """Return what git says; an empty text when it fails."""
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def previous_release() -> str:
    """Return the commit of the previous release; an empty text where the history is not there."""
    if tag := _git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^"):
        return _git("rev-parse", f"{tag}^{{commit}}")
    # In a clone that is cut off, git takes the oldest commit for the one that added all files.
    if _git("rev-parse", "--is-shallow-repository") != "false":
        return ""
    newest = [max((ROOT / f"{service}_service" / "migrations").glob("0*.py")) for service in SERVICES]
    added = [_git("log", "-1", "--format=%ct %H", "--diff-filter=A", "--", str(each)) for each in newest]
    # A migration that is not committed yet is newer than all.
    first = min((each for each in added if each), default="")
    return _git("rev-parse", f"{first.split()[1]}^") if first else ""


def unpack(commit: str, folder: Path) -> Path:
    """Write the files of a commit to a folder, and return it."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@contextmanager
def workers_of(code: Path, stack: Stack, services: Sequence[str] = SERVICES) -> Iterator[None]:
    """Run a worker of each service, with this code, where the stack's spare ones would be: Envoy sends it requests."""
    spares = stack.ports.spares(dict.fromkeys(SERVICES, stack.workers))
    with ExitStack() as ending:
        for service in services:
            ending.enter_context(_worker(code, stack, service, spares[f"{service}-spare"]))
        yield


@contextmanager
def _worker(code: Path, stack: Stack, service: str, port: int) -> Iterator[None]:
    # An older version may need settings that the service has no more: those of the others are there.
    environment: dict[str, str] = {}
    for name in (*SERVICES, service):
        environment |= json.loads((stack.layout.environments / f"{name}-spare.json").read_text())
    environment["PYTHONPATH"] = os.pathsep.join((str(code), str(code / "generated")))
    log = stack.layout.log(f"{service}-previous")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"{service}_service"],
            cwd=stack.data_dir,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:

        def is_healthy() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{service} of the previous release ended:\n{log.read_text()[-3000:]}")
            return port in stack.healthy_ports()

        eventually(is_healthy, START_SECONDS, every=0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
