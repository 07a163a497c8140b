"""The programs that make the load: wrk for HTTP, h2load for gRPC, pgbench for SQL. Each keeps its connections busy."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

SCRIPT = Path(__file__).with_name("requests.lua")
# Time for a program to start and to end, beside its load.
SLACK_SECONDS = 30
TOOLS = {"wrk": "apt install wrk", "h2load": "apt install nghttp2-client"}


class Request(NamedTuple):
    """A GET of a path or, with a token, a POST of a body of JSON."""

    path: str
    token: str = ""
    body: str = ""

    @property
    def line(self) -> str:
        """The line of the request in the file that wrk's script reads."""
        return f"{self.path}\t{self.token}\t{self.body}" if self.token else self.path


@dataclass(frozen=True)
class Load:
    """The outcome of one load. Times are milliseconds; `refused` are responses of 400 and above."""

    seconds: float
    requests: int
    p50: float
    p99: float
    refused: int = 0
    broken: int = 0

    @property
    def rate(self) -> float:
        """Requests a second, those of 400 and above left out."""
        return (self.requests - self.refused) / self.seconds if self.seconds else 0.0


class LoadError(Exception):
    """A load that did not run."""


def missing_tools() -> list[str]:
    """Return a line with the remedy for each program that is not installed."""
    return [f"{tool} is missing; on Debian and Ubuntu: {remedy}" for tool, remedy in TOOLS.items() if not which(tool)]


def which(tool: str) -> str | None:
    """Return the path of a program."""
    return shutil.which(tool)


def http(
    url: str, requests: Sequence[Request], seconds: float, connections: int, *, cached: bool = True, threads: int = 1
) -> Load:
    """Keep so many connections busy with these requests, in turn."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{request.line}\n" for request in requests)
        file.flush()
        # wrk takes whole seconds, or milliseconds not at all: a fraction is rounded up.
        options = [f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
        arguments = [file.name, uuid4().hex, "cached" if cached else "no-cache"]
        output = _run(["wrk", *options, "-s", str(SCRIPT), url, "--", *arguments], seconds)
    line = next((line for line in output.splitlines() if line.startswith("{")), None)
    if line is None:
        raise LoadError(f"wrk printed no result: {output[-500:]}")
    found = json.loads(line)
    return Load(*(found[name] for name in ("seconds", "requests", "p50", "p99", "refused", "broken")))


def grpc(port: int, method: str, message: bytes, seconds: float, connections: int, streams: int) -> Load:
    """Keep so many streams of each connection busy with one unary call, over HTTP/2 without TLS."""
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        amount = [f"-D{max(1, round(seconds))}", f"-c{connections}", f"-m{streams}"]
        url = f"http://127.0.0.1:{port}{method}"
        output = _run(["h2load", *amount, *headers, "-d", str(body), f"--log-file={log}", url], seconds)
        rows = [line.split("\t") for line in log.read_text().splitlines()]
    times = sorted(int(row[2]) / 1000 for row in rows if row[1] == "200")
    finished = re.search(r"finished in ([0-9.]+)(ms|s)", output)
    if not times or not finished:
        raise LoadError(f"h2load had no success: {output[-500:]}")
    took = float(finished[1]) / (1000 if finished[2] == "ms" else 1)
    return Load(took, len(rows), times[len(times) // 2], times[int(len(times) * 0.99)], len(rows) - len(times))


def sql(pgbench: Path, url: str, statements: Sequence[str], seconds: float, connections: int) -> Load:
    """Keep so many connections busy with these statements, at random, each prepared once."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, statement in enumerate(statements):
            file = Path(folder, f"{number}.sql")
            file.write_text(" ".join(statement.split()) + ";\n")
            files += ["-f", str(file)]
        log = Path(folder, "log")
        amount = ["-T", str(max(1, round(seconds))), "-c", str(connections), "-n", "-M", "prepared"]
        output = _run([str(pgbench), *amount, "-l", f"--log-prefix={log}", *files, url], seconds)
        lines = [line for part in Path(folder).glob("log.*") for line in part.read_text().splitlines()]
    times = sorted(int(line.split()[2]) / 1000 for line in lines)
    rate = re.search(r"tps = ([0-9.]+)", output)
    if not times or not rate:
        raise LoadError(f"pgbench had no success: {output[-500:]}")
    return Load(len(times) / float(rate[1]), len(times), times[len(times) // 2], times[int(len(times) * 0.99)])


def _run(command: list[str], seconds: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + SLACK_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoadError(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        raise LoadError(f"{Path(command[0]).name} ended with {done.returncode}: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout
