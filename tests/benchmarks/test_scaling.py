"""The arithmetic of docs/scaling.md."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from benchmarks import scaling


@pytest.fixture
def bench() -> Any:
    return json.loads(scaling.BENCHMARKS.read_text())


def test_the_page_has_the_tables_of_the_latest_runs() -> None:
    page = scaling.PAGE.read_text()

    assert page == scaling.with_tables(page), "run python -m benchmarks.scaling"


def test_the_page_names_the_assumptions_that_are_computed_with() -> None:
    page = " ".join(scaling.PAGE.read_text().split())
    assumed = [
        f"one primary has {scaling.PRIMARY_CORES} vCPUs",
        f"{scaling.SESSIONS:,} sessions",
        f"at {scaling.USE:.0%} use",
        f"answers {scaling.EDGE_CACHE:.0%} of the anonymous pages",
        f"A CDN answers {scaling.CDN:.0%}",
        f"{scaling.PICTURE_BYTES // 1000} kB",
        *(f"| {price:.4g} |" if price != 0.1 else "| 0.10 |" for price in scaling.PRICES.values()),
    ]

    assert [text for text in assumed if text.replace("%", " %") not in page] == []


def test_all_requests_have_a_kind() -> None:
    assert sum(scaling.SHARES.values()) == pytest.approx(1)


def test_the_cost_of_a_kind_is_what_the_run_measured(bench: Any) -> None:
    cost = scaling.costs(bench)
    at_a_million = bench["sizes"]["1000000"]["cost"]

    assert sum(cost["words"].values()) == pytest.approx(at_a_million["words"]["cpu_us"])
    assert sum(cost["browsing"].values()) == pytest.approx(at_a_million["browsing"]["cpu_us"])
    order = bench["cases"]["order"]["product"]["cpu_us"]
    assert sum(cost["write"].values()) == pytest.approx(sum(order.values()) - order["ReviewService"])


def test_twice_the_cost_takes_twice_the_cores_and_gives_out_at_half_the_rate(bench: Any) -> None:
    dearer = copy.deepcopy(bench)
    for case in dearer["cases"].values():
        if "product" in case:
            case["product"]["cpu_us"] = {name: 2 * micros for name, micros in case["product"]["cpu_us"].items()}
    for size in dearer["sizes"].values():
        size["cost"] = {name: {"cpu_us": 2 * cost["cpu_us"]} for name, cost in size["cost"].items()}

    for cdn, edge_cache in ((0.0, 0.0), (0.8, 0.3)):
        once, twice = (scaling.cores(each, cdn, edge_cache) for each in (bench, dearer))
        assert twice == pytest.approx({group: 2 * cores for group, cores in once.items()})
    rates = {part: rate for rate, part, _ in scaling.limits(bench)}
    assert {part: 2 * rate for rate, part, _ in scaling.limits(dearer)} == pytest.approx(rates)


def test_a_cdn_that_answers_everything_leaves_words_writes_and_tokens(bench: Any) -> None:
    cost = scaling.costs(bench)

    needed = scaling.cores(bench, 1.0, 0.0)

    left = ("words", "read with a token", "write")
    micros = sum(scaling.SHARES[kind] * sum(cost[kind].values()) for kind in left)
    assert sum(needed.values()) == pytest.approx(scaling.REQUESTS * micros / 1e6 / scaling.USE)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (4.84, "4.8"), (39.4, "39"), (163.4, "163"), (2526.0, "2,530"), (1_624_321.0, "1,620,000")],
)
def test_figures_have_no_more_digits_than_are_known(value: float, text: str) -> None:
    assert scaling._n(value) == text


def test_no_figure_of_the_tables_is_written_by_hand() -> None:
    prose = re.sub(r"<!-- (\w+):begin -->.*?<!-- \1:end -->", "", scaling.PAGE.read_text(), flags=re.DOTALL)

    assert not re.search(r"\d[\d,.]* (cores|ms|TB|µs)\b", prose)
