"""Hosts made of network namespaces, on one bridge, and cuts between them and all others.

As a program it says why this machine cannot have them, with status 1, or nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NEEDED = {"etcd": "etcd-server", "nft": "nftables", "ip": "iproute2"}
PREFIX = "10.213.77"
BRIDGE = "mktcluster"
OWN_ADDRESS = f"{PREFIX}.1"
NETWORK = f"{PREFIX}.0/24"
TABLE = "mktcluster"
# What the hosts are made of, with the commands that make and remove one.
TRIED = (
    ("network namespaces", "ip netns add mktc-try", "ip netns del mktc-try"),
    ("bridges", "ip link add mktc-try type bridge", "ip link del mktc-try"),
    ("tables of nftables", "nft add table bridge mktc-try", "nft delete table bridge mktc-try"),
)


def reason_against() -> str:
    """Return why this machine cannot have the hosts, with the remedy; empty when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root: run it as root"
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} is missing: apt-get install {' '.join(missing)}"
    for kind, add, remove in TRIED:
        tried = subprocess.run(add.split(), capture_output=True, text=True)
        if tried.returncode:
            return f"{kind} cannot be made here: {tried.stderr.strip()}"
        _run(*remove.split())
    return ""


class Network:
    """The bridge and the namespaces, by the names of the hosts. A cut drops packets; no side gets a reset."""

    def __init__(self, hosts: dict[str, str]) -> None:
        self._hosts = hosts

    def start(self) -> None:
        """Make everything. What a killed run has left is removed first."""
        self.stop()
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "addr", "add", f"{OWN_ADDRESS}/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        for name, address in self._hosts.items():
            space, outside = namespace(name), _outside(name)
            _run("ip", "netns", "add", space)
            _run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space)
            _run("ip", "link", "set", outside, "master", BRIDGE, "up")
            _run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            _run("ip", "-n", space, "link", "set", "eth0", "up")
            _run("ip", "-n", space, "link", "set", "lo", "up")
            _run("ip", "netns", "exec", space, "sysctl", "-qw", "net.ipv4.tcp_retries2=5")
        _run("nft", "add", "table", "bridge", TABLE)
        for hook in ("forward", "input", "output"):
            chain = f"{{ type filter hook {hook} priority 0 ; policy accept ; }}"
            _run("nft", f"add chain bridge {TABLE} {hook} {chain}")

    def stop(self) -> None:
        """Remove everything that is there."""
        _run("nft", "delete", "table", "bridge", TABLE, check=False)
        for name in self._hosts:
            _run("ip", "netns", "del", namespace(name), check=False)
            _run("ip", "link", "del", _outside(name), check=False)
        _run("ip", "link", "del", BRIDGE, check=False)

    def cut(self, name: str) -> None:
        """Drop every packet from and to a host."""
        for hook, sides in (("forward", ("iifname", "oifname")), ("input", ("iifname",)), ("output", ("oifname",))):
            for side in sides:
                _run("nft", "add", "rule", "bridge", TABLE, hook, side, _outside(name), "drop")

    def heal(self) -> None:
        """Let all packets pass again."""
        for hook in ("forward", "input", "output"):
            _run("nft", "flush", "chain", "bridge", TABLE, hook)


def namespace(name: str) -> str:
    """Return the name of a host's network namespace."""
    return f"{BRIDGE}-{name}"


def _outside(name: str) -> str:
    """Return the name of the end of a host's cable at the bridge; Linux takes 15 characters."""
    return f"mktc-{name}"[:15]


def _run(*command: str, check: bool = True) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


if __name__ == "__main__":
    reason = reason_against()
    if reason:
        print(reason)
    sys.exit(1 if reason else 0)
