"""`make bench` in a tiny form: every kind of load runs, peers answer as the product does, and the report says so."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest

from benchmarks import search_mix
from benchmarks.bench import cases, load, market, paced, parts, plan, report, same_answers, sides
from benchmarks.bench.goals import GOALS
from benchmarks.bench.load import Request
from benchmarks.bench.market import Market
from benchmarks.bench.sides import Side
from tests.support.eventually import eventually
from tests.support.stack import Stack

PLAN = plan.Plan(seconds=1, rounds=1, compared=60, sizes=(), clients=(4,), steady_seconds=4, starts=0)

pytestmark = pytest.mark.skipif(bool(load.missing_tools()), reason=" ".join(load.missing_tools()))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Start a stack as the benchmark does: its clients have no certificate."""
    running = Stack(**sides.SETTINGS)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def sample(stack: Stack) -> Market:
    market.fill_by_api(stack, 40)
    return market.sample(stack)


@pytest.fixture(scope="module")
def peers(stack: Stack, sample: Market) -> Iterator[dict[str, Side]]:
    with ExitStack() as running:
        started = {
            name: running.enter_context(sides.fastapi(name, module, 1, stack)) for name, module in cases.MODULES.items()
        }
        for side in started.values():
            cases.warm_up(side, sample)
        yield started


def a_result(rate: float = 100.0, **cpu: float) -> dict[str, Any]:
    """Return a side's result in a comparison."""
    used = cpu or {"PostgreSQL": 50.0}
    times = {"rate": rate, "p50": 1.0, "p99": 2.0, "refused": 0, "broken": 0}
    return {**times, "cpu_us": used, "memory_mib": {"PostgreSQL": 10.0}}


def some_results(**changed: Any) -> dict[str, Any]:
    """Return the results of a run with two comparisons."""
    hot = {"product": a_result(700), "FastAPI + asyncpg": a_result(100), "Envoy's direct response": a_result(2000)}
    return {
        "target": "bench",
        "machine": {"cores": "2"},
        "settings": {"PostgreSQL fsync": "on"},
        "workers": {"FastAPI + asyncpg": {1: 90.0, 2: 100.0}},
        "gigs": 1000,
        "seconds": 120,
        "cases": {"hot gig": hot},
        "failures": {},
        **changed,
    }


@contextmanager
def slow_server(seconds: float) -> Iterator[tuple[str, list[str]]]:
    """Run an HTTP server that takes so long for an answer. Yield its URL and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(seconds)
            paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def goal_rows(results: Mapping[str, Any]) -> dict[str, list[str]]:
    return {row[0]: row for row in (goal.row(dict(results)) for goal in GOALS)}


def test_peers_answer_as_the_product_does(stack: Stack, sample: Market, peers: dict[str, Side]) -> None:
    assert same_answers.compare(sides.edge(stack), list(peers.values()), sample, PLAN.compared) == PLAN.compared


def test_a_peer_with_another_answer_ends_the_run(stack: Stack, sample: Market) -> None:
    empty = {"/": '{"results": [], "total": 0}'}
    with sides.direct(stack, empty) as wrong, pytest.raises(same_answers.DifferentAnswersError):
        same_answers.compare(sides.edge(stack), [wrong], sample, 2)


def test_reads_of_all_sides_are_measured(stack: Stack, sample: Market, peers: dict[str, Side]) -> None:
    case = next(case for case in cases.cases(sample) if case.name == "gig")

    results = cases.compare_reads(case, sides.edge(stack), list(peers.values()), PLAN)

    assert set(results) == {"product", *peers}
    for result in results.values():
        assert result["rate"] > 0
        assert result["refused"] == result["broken"] == 0
    assert results["product"]["cpu_us"]["Envoy"] > 0
    assert results["product"]["cpu_us"]["GigService"] > 0
    assert results["FastAPI + asyncpg"]["cpu_us"]["FastAPI + asyncpg"] > 0
    assert results["FastAPI + asyncpg"]["memory_mib"]["PostgreSQL"] > 0


def test_orders_of_both_sides_are_placed(stack: Stack, sample: Market) -> None:
    case = next(case for case in cases.cases(sample) if case.name == "order")

    def are_placed() -> bool:
        # On a machine that is busy with other work none may be placed within the second.
        return all(result["rate"] > 0 for result in cases.compare_orders(case, stack, PLAN).values())

    assert eventually(are_placed, 60)


def test_the_limits_are_measured(stack: Stack, sample: Market) -> None:
    rpcs = cases.compare_rpcs(stack, sample, PLAN)
    statement = cases.run_sql(stack, sample, PLAN)

    assert rpcs["GigService"]["cpu_us"]["GigService"] > 0
    assert rpcs["empty grpcio handler"]["cpu_us"]["grpcio"] > 0
    assert statement["pgbench"]["rate"] > 0


def test_an_open_load_sends_at_its_rate_whatever_the_answers_take(stack: Stack, sample: Market) -> None:
    case = next(case for case in cases.cases(sample) if case.name == "gig")

    outcome = parts.half_peak(case, sides.edge(stack), 40, PLAN)

    assert outcome["sent"] == 40
    assert outcome["statuses"] == {"200": 40}


def test_an_open_load_counts_a_time_from_when_its_request_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection and a server that takes 50 ms: of forty requests in a second half wait longer and longer."""
    monkeypatch.setattr(paced, "MAX_CONNECTIONS", 1)
    with slow_server(0.05) as (url, _):
        outcome = paced.run(url, [Request("/")], 40, 1, warm=0)

    assert outcome.statuses == {200: 40}
    assert outcome.quantile(0.99) > 500
    assert outcome.good_in_time < 25


def test_an_open_load_of_several_processes_sends_each_request_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced, "RATE_OF_A_PROCESS", 20)
    with slow_server(0) as (url, paths):
        outcome = paced.run(url, [Request("/one"), Request("/two")], 40, 1, warm=0.5)

    assert outcome.sent == 40
    assert outcome.statuses == {200: 40}
    assert Counter(paths) == {"/one": 30, "/two": 30}


def test_an_open_load_that_fails_leaves_no_process_that_goes_on_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    popen = subprocess.Popen
    begun: list[subprocess.Popen[bytes]] = []

    def begin(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        end = "exec sleep 600" if begun else "exit 1"
        begun.append(popen(["sh", "-c", f"cat > /dev/null; {end}"], **options))
        return begun[-1]

    monkeypatch.setattr(subprocess, "Popen", begin)
    try:
        with pytest.raises(load.LoadError):
            paced.run("http://127.0.0.1:1", [Request("/one"), Request("/two")], 2 * paced.RATE_OF_A_PROCESS, 1)

        assert [process.returncode for process in begun] == [1, -signal.SIGKILL]
    finally:
        for process in begun:
            process.kill()


def test_searches_of_the_mix_are_answered_and_timed_by_shape(stack: Stack, sample: Market) -> None:
    with stack.client() as client:
        mix = sample.mix(Random(1), 40, client)
        shapes = parts.time_by_shape(mix, client)

    assert sum(each["count"] for each in shapes.values()) == 40


def test_rare_shapes_of_the_mix_are_timed_as_often_as_frequent_ones(stack: Stack, sample: Market) -> None:
    with stack.client() as client:
        shapes = parts.time_by_shape(sample.of_each_shape(Random(1), 3, client), client)

    assert {shape: each["count"] for shape, each in shapes.items()} == {name: 3 for _, name, _ in search_mix.SHAPES}


def test_a_page_beyond_the_first_is_asked_for_with_its_token(stack: Stack, sample: Market) -> None:
    with stack.client() as client:
        path = market.at_page(search_mix.Search("everything", {}, page=2), client)
        answer = client.get(path).json()

    assert path.startswith("/api/gigs?pageToken=")
    assert answer["results"]


def test_the_mix_is_sixty_twenty_five_fifteen_and_a_tenth_beyond_the_first_page() -> None:
    weights = {name: weight for weight, name, _ in search_mix.SHAPES}
    with_filters = sum(weight for name, weight in weights.items() if name.startswith("words, "))

    assert sum(weights.values()) == 100
    assert (weights["words"], with_filters) == (25, 15)
    drawn = search_mix.searches(Random(1), ["Modern logo design"], ["logo-design"])
    beyond = sum(next(drawn).page > 1 for _ in range(5000))
    assert 350 < beyond < 650


def test_the_growth_of_memory_is_told_for_each_process(stack: Stack, sample: Market) -> None:
    result = parts.steady(sides.edge(stack), sample, stack, PLAN)

    assert {"envoy", "gig-0", "order-0", "review-0"} <= set(result["growth_mb_a_minute"])
    assert result["refused"] > 0
    assert result["broken"] == 0


def test_the_report_tells_ratios_and_what_was_not_measured(tmp_path: Path) -> None:
    page = tmp_path / report.MARKDOWN
    page.write_text(f"# By hand\n\n{report.BEGIN}\nfigures of before\n{report.END}\n\nThe end, by hand.\n")

    report.write(some_results(failures={"overload": "LoadError: wrk is away"}), tmp_path)

    text = page.read_text()
    assert text.startswith("# By hand\n")
    assert text.endswith("\nThe end, by hand.\n")
    assert "figures of before" not in text
    assert "| overload | LoadError: wrk is away |" in text
    assert "| PostgreSQL fsync | on |" in text
    rows = goal_rows(some_results())
    assert rows["hot gig page, times FastAPI + asyncpg"][2:] == ["7", "yes"]
    assert rows["hot gig page, of Envoy's direct response"][2:] == ["0.35", "**no**"]
    assert rows["CPU of placing an order"][2:] == ["not measured", ""]


def test_the_same_results_make_the_same_files(tmp_path: Path) -> None:
    made = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / report.MARKDOWN).write_text(f"{report.BEGIN}{report.END}")
        report.write(some_results(), folder)
        made.append({file.name: file.read_bytes() for file in folder.iterdir()})

    assert made[0] == made[1]
    assert set(made[0]) == {report.MARKDOWN, report.DATA, report.PICTURE}
