"""The last requests as trees in the terminal: `make trace`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import grpc
import psutil
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.local import trace_collector
from deploy.local.control import process_states
from deploy.local.layout import Layout
from deploy.local.output import say
from deploy.local.settings import StackSettings
from deploy.local.trace_tree import Tree

PROCESS = "traces"
_SECONDS = 10.0
# Of an output that is no terminal.
_WIDTH = 160
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def milliseconds(text: str) -> float:
    """Return a duration such as `100ms` or `1.5s`. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError("a time is like 100ms or 1.5s")
    return float(found[1]) * (1000 if found[2] == "s" else 1)


def trace_id(text: str) -> str:
    """Return an id of a trace or a request. Raises ValueError when it cannot be one."""
    if not _ID.fullmatch(text):
        raise ValueError("an id has 1 to 64 letters, digits, - or _")
    return text


@dataclass(frozen=True)
class Query:
    """Which traces to show: the newest `last` of those that fit. `id` is a trace's or a request's."""

    last: int = 5
    errors: bool = False
    slower_than: float = 0
    id: str = ""
    background: bool = False

    def fits(self, tree: Tree) -> bool:
        """Return whether to show a trace."""
        return (
            (tree.has_errors or not self.errors)
            and tree.milliseconds >= self.slower_than
            and (not self.id or tree.request_id == self.id or tree.id.startswith(self.id))
        )


def trace(settings: StackSettings, query: Query) -> int:
    """Show the newest traces that fit, the newest last. Return 1 when the stack keeps none, or none fits."""
    processes = process_states(Layout.of(settings.data_dir).supervisor_socket)
    if processes is None:
        say(f"no stack is running on {settings.data_dir}. Start one that keeps traces: make run TRACES=on")
        return 1
    port = next((_port(process.pid) for process in processes if process.name == PROCESS and process.pid), None)
    if port is None:
        say("this stack keeps no traces. Stop it, and start it with: make run TRACES=on")
        return 1
    try:
        trees = _newest(port, query)
    except grpc.RpcError as error:
        say(f"the receiver of traces does not answer ({error.code().name}); its log: make logs SERVICE={PROCESS}")
        return 1
    if not trees:
        say("no trace fits. The spans of a request arrive within a second or two of its end.")
        return 1
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    for tree in sorted(trees, key=lambda tree: tree.began):
        show(tree, console)
    return 0


def _port(pid: int) -> int | None:
    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return None
    return int(words[words.index(trace_collector.__name__) + 1])


def _newest(port: int, query: Query) -> list[Tree]:
    """Return the traces to show, the newest first. Raises RpcError."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        read = channel.unary_stream(f"/{trace_collector.SERVICE}/{trace_collector.READ}", None, None)
        request = trace_collector.WITH_BACKGROUND if query.background else b""
        found = []
        for tree in _trees(read(request, timeout=_SECONDS, wait_for_ready=True)):
            if query.fits(tree):
                found.append(tree)
            if len(found) == query.last:
                break
        return found


def _trees(responses: Iterable[bytes]) -> Iterator[Tree]:
    for response in responses:
        yield Tree(TracesData.FromString(response).resource_spans)


def show(tree: Tree, console: Console) -> None:
    """Print a trace: a line with its begin, time and ids, then its tree."""
    ids = f"trace {tree.id}" + (f"  request {tree.request_id}" if tree.request_id else "")
    console.print(Text(f"{tree.began:%H:%M:%S.%f}"[:12] + f"  {tree.milliseconds:.1f} ms  {ids}", style="bold"))
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for _ in range(2):
        table.add_column(no_wrap=True)
    for _ in range(2):
        table.add_column(justify="right", no_wrap=True)
    for row in tree.rows():
        style = "red" if row.is_error else ""
        cells = (row.label, row.process, row.status, f"+{row.at:.1f}", f"{row.milliseconds:.1f} ms")
        table.add_row(*(Text(cell, style=style) for cell in cells))
    console.print(table)
    console.print()
