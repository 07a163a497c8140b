"""The whole stack as `make run` starts it, on a port and in a folder of its own."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from deploy.local.layout import Layout
from deploy.local.ports import Ports
from edge import tokens

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
STOP_SECONDS = 10


def a_free_port() -> int:
    """A `PORT` whose whole block is free."""
    while True:
        ports = Ports(random.randrange(20_000, 30_000))
        if not ports.collides_with_itself and all(_is_free(port) for port in (ports.edge, *ports.block)):
            return ports.edge


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Stack:
    """One stack. Its clients are made by `client`, its users by `token`."""

    def __init__(self, data_dir: Path | None = None, port: int | None = None, **environment: str) -> None:
        self._folder = None if data_dir else tempfile.TemporaryDirectory(prefix="mkt-")
        if self._folder:
            # Passable for the uid that PostgreSQL gets under root.
            Path(self._folder.name).chmod(0o711)
        self.data_dir = data_dir or Path(str(self._folder and self._folder.name)) / "data"
        self.ports = Ports(port or a_free_port())
        self.url = f"http://127.0.0.1:{self.ports.edge}"
        self.layout = Layout.of(self.data_dir)
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.output = self.data_dir.parent / "output.log"

    def start(self) -> Stack:
        """Starts it and waits until it says that it is up."""
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
            "PORT": str(self.ports.edge),
            "DATA_DIR": str(self.data_dir),
            **self._environment,
        }
        self.output.touch()
        before = len(self.output.read_text())
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local", "run"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while "The marketplace is up" not in self.output.read_text()[before:]:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(self.output.read_text())
            time.sleep(0.05)
        return self

    def signal(self, number: int) -> None:
        """Sends a signal to the foreground process."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Waits for the foreground process to end; its status."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> None:
        """Stops it as Ctrl-C does, and removes its folder."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.wait(STOP_SECONDS + 5)
            finally:
                if self._process.poll() is None:
                    self._process.kill()
        if self._folder:
            self._folder.cleanup()

    def supervisor(self) -> psutil.Process:
        """The foreground process."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def processes(self) -> dict[str, psutil.Process]:
        """What runs below the supervisors, by a name that stays the same over restarts."""
        found: dict[str, psutil.Process] = {}
        for process in self.supervisor().children(recursive=True):
            try:
                name = _name_of(process)
            except psutil.Error:
                continue
            if name:
                found.setdefault(name, process)
        return found

    def token(self, name: str, *roles: str) -> str:
        """A local user's token."""
        return tokens.mint(self.data_dir, name, roles)

    def raw(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Sends bytes that no client library would, and reads the answer to the end: status, headers, body."""
        with socket.create_connection(("127.0.0.1", self.ports.edge), timeout=10) as connection:
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        return int(first.split()[1]), headers, body

    def client(self, name: str = "", *roles: str, **options: Any) -> httpx.Client:
        """An HTTP client of the edge, signed in where a name is given."""
        headers = {"authorization": f"Bearer {self.token(name, *roles)}"} if name else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=15, **options)


def _name_of(process: psutil.Process) -> str:
    """`gig-0`, `envoy`, `postmaster`, `backend`, or empty for what is none of the stack's parts."""
    command = process.cmdline()
    worker = process.environ().get("WORKER", "") if "_service" in " ".join(command) else ""
    if worker:
        return worker
    if process.name() == "envoy":
        return "envoy"
    if process.name() == "postgres":
        title = " ".join(command)
        if not title.startswith("postgres:"):
            return "postmaster"
        database = [part for part in title.split() if part in ("gigs", "orders", "reviews")]
        return f"backend of {database[0]}" if database else ""
    return ""
