"""A decoder has open files and nothing else, whatever code runs in it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import landlockpy
import psutil
import pytest
import seccompy

from tests.support import pictures
from tests.support.decoder_pool import a_decoder_pool, decode, decoders_of, only_decoder, status_mask
from tests.support.eventually import eventually

# Python says ValueError for a limit that may not be raised.
REFUSED = ("PermissionError", "EPERM", "EACCES", "BlockingIOError", "ValueError")
CONFINED = """
import ctypes, errno, json, mmap, os, signal, socket, subprocess, sys
import tests.images.attempts
from gig_service.images import confinement

parent = int(sys.argv[1])
confinement.prepare()
missing = confinement.confine(confinement.Limits(1024, 100, 65533, 65533), parent)
json.dump({"missing": missing, "results": tests.images.attempts.attempt(sys.argv[2])}, sys.stdout)
"""


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the results of a confined process's attempts by name: an error's name, or what it got."""
    public = tmp_path_factory.mktemp("public")
    public.chmod(0o777)
    (public / "file").write_text("for everyone")
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "STRIPE_API_KEY": "secret"}
    command = [sys.executable, "-c", CONFINED, str(os.getpid()), str(public)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_what_this_machine_has_is_used(attempts: dict[str, Any]) -> None:
    missing = attempts["missing"]

    assert ("seccomp" in missing) is not seccompy.supported()
    assert ("landlock" in missing) is not landlockpy.supported()


@pytest.mark.parametrize(
    "name",
    [
        "read /etc/passwd",
        "read a file for everyone",
        "list a folder",
        "write a file",
        "open a socket",
        "open a Unix socket",
        "execute a program",
        "fork",
        "signal the parent",
        "trace the parent",
        "read the parent's memory",
        "unshare a user namespace",
        "become root",
        "mount",
        "more processor time",
        "a device",
        "the key ring",
        "io_uring",
        "bpf",
    ],
)
def test_a_decoder_cannot(name: str, attempts: dict[str, Any]) -> None:
    assert attempts["results"][name] in REFUSED, attempts["results"]


def test_a_decoder_can_still_work_with_memory(attempts: dict[str, Any]) -> None:
    assert attempts["results"]["memory"] == 2**24


def test_a_decoder_of_the_pool_has_nothing_of_its_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIG_DATABASE_URL", "postgres://secret")

    async def story() -> None:
        async with a_decoder_pool() as pool:
            await decode(pool, tmp_path, pictures.a_jpeg())
            decoder = only_decoder()

            assert Path(f"/proc/{decoder.pid}/environ").read_bytes() == b""
            assert Path(f"/proc/{decoder.parent().pid}/environ").read_bytes() == b""  # type: ignore[union-attr]
            for field in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                assert status_mask(decoder.pid, field) == 0
            assert status_mask(decoder.pid, "NoNewPrivs") == 1
            assert status_mask(decoder.pid, "Seccomp") == (2 if seccompy.supported() else 0)
            files = [file.readlink().as_posix() for file in Path(f"/proc/{decoder.pid}/fd").iterdir()]
            assert sorted(name.split(":")[0] for name in files) == ["/dev/null"] * 3 + ["socket"]
            if os.geteuid() == 0:
                assert set(decoder.uids()) == {65533}
                assert set(decoder.gids()) == {65533}
                ours = Path("/proc/self/ns/net").readlink()
                assert Path(f"/proc/{decoder.pid}/ns/net").readlink() != ours

    asyncio.run(story())


def test_the_keeper_and_its_decoders_end_together(tmp_path: Path) -> None:
    lost = []

    async def story() -> None:
        async with a_decoder_pool(decoders=2, on_lost=lambda: lost.append(True)) as pool:
            await decode(pool, tmp_path, pictures.a_jpeg())
            decoders = decoders_of(os.getpid())
            keeper = decoders[0].parent()
            assert keeper is not None

            keeper.send_signal(signal.SIGKILL)

            await asyncio.to_thread(eventually, lambda: not any(map(psutil.Process.is_running, decoders)))
            for _ in range(2):
                with pytest.raises(Exception, match="UNAVAILABLE"):
                    await decode(pool, tmp_path, pictures.a_jpeg())

    asyncio.run(story())
    assert lost


PROGRAM = """
import asyncio, os, sys
from pathlib import Path
import tests.support.pictures, tests.support.decoder_pool as support

async def main():
    async with support.a_decoder_pool() as pool:
        await support.decode(pool, Path(sys.argv[1]), tests.support.pictures.a_png(), "image/png")
        pid = support.only_decoder().pid
        masks = [support.status_mask(pid, field) for field in ("CapEff", "NoNewPrivs", "Seccomp")]
        print(os.geteuid(), masks)

asyncio.run(main())
"""


def test_without_root_a_decoder_is_confined_as_well(tmp_path: Path) -> None:
    # The files of root, but none of its rights.
    ordinary = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"] if os.geteuid() == 0 else []
    if ordinary and subprocess.run([*ordinary, "true"], capture_output=True).returncode:
        pytest.skip("this machine forbids user namespaces")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [*ordinary, sys.executable, "-c", PROGRAM, str(tmp_path)]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    uid = 1000 if ordinary else os.geteuid()
    assert done.stdout.splitlines()[-1] == f"{uid} [0, 1, {2 if seccompy.supported() else 0}]", done.stderr
