"""The frame of `make bench`: parts that fail, parts that are asked for, kept folders, and what the profilers say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import hot_paths, thread_counts
from benchmarks.bench import __main__ as command
from benchmarks.bench import kept, plan
from benchmarks.bench.run import Run

PERF = """
 11 7fd01 tcp_sendmsg ([kernel.kallsyms])
 11 7fd02 [unknown] (/opt/envoy/_bin/envoy)
 11 7fd03 [unknown] (//anon)
 22 7fd04 _bt_search (/opt/pginstall/bin/postgres)
 22 7fd05 XLogInsertRecord (/opt/pginstall/bin/postgres)
 33 7fd06 _PyEval_EvalFrameDefault (/usr/bin/python3.11)
 33 7fd07 grpc_core::Foo::Bar(int (*)(int)) (/site-packages/grpc/_cython/cygrpc.cpython-311-x86_64-linux-gnu.so)
 99 7fd08 main (/usr/bin/wrk)
"""


def a_run(folder: Path, *only: str, **changed: Any) -> Run:
    """Return a run that has not begun."""
    given, _ = plan.arguments(["--quick"], "")
    limits = {"limit_seconds": 60, **changed}
    return Run(folder, folder, replace(given, **limits), "bench", only)


def fail() -> None:
    raise ValueError("the first line\nand the last")


def test_a_part_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    run = a_run(tmp_path)

    run.part("one", 1, fail)
    run.part("two", 1, lambda: 2)

    assert run.results["failures"] == {"one": "ValueError: the first line … and the last"}
    assert run.results["two"] == 2
    assert '"two": 2' in (tmp_path / "unfinished.json").read_text()


def test_a_part_for_which_the_time_is_over_is_left_out_and_told(tmp_path: Path) -> None:
    run = a_run(tmp_path, limit_seconds=10)

    run.part("long", 20, lambda: 1)

    assert "long" not in run.results
    assert "the run's time was over" in run.results["failures"]["long"]


def test_only_the_parts_that_are_asked_for_run(tmp_path: Path) -> None:
    run = a_run(tmp_path, "over", "sizes 100")

    for name in ("overload", "sizes 100", "sizes", "wide"):
        run.part(name, 1, lambda: 1)

    assert {"overload", "sizes 100"} == set(run.results) - {"target", "machine", "failures"}


def test_a_name_that_no_part_has_is_told_with_those_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "of_new_stack", lambda run: run.part("overload", 1, lambda: 1))

    results = a_run(tmp_path, "overlaod").all()

    assert results["failures"] == {"overlaod": "there is no such part; there are: overload"}


def test_the_command_fails_after_its_report_when_a_part_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(self: Run) -> dict[str, Any]:
        self.part("wide", 1, fail)
        return {**self.results, "seconds": 1}

    monkeypatch.setattr(Run, "all", measure)
    (tmp_path / "benchmarks.md").write_text("<!-- results:begin -->\n<!-- results:end -->\n")

    status = command.main(["--quick", f"--docs={tmp_path}", f"--kept={tmp_path}"])

    assert status == 1
    assert "| wide | ValueError: the first line … and the last |" in capsys.readouterr().out
    assert "| wide | ValueError" in (tmp_path / "benchmarks.md").read_text()


def test_arguments_change_the_plan() -> None:
    changed, _ = plan.arguments(["--sizes", "10,20", "--steady-seconds", "3", "--clients", ""], "")

    assert (changed.sizes, changed.steady_seconds, changed.clients) == ((10, 20), 3, ())
    assert changed.rounds == plan.FULL.rounds


def test_a_loaded_folder_is_used_again_until_the_load_would_write_other_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "gigs-50"

    assert not kept.prepare(place, 50)
    (place / "data").touch()
    # A load that was stopped has no mark.
    assert not kept.prepare(place, 50)
    (place / "data").touch()
    kept.mark(place, 50)

    assert kept.prepare(place, 50)
    assert (place / "data").exists()
    monkeypatch.setattr(kept, "release", lambda: "another")
    assert not kept.prepare(place, 50)
    assert not (place / "data").exists()


def test_a_load_without_room_on_the_disk_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="GiB"):
        kept.prepare(tmp_path / "gigs-many", 10**12)


def test_samples_of_perf_are_told_by_group_and_part() -> None:
    found = hot_paths.by_part(PERF, {11: "Envoy", 22: "PostgreSQL", 33: "GigService"})

    assert found == {
        "Envoy": Counter({"kernel: network": 1, "Envoy's code": 1, "compiled Lua": 1}),
        "PostgreSQL": Counter({"tables and indexes": 1, "WAL": 1}),
        "GigService": Counter({"Python": 1, "gRPC core": 1}),
    }


def test_samples_of_py_spy_are_told_by_the_module_of_the_innermost_frame() -> None:
    raw = (
        "run (/usr/lib/python3.11/threading.py:900);GetGig (/srv/gig_service/servicer.py:40) 3\n"
        "run (/usr/lib/python3.11/threading.py:900);page (/srv/gig_service/store/pages.py:12) 2\n"
        "call (/srv/.venv/lib/python3.11/site-packages/grpc/_server.py:7) 4\n"
        "dumps (/usr/lib/python3.11/json/__init__.py:9) 1\n"
    )

    assert hot_paths.by_module(raw) == {
        "gig_service.servicer": 3,
        "gig_service.store": 2,
        "grpc": 4,
        "standard library": 1,
    }


def test_shares_add_up_to_the_whole_and_small_ones_are_told_together() -> None:
    shares = hot_paths.shares_of({"large": 970, "small": 10, "smaller": 20}, 200)

    assert shares == {"large": 194.0, "the rest": 6.0}


def test_processes_that_are_started_within_a_bound_have_its_cpus() -> None:
    before = os.sched_getaffinity(0)
    first = min(before)

    with thread_counts.bound_to({first}):
        code = "import os; print(os.sched_getaffinity(0))"
        inside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert inside.strip() == f"{{{first}}}"
    assert os.sched_getaffinity(0) == before


def test_numbers_of_cores_that_the_machine_does_not_have_are_named(tmp_path: Path) -> None:
    found = thread_counts.measure(tmp_path, [10_000, 20_000], 1)

    assert "Not measured: 10000 and 20000 cores." in thread_counts.tables(found)
