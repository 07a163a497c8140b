"""The plot of the report: the same results always make the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot  # after the choice of the backend

# The cases that are drawn, with their titles.
CASES = {
    "hot gig": "gig page, hot",
    "hot search": "search page, hot",
    "gig": "gig page, past the cache",
    "search": "search page, past the cache",
    "order": "placing an order",
}
COLOURS = {
    "product": "#2f6db3",
    "FastAPI + asyncpg": "#e08a2e",
    "FastAPI + SQLAlchemy": "#b5463c",
    "Envoy's direct response": "#999999",
    "Envoy": "#7a5ea8",
    "GigService": "#2f6db3",
    "OrderService": "#4fa3a5",
    "ReviewService": "#9ac2c9",
    "PostgreSQL": "#5b8c5a",
}


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw a row for each case: requests a second of each side, and the CPU of a request by group."""
    cases = {name: title for name, title in CASES.items() if name in results.get("cases", {})}
    # The ids in an SVG are random and its date is today's, unless these are set.
    with mpl.rc_context({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 8}):
        figure, axes = pyplot.subplots(
            max(len(cases), 1), 2, figsize=(9, 1.7 * max(len(cases), 1)), squeeze=False, layout="constrained"
        )
        for (left, right), (name, title) in zip(axes, cases.items(), strict=False):
            sides = dict(reversed(results["cases"][name].items()))
            colours = [COLOURS.get(side, "#999999") for side in sides]
            bars = left.barh(list(sides), [found["rate"] for found in sides.values()], color=colours)
            left.bar_label(bars, fmt="{:,.0f}", padding=2)
            left.margins(x=0.2)
            left.set_title(f"{title}: requests a second", loc="left")
            _stack(right, sides)
            right.set_title("CPU of a request, µs", loc="left")
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


def _stack(axes: Any, sides: dict[str, Any]) -> None:
    """Draw the CPU of each side as one bar, with a part for each group of processes."""
    groups = list(dict.fromkeys(group for found in sides.values() for group in found["cpu_us"]))
    starts = dict.fromkeys(sides, 0.0)
    for group in groups:
        parts = [found["cpu_us"].get(group, 0.0) for found in sides.values()]
        if max(parts) < 1:
            continue
        axes.barh(list(sides), parts, left=list(starts.values()), color=COLOURS.get(group, "#999999"), label=group)
        starts = {side: starts[side] + part for side, part in zip(sides, parts, strict=True)}
    axes.set_yticks([])
    axes.legend(fontsize=6, loc="best")
