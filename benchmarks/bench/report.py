"""The report: tables of a run's results, written between the markers of docs/benchmarks.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks import hot_paths, scaling, thread_counts
from benchmarks.bench.goals import GOALS, Results, hop_us
from benchmarks.bench.plot import draw

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
TITLES = {
    "hot gig": "A gig page from the edge's cache",
    "hot search": "A search page from the edge's cache",
    "gig": "A gig page past the cache",
    "search": "A search page past the cache",
    "order": "Placing an order",
    "rpc": "GetGig by gRPC, without the edge",
    "sql": "The SQL of a gig page alone",
}
MARKDOWN, DATA, PICTURE = "benchmarks.md", "benchmarks.json", "benchmarks.svg"


def write(results: Results, docs: Path) -> None:
    """Write the tables, the raw results and the plot to a folder that has the page."""
    page = docs / MARKDOWN
    (docs / DATA).write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    draw(results, docs / PICTURE)
    text = re.sub(
        f"{re.escape(BEGIN)}.*{re.escape(END)}",
        lambda _: f"{BEGIN}\n\n{render(results)}\n{END}",
        page.read_text(),
        flags=re.DOTALL,
    )
    page.write_text(text)
    if (docs / scaling.PAGE.name).exists() and "1000000" in results.get("sizes", {}):
        scaling.write(docs)


def render(results: Results) -> str:
    """Return the tables as Markdown."""
    parts = [
        _heading(results),
        _goals(results),
        f"![Requests a second and CPU of each side]({PICTURE})\n",
        _peak(results),
        _half(results),
        _wide_and_overload(results),
        _sizes(results),
        _clients(results),
        _memory(results),
        _threads_and_paths(results),
        _failures(results),
    ]
    return "\n".join(part for part in parts if part)


def _heading(results: Results) -> str:
    machine = table(["machine", ""], [[name, value] for name, value in results["machine"].items()])
    settings = table(["setting", ""], [[name, value] for name, value in results.get("settings", {}).items()])
    workers = ""
    rates = results.get("workers", {})
    if any(len(each) > 1 for each in rates.values()):
        counts = sorted({count for each in rates.values() for count in each}, key=int)
        rows = [[name, *(_number(each.get(count)) for count in counts)] for name, each in rates.items()]
        workers = "Gig pages a second of each peer by its number of processes; the fastest number was used:\n\n"
        workers += table(["peer", *(f"{count}" for count in counts)], rows)
    compared = ""
    if "compared" in results:
        compared = f"The answers of both peers to {results['compared']} random requests were the product's.\n"
    took = f"Written by `make {results['target']}` in {results['seconds'] / 60:.1f} minutes"
    gigs = f", with {results['gigs']:,} gigs where no other number stands" if "gigs" in results else ""
    return "\n".join(["## Results", "", f"{took}{gigs}.", "", compared, machine, settings, workers])


def _goals(results: Results) -> str:
    rows = [goal.row(results) for goal in GOALS]
    return "### Goals\n\n" + table(["goal", "bound", "reached", "met"], rows)


def _peak(results: Results) -> str:
    text = (
        "### At the peak\n\nAll connections are kept busy. CPU is µs a request, memory the largest PSS after a round.\n"
    )
    for name, sides in results.get("cases", {}).items():
        groups = list(dict.fromkeys(group for side in sides.values() for group in side["cpu_us"]))
        rows = []
        for side, found in sides.items():
            cpu, memory = found["cpu_us"], found["memory_mib"]
            parts = ", ".join(f"{group} {cpu[group]:.0f}" for group in groups if cpu.get(group, 0) >= 1)
            refused = found["refused"] + found["broken"]
            times = [_number(found["rate"]), f"{found['p50']:.2f}", f"{found['p99']:.2f}"]
            rows.append([side, *times, f"{sum(cpu.values()):.0f}", parts, f"{sum(memory.values()):.0f}", str(refused)])
        head = ["side", "req/s", "p50 ms", "p99 ms", "CPU µs", "of which", "memory MiB", "errors"]
        text += f"\n#### {TITLES.get(name, name)}\n\n" + table(head, rows)
    with suppress(KeyError):
        text += f"\nThe two hops cost {hop_us(results):.0f} µs: a gig page's CPU less that of FastAPI + asyncpg.\n"
    return text


def _half(results: Results) -> str:
    rows = [
        [
            TITLES.get(name, name),
            *(_number(each[key]) for key in ("wanted_rate", "good_rate")),
            *(each[key] for key in ("p50", "p99", "late_p99", "generator_us")),
        ]
        for name, each in results.get("half", {}).items()
    ]
    head = ["request", "sent a second", "answered", "p50 ms", "p99 ms", "late, p99 ms", "generator: CPU µs"]
    text = (
        "### At half the peak\n\nOpen loop, after a second of the same load. A time counts from when the request was "
    )
    return text + "due; `late` is how far behind that the generator sent it.\n\n" + table(head, rows)


def _wide_and_overload(results: Results) -> str:
    text = ""
    if found := results.get("wide"):
        head = ["gigs in turn", "req/s", "p50 ms", "p99 ms", "errors", "CPU µs"]
        row = [found["gigs"], _number(found["rate"]), found["p50"], found["p99"], found["errors"]]
        text += "### A wide load, with the cache\n\n" + table(head, [[*row, f"{sum(found['cpu_us'].values()):.0f}"]])
    if found := results.get("overload"):
        statuses = ", ".join(f"{status}: {count}" for status, count in found["statuses"].items())
        rows = [
            ["peak of good answers a second", _number(found["peak"])],
            ["sent a second", _number(found["wanted_rate"])],
            ["good answers a second", _number(found["good_rate"])],
            ["p50, p99 of good answers, ms", f"{found['p50']}, {found['p99']}"],
            ["answers by status", statuses],
            ["503 with Retry-After", found["retry_after"]],
            ["p99 of refusals, ms", found["refusal_p99"]],
            ["connections that broke, requests without an answer", f"{found['broken']}, {found['unanswered']}"],
            ["seconds until 20 answers in a row were normal", found["normal_after_s"]],
        ]
        text += "\n### Overload: twice the peak of gig pages past the cache\n\n" + table(["", ""], rows)
    return text


def _sizes(results: Results) -> str:
    sizes = results.get("sizes", {})
    if not sizes:
        return ""
    kinds = ("gig", "browsing", "words")
    head = ["gigs", *(f"{kind}: CPU µs" for kind in kinds), "mix: peak", "at half: p50 ms", "p99 ms", "errors"]
    rows = []
    for each in sizes.values():
        mix = each["mix"]
        errors = sum(count for status, count in mix["statuses"].items() if int(status) >= 400) + mix["unanswered"]
        costs = [f"{each['cost'][kind]['cpu_us']:.0f}" for kind in kinds]
        rows.append([f"{each['gigs']:,}", *costs, _number(mix["peak"]), mix["p50"], mix["p99"], errors])
    text = "### As the data grows\n\nPast the cache. `benchmarks/search_mix.py` has the mix.\n\n" + table(head, rows)
    shapes = sorted({shape for each in sizes.values() for shape in each["shapes"]})
    head = ["shape, median ms", *(f"{each['gigs']:,} gigs" for each in sizes.values())]
    medians = [
        [shape, *(each["shapes"].get(shape, {}).get("median", "") for each in sizes.values())] for shape in shapes
    ]
    return text + "\n" + table(head, medians)


def _clients(results: Results) -> str:
    rows = [
        [count, _number(each["rate"]), each["p50"], each["p99"], each["errors"]]
        for count, each in results.get("clients", {}).items()
    ]
    head = ["connections", "req/s", "p50 ms", "p99 ms", "errors"]
    return "### As clients grow\n\nGig pages past the cache.\n\n" + table(head, rows)


def _memory(results: Results) -> str:
    text = ""
    if found := results.get("idle"):
        text += "### Memory and start\n\nThe whole stack, idle, MiB (PSS):\n\n"
        text += table(list(found), [[f"{mib:.0f}" for mib in found.values()]])
    if found := results.get("start"):
        rows = [["a new folder", found["first"]], ["a folder with data", found["again"]]]
        text += "\n" + table(["start to first answer", "s"], rows)
    if found := results.get("steady"):
        text += f"\n{found['seconds'] / 60:.0f} minutes of mixed load: {found['requests']:,} requests, "
        text += f"{found['refused']:,} of them refused as they should be, {found['broken']} broken. "
        text += "Growth of the own memory (USS) over the second half:\n\n"
        growing = list(found["growth_mb_a_minute"].items())[:8]
        text += table(["process", "MB a minute"], [[name, f"{slope:.2f}"] for name, slope in growing])
    return text


def _threads_and_paths(results: Results) -> str:
    text = ""
    if found := results.get("threads"):
        text += "### Threads and processes\n\nStacks with these numbers, in turn.\n\n" + thread_counts.tables(found)
    if found := results.get("profiles"):
        text += "\n### Where the CPU of a request goes\n\n"
        text += "The CPU of a request without profilers, times the share of the samples.\n\n" + hot_paths.table(found)
    return text


def _failures(results: Results) -> str:
    rows = [[part, reason] for part, reason in results.get("failures", {}).items()]
    return "### Not measured\n\n" + table(["part", "reason"], rows) if rows else ""


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
