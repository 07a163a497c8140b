"""`python -m benchmarks.hot_paths`: where the CPU of a gig page, a search page, an order and a hit of the cache goes.

perf samples Envoy, PostgreSQL and the services by program, library and symbol, and py-spy the services by module. The
share of the samples, times the CPU of a request without them, makes µs a request. `--checkout` names another tree to
measure. Envoy's binary has no symbols, so its own code is one part; `make benchmark NAME=edge_cost` takes it apart by
leaving parts out.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bench import load, market, processes, sides
from benchmarks.bench.load import Request
from benchmarks.bench.market import Market
from benchmarks.bench.rounds import measured
from tests.support.eventually import eventually
from tests.support.stack import ROOT, Stack

CONNECTIONS = 16
GIGS = 500
# Prime, so that samples do not fall into step with timers.
PERF_HERTZ, SPY_HERTZ = 997, 199
# Parts below this share of a process are told together, and groups below this share of a request not at all.
SMALLEST = 0.03
ATTACH_SECONDS = 30
PERF_ATTEMPTS = 3
PERF_DATA = "perf.data"
SERVICES = ("GigService", "OrderService", "ReviewService")
Parts = dict[str, float]

# The parts of a process, by library or program and then by symbol; the first that matches counts.
KERNEL = (
    ("kernel: network", r"tcp|sock|inet|skb|net_|ip_|loopback|epoll|ep_|softirq|sendmsg|recvmsg|nf_|dev_|eth_"),
    ("kernel: files", r"vfs|ext4|jbd|xfs|page_cache|write_iter|fsync|blk_|virtio|io_schedule|filemap|pipe"),
    ("kernel: waiting and waking", r"futex|sched|switch|wake|task|timer|rcu|spin_unlock|poll|select"),
    ("kernel: else", r""),
)
POSTGRES = (
    ("WAL", r"XLog|Xlog|pg_comp_crc|WAL"),
    ("cached plans and catalog", r"CatCache|SysCache|CachedPlan|CachedQuery|AcquireExecutorLocks|Relcache|RelationId"),
    (
        "parse and plan",
        (
            r"^(raw_|base_yy|core_yy|parse|transform|.*planner|make_|create_|add_path|cost_|clause|get_rel|eval_const|build_)"
            r"|^(.*_plan|set_.*refs|fix_|pull_|expression_tree|equal|_equal|copyObject|_copy|bms_|lappend|list_|simpl)"
        ),
    ),
    (
        "JSON and types",
        r"json|array|text|escape|appendString|appendBinary|numeric|float|uuid|timestamp|date|utf|varlena",
    ),
    (
        "tables and indexes",
        r"^(_bt|bt|heap|index|Buf|Read|Pin|Unpin|HeapTuple|tid|gin|gist|Lock(Buffer|Rel)|Visib|page)",
    ),
    ("execute", r"^(Exec|exec|Portal|standard_Exec|slot|tts|tuplesort|agg|advance|hash|Init|Mem.*Tuple|fmgr|Function)"),
    ("locks and transactions", r"Lock|Transaction|Snapshot|Proc|ResourceOwner|Xact|Xid|pgstat"),
    ("memory", r"Alloc|alloc|pfree|MemoryContext|Generation|Bump|Slab"),
    ("protocol", r"^(pq|socket|printtup|Send|internal_|secure|PostgresMain|Wait|Begin|ReadyFor)"),
    ("else", r""),
)
LIBRARIES = (
    ("gRPC core", r"cygrpc"),
    ("protobuf", r"_upb|protobuf"),
    ("PostgreSQL driver", r"psycopg|libpq"),
    ("TLS and crypto", r"libssl|libcrypto|_rust|pyjwt"),
    ("validation by regular expressions and CEL", r"re2|cel"),
    ("JSON", r"orjson"),
    ("Python", r"python"),
    ("compiled Lua", r"^(//anon|\[anon|anon|perf-\d+|\[JIT|memfd)"),
    ("Envoy's code", r"envoy"),
    ("libc", r"libc|libm|libpthread|ld-linux|libstdc|vdso"),
    ("else", r""),
)


def measure(stack: Stack, sample: Market, seconds: float) -> dict[str, Any]:
    """Return, for each path and group of processes, its CPU in µs a request and the parts of that."""
    paths: list[tuple[str, Sequence[Request], bool]] = [
        ("gig page past the cache", sample.pages(1000), False),
        ("search page past the cache", sample.searches(100), False),
        ("order", sample.orders(1000), False),
        ("gig page from the cache", sample.pages(100), True),
    ]
    product, found = sides.edge(stack), {}
    for name, requests, cached in paths:

        def work(requests: Sequence[Request] = requests, cached: bool = cached) -> load.Load:
            return load.http(product.url, requests, seconds, CONNECTIONS, cached=cached)

        work()
        outcome, used = measured(product, work)
        if not outcome.rate:
            raise load.LoadError(f"{name}: no good answer")
        perf, modules = profiled(product.groups(), work)
        whole = sum(used.values())
        found[name] = {
            group: {
                "cpu_us": round(microseconds, 1),
                "parts": shares_of(perf.get(group, Counter()), microseconds),
                "modules": shares_of(modules.get(group, Counter()), microseconds),
            }
            for group, microseconds in used.items()
            if microseconds >= SMALLEST * whole
        }
    return found


def shares_of(samples: Mapping[str, int], whole: float) -> Parts:
    """Return each part's share of the whole, largest first, those that are small together."""
    total = sum(samples.values())
    parts: Parts = {}
    rest = 0.0
    for name, count in sorted(samples.items(), key=lambda item: (-item[1], item[0])):
        share = count / total
        if share < SMALLEST or name == "else":
            rest += share * whole
        else:
            parts[name] = round(share * whole, 1)
    return parts | ({"the rest": round(rest, 1)} if rest else {})


def profiled(
    groups: Mapping[str, list[psutil.Process]], work: Callable[[], load.Load]
) -> tuple[dict[str, Counter[str]], dict[str, Counter[str]]]:
    """Run a load under the profilers. Return samples of each group by part, by perf; and by module, by py-spy."""
    with ExitStack() as running, tempfile.TemporaryDirectory() as folder:
        # One after the other: py-spy stops a process for each sample, and perf would see that.
        parts = _sampled_by_perf(running, Path(folder), groups, work)
        return parts, _sampled_by_spy(running, Path(folder), groups, work)


def _sampled_by_perf(
    running: ExitStack, folder: Path, groups: Mapping[str, list[psutil.Process]], work: Callable[[], load.Load]
) -> dict[str, Counter[str]]:
    pids, profiler = _attached_perf(running, folder, groups)
    work()
    _finish(profiler)
    script = [_program("perf"), "script", "-i", str(folder / PERF_DATA), "-F", "pid,ip,sym,dso"]
    return by_part(subprocess.run(script, capture_output=True, text=True, check=True).stdout, pids)


def _attached_perf(
    running: ExitStack, folder: Path, groups: Mapping[str, list[psutil.Process]]
) -> tuple[dict[int, str], subprocess.Popen[bytes]]:
    """Return the processes that perf records, with their groups, and perf. Raises LoadError when it does not begin."""
    log = folder / "perf.log"
    command = [_program("perf"), "record", "-q", "-e", "cpu-clock", "-F", str(PERF_HERTZ), "-o", folder / PERF_DATA]
    for number in range(PERF_ATTEMPTS):
        control, answer = (folder / f"perf.{number}.{name}" for name in ("control", "answer"))
        os.mkfifo(control)
        os.mkfifo(answer)
        pids = {process.pid: group for group, members in groups.items() for process in processes.with_children(members)}
        options = ["--delay=-1", f"--control=fifo:{control},{answer}", "-p", ",".join(map(str, pids))]
        profiler = _started(running, [*map(str, command), *options], log)
        if _enable(control, answer, profiler):
            return pids, profiler
        # It ends when one of the processes has ended before it was found, as workers of PostgreSQL's autovacuum do.
        _end(profiler)
    raise load.LoadError(f"perf does not begin: {log.read_text().strip()}")


def _sampled_by_spy(
    running: ExitStack, folder: Path, groups: Mapping[str, list[psutil.Process]], work: Callable[[], load.Load]
) -> dict[str, Counter[str]]:
    program = str(Path(sys.executable).with_name("py-spy"))
    # Only threads that have the interpreter's lock; the others wait, or are in the libraries.
    options = ["--gil", "--full-filenames", "-f", "raw", "-r", str(SPY_HERTZ), "-d", "60"]
    profilers, spied = [], {}
    for group in SERVICES:
        for process in groups.get(group, ()):
            spied[file := folder / f"{process.pid}.raw"] = group
            command = [program, "record", "-o", str(file), "-p", str(process.pid), *options]
            profilers.append(_started(running, command, file.with_suffix(".log")))
    # On a busy machine they take seconds to attach.
    eventually(lambda: all("Sampling" in file.with_suffix(".log").read_text() for file in spied), ATTACH_SECONDS)
    work()
    for profiler in profilers:
        _finish(profiler)
    modules: dict[str, Counter[str]] = defaultdict(Counter)
    for file, group in spied.items():
        if file.exists():
            modules[group] += by_module(file.read_text())
    return modules


def by_part(script: str, pids: Mapping[int, str]) -> dict[str, Counter[str]]:
    """Return the samples of `perf script` by group and part."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for line in script.splitlines():
        if match := re.match(r"\s*(\d+)\s+[0-9a-f]+ (.*) \((.*)\)$", line):
            pid, symbol, library = int(match[1]), match[2], match[3].rsplit("/", 1)[-1]
            if group := pids.get(pid):
                found[group][_part(group, symbol, library, match[3])] += 1
    return found


def _part(group: str, symbol: str, library: str, path: str) -> str:
    if path.startswith(("[kernel", "[guest.kernel")):
        return _first(KERNEL, symbol)
    if group == "PostgreSQL" and "postgres" in library:
        return _first(POSTGRES, symbol)
    return _first(LIBRARIES, library if library.strip("/") else path)


def _first(table: Sequence[tuple[str, str]], text: str) -> str:
    return next(name for name, pattern in table if re.search(pattern, text))


def by_module(raw: str) -> Counter[str]:
    """Return the samples of py-spy by the module of the innermost frame."""
    found: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        if match := re.search(r"\(([^()]*):\d+\)$", stack):
            found[_module(match[1])] += int(count)
    return found


def _module(path: str) -> str:
    if "/site-packages/" in path:
        return path.split("/site-packages/")[1].split("/")[0].removesuffix(".py")
    parts = Path(path).with_suffix("").parts
    for package in ("gig_service", "order_service", "review_service", "servicekit", "generated", "deploy"):
        if package in parts:
            return ".".join(parts[parts.index(package) :][:2])
    return "standard library"


def table(found: Mapping[str, Any]) -> str:
    """Return a table in Markdown, of one run."""
    lines = ["| request | process | CPU µs | parts by perf | modules by py-spy |", "| --- | --- | --- | --- | --- |"]
    for path, groups in found.items():
        for group, each in groups.items():
            cells = [
                ", ".join(f"{name} {value:.0f}" for name, value in each[key].items()) for key in ("parts", "modules")
            ]
            lines.append(f"| {path} | {group} | {each['cpu_us']:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _program(name: str) -> str:
    if path := shutil.which(name):
        return path
    raise load.LoadError(f"{name} is missing; on Debian: apt install linux-perf")


def _enable(control: Path, answer: Path, profiler: subprocess.Popen[bytes]) -> bool:
    """Tell perf to begin, and return whether it has."""
    # Opened for both directions, a FIFO does not wait for its other end.
    ends = [os.open(path, os.O_RDWR) for path in (control, answer)]
    try:
        os.write(ends[0], b"enable\n")
        latest = time.monotonic() + ATTACH_SECONDS
        while profiler.poll() is None and time.monotonic() < latest:
            if select.select([ends[1]], [], [], 0.1)[0]:
                return True
        return False
    finally:
        for end in ends:
            os.close(end)


def _finish(profiler: subprocess.Popen[bytes]) -> None:
    """Let a profiler write what it has."""
    profiler.send_signal(signal.SIGINT)
    profiler.wait(ATTACH_SECONDS)


def _started(running: ExitStack, command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    running.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def main() -> int:
    """Measure a stack of this tree or of another, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hot_paths", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--checkout", type=Path, default=ROOT, help="the tree whose services are measured")
    parser.add_argument("--seconds", type=float, default=5, help="of each load")
    parser.add_argument("--gigs", type=int, default=GIGS, help="created through the API")
    options = parser.parse_args()
    tree = options.checkout.resolve()
    # With the safe path Python takes no module of the working folder, which is this tree.
    code: dict[str, Any] = {"PYTHONPATH": f"{tree}:{tree / 'generated'}", "PYTHONSAFEPATH": "1"}
    with tempfile.TemporaryDirectory(prefix="marketplace-bench-") as folder:
        Path(folder).chmod(0o711)
        stack = Stack(Path(folder) / "data", **sides.SETTINGS, **code)
        try:
            stack.start()
            market.fill_by_api(stack, options.gigs)
            print(table(measure(stack, market.sample(stack), options.seconds)))
        finally:
            stack.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
