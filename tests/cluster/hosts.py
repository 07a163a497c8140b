"""Three hosts with the rendered files of `deploy/hosts`, each in a network namespace.

In place of systemd a thread starts each program again a second after it has ended. In place of S3 all hosts have one
folder of images.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
from cryptography.fernet import Fernet

from deploy.hosts import certificates
from deploy.hosts.inventory import Host, Inventory
from deploy.hosts.programs import Program, postgres_folder, programs
from deploy.hosts.render import write
from deploy.local.privileges import UNPRIVILEGED_ID, identity_reaching
from deploy.local.supervise import launched
from edge import signing_keys, tokens
from tests.cluster.network import NETWORK, OWN_ADDRESS, PREFIX, Network, namespace
from tests.support.eventually import eventually
from tests.support.stack import UNLIMITED_WRITES

ROOT = Path(__file__).resolve().parents[2]
RESTART_SECONDS = 1.0
START_SECONDS = 180
# The timeline, and twice a part of the position, in eight hexadecimal digits each.
WAL_NAME_LENGTH = 24
NAMES = ("one", "two", "three")


def inventory_of(folder: Path, host: str) -> Inventory:
    """Return the inventory of the simulated hosts, with the paths of one of them."""
    return Inventory.model_validate(
        {
            "hosts": [{"name": name, "address": f"{PREFIX}.{11 + index}"} for index, name in enumerate(NAMES)],
            "network": NETWORK,
            "code": ROOT,
            "etc": folder / "etc" / host,
            "state": folder / "state" / host,
            "keys": folder / "keys",
            "certificates": folder / "tls" / host,
            "public_url": f"http://{OWN_ADDRESS}:8080",
            "database_password": _secret(folder, "database"),
            "replication_password": _secret(folder, "replication"),
            "webhook_keys": _secret(folder, "webhooks", lambda: Fernet.generate_key().decode()),
            "payments": "sandbox",
            "media": {
                "MEDIA_STORAGE": "folder",
                "MEDIA_DIR": str(folder / "media"),
                "FILES_DIR": str(folder / "files"),
            },
            "more": {
                **UNLIMITED_WRITES,
                "EDGE_CACHE": "off",
                # One machine has the work of three hosts.
                "EDGE_LATE_SECONDS": "0",
                "WEBHOOK_ALLOW_PRIVATE": "true",
            },
        }
    )


def _secret(folder: Path, name: str, make: Any = secrets.token_urlsafe) -> str:
    file = folder / f"{name}.secret"
    if not file.exists():
        file.write_text(make())
    return file.read_text()


def _is_running(pid: int) -> bool:
    """Return whether a process is there and not a zombie; it may end at any moment."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class SimulatedHost:
    """One host: its programs run in its namespace until they are killed with it."""

    def __init__(self, folder: Path, host: Host) -> None:
        self.name = host.name
        self.address = str(host.address)
        self._inventory = inventory_of(folder, host.name)
        self._programs = programs(self._inventory, host)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.logs = self._inventory.state / "logs"

    def start(self) -> None:
        """Start all programs, and start each again when it ends."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep, args=(program, self._stopping), daemon=True)
            for program in self._programs
        ]
        for thread in self._threads:
            thread.start()

    def kill(self) -> None:
        """Kill all processes of the host at once, as a loss of power does."""
        self._stopping.set()
        space = namespace(self.name)
        # A program that is just being started may come a moment later.
        while any(thread.is_alive() for thread in self._threads) or self._pids(space):
            for pid in self._pids(space):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.02)

    def empty_wal(self) -> None:
        """Empty the files of the WAL, as a pg_rewind leaves them that is interrupted."""
        for file in (self._inventory.state / "postgres" / "pg_wal").iterdir():
            if len(file.name) == WAL_NAME_LENGTH:
                os.truncate(file, 0)

    def _pids(self, space: str) -> list[int]:
        listed = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True).stdout.split()
        return [pid for pid in map(int, listed) if _is_running(pid)]

    def _keep(self, program: Program, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                if not program.before or self._popen(program, program.before).wait() == 0:
                    if stopping.is_set():
                        return
                    self._popen(program, program.command).wait()
            except (OSError, subprocess.SubprocessError) as error:
                (self.logs / f"{program.name}.log").open("a").write(f"{error}\n")
            stopping.wait(RESTART_SECONDS)

    def _popen(self, program: Program, command: list[str]) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", **program.environment}
        with (self.logs / f"{program.name}.log").open("ab") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", namespace(self.name), *self._as(program, command)],
                cwd=self._inventory.state,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running[program.name] = process
        return process

    def _as(self, program: Program, command: list[str]) -> list[str]:
        """Return the command under the program's user: PostgreSQL and etcd do not run as root."""
        if not program.user:
            return launched("SIGTERM", command)
        paths = [ROOT, Path(command[0]).resolve(), Path(postgres_folder()), self._inventory.state]
        identity = identity_reaching(UNPRIVILEGED_ID, UNPRIVILEGED_ID, paths)
        return launched("SIGTERM", ["--run-as", str(identity), *command])


class Cluster:
    """The three hosts, and clients that know the addresses of all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("media", "files"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            # Of the user that the services become.
            os.chown(folder / name, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        for name in NAMES:
            state = folder / "state" / name
            state.mkdir(parents=True, exist_ok=True)
            os.chown(state, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
            write(inventory_of(folder, name), folder / "rendered" / name)
            etc = folder / "etc" / name
            etc.parent.mkdir(exist_ok=True)
            if not etc.exists():
                etc.symlink_to(folder / "rendered" / name / name)
            for file in etc.iterdir():
                os.chown(file, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
            self._install_certificates(name)
        signing_keys.user_key(folder)
        signing_keys.service_key(folder)
        # The services read the public keys after they have given up root.
        (folder / "keys").chmod(0o755)
        inventory = inventory_of(folder, NAMES[0])
        self.hosts = {host.name: SimulatedHost(folder, host) for host in inventory.hosts}
        self.network = Network({host.name: str(host.address) for host in inventory.hosts})
        self._inventory = inventory

    def _install_certificates(self, name: str) -> None:
        """Make and install the certificates of a host, as an operator does."""
        inventory = inventory_of(self.folder, name)
        certificates.make(inventory, self.folder / "certificates")
        (self.folder / "tls").mkdir(exist_ok=True)
        certificates.install(self.folder / "certificates" / name / "tls", inventory.certificates)

    def start(self) -> None:
        """Start the network and all hosts, and wait until each of them answers reads and writes."""
        self.network.start()
        for host in self.hosts.values():
            host.start()
        eventually(lambda: all(map(self.is_back, self.hosts)), START_SECONDS, every=0.5)

    def stop(self) -> None:
        """Kill all hosts, and remove the network."""
        for host in self.hosts.values():
            host.kill()
        self.network.stop()

    def kill(self, name: str) -> None:
        """Kill a host."""
        self.hosts[name].kill()

    def url(self, name: str) -> str:
        """Return the URL of a host's edge."""
        return f"http://{self.hosts[name].address}:{self._inventory.port}"

    def database_url(self, service: str) -> str:
        """Return the URL of a database, with all hosts."""
        return self._inventory.database_url(service)

    def token(self, name: str, *roles: str) -> str:
        """Return an access token."""
        return tokens.mint(self.folder, name, roles, 7200)

    def members(self, but: str = "") -> dict[str, dict[str, Any]]:
        """Return what Patroni says of each host, as another host than `but` knows it; empty when none answers.

        A host that has just come back still knows what was true before.
        """
        for host in self.hosts.values():
            if host.name == but:
                continue
            try:
                found = httpx.get(f"http://{host.address}:8008/cluster", timeout=1, trust_env=False).json()["members"]
            except (httpx.HTTPError, ValueError, KeyError):
                continue
            return {each["name"]: each for each in found}
        return {}

    def primary(self, but: str = "") -> str | None:
        """Return the name of the host with the primary, as another host than `but` knows it."""
        return next((name for name, each in self.members(but).items() if each["role"] == "leader"), None)

    def is_back(self, name: str) -> bool:
        """Return whether a host has its place: its edge answers reads, and its PostgreSQL leads, or confirms writes."""
        members = self.members(but=name)
        leader = next((each for each in members.values() if each["role"] == "leader"), {})
        member = members.get(name, {})
        expected = ("leader", "running") if member is leader else ("quorum_standby", "streaming")
        # A host that was cut off follows its old timeline until its data is rewound.
        if (member.get("role"), member.get("state")) != expected or member.get("timeline", 0) != leader.get("timeline"):
            return False
        try:
            own = httpx.get(f"http://{self.hosts[name].address}:8008/patroni", timeout=2, trust_env=False).json()
            if (own["role"] == "primary") != (member is leader):
                return False
            return httpx.get(f"{self.url(name)}/api/gigs", timeout=2, trust_env=False).status_code == 200
        except (httpx.HTTPError, ValueError, KeyError):
            return False
